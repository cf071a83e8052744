//! Through our own funnel.

use std::time::Duration;

use anyhow::Result;
use frame_codec::LengthPrefixed;
use mpsr_server::{Funnel, Limits};
use uds_actor::Bind;

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    role::{self, Load},
    socket::QUEUE_BYTES,
};

pub(super) fn receive(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let mut limits = Limits::default();
        // The others hold so much in all, whatever the number of producers.
        limits.per_connection_bytes = QUEUE_BYTES / load.producers;
        let mut funnel =
            Funnel::builder(LengthPrefixed::u32_be()).limits(limits).listen(Bind::path(&load.path)).start().await?;
        role::say_ready()?;
        // Blocks the runtime; there is nothing for it to do yet.
        let running = begin()?;
        let mut check = check(&load);
        while !check.is_complete() {
            let Some(delivery) = funnel.recv().await else { break };
            for frame in &delivery {
                check.take(frame);
            }
        }
        let stretch = end(running, &check)?;
        funnel.handle().shutdown(Duration::ZERO);
        Ok(stretch)
    })
}
