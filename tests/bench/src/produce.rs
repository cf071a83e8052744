//! The producers: each sends the same payloads its own way.

mod actor;
mod framed;
#[cfg(feature = "omq")]
mod omq;
mod plain;
#[cfg(feature = "zmq")]
mod zeromq;

use anyhow::Result;

use crate::{
    contender::Produce,
    meter::Stretch,
    role::{self, Load},
};

pub(crate) fn play(how: Produce, load: &Load) -> Result<()> {
    let stretch: Stretch = match how {
        Produce::Actor => actor::lent(load),
        Produce::ActorShared => actor::shared(load),
        Produce::Feed => framed::feed(load, framed::DEFAULT_BUFFER),
        Produce::FeedTuned => framed::feed(load, framed::TUNED_BUFFER),
        Produce::FeedTask => framed::feed_from_task(load),
        Produce::Batches => plain::batches(load),
        Produce::Vectored => plain::vectored(load),
        Produce::Naive => plain::naive(load),
        #[cfg(feature = "zmq")]
        Produce::Zmq => zeromq::push(load),
        #[cfg(feature = "omq")]
        Produce::Omq => omq::push(load),
        #[cfg(not(all(feature = "zmq", feature = "omq")))]
        other => anyhow::bail!("this build has no {other:?}"),
    }?;
    role::answer(&stretch)
}
