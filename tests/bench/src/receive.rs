//! The receivers: each takes messages its own way and reads every byte of them.

mod actor;
mod framed;
mod funnel;
#[cfg(feature = "omq")]
mod omq;
mod plain;
#[cfg(feature = "zmq")]
mod zeromq;

use anyhow::Result;

use crate::{
    contender::Receive,
    meter::{Running, Stretch},
    payload::Check,
    role::{self, Load},
};

pub(crate) fn play(how: Receive, load: &Load) -> Result<()> {
    let stretch: Stretch = match how {
        Receive::Actor => actor::lent(load),
        Receive::ActorOwned => actor::owned(load),
        Receive::Funnel => funnel::receive(load),
        Receive::Framed => framed::receive(load, framed::DEFAULT_BUFFER),
        Receive::FramedTuned => framed::receive(load, framed::TUNED_BUFFER),
        Receive::Batches => plain::batches(load),
        Receive::Exact => plain::exact(load),
        #[cfg(feature = "zmq")]
        Receive::Zmq => zeromq::pull(load),
        #[cfg(feature = "omq")]
        Receive::Omq => omq::pull(load),
        #[cfg(not(all(feature = "zmq", feature = "omq")))]
        other => anyhow::bail!("this build has no {other:?}"),
    }?;
    role::answer(&stretch)
}

/// A check for what this load will bring.
fn check(load: &Load) -> Check {
    Check::new(load.payload, load.messages, load.producers as u64)
}

/// Waits for the conductor, says that the clock runs, and starts it.
fn begin() -> Result<Running> {
    role::await_go()?;
    let running = Running::begin();
    role::say_ready()?;
    Ok(running)
}

/// Stops the clock; the verdict on what came is not part of the work.
fn end(running: Running, check: &Check) -> Result<Stretch> {
    let stretch = running.end();
    check.verdict()?;
    Ok(stretch)
}
