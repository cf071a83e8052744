//! Through our own actor.

use anyhow::Result;
use frame_codec::LengthPrefixed;
use tokio::net::UnixStream;
use uds_actor::{Actor, Control, Receiver, Sender};

use crate::{
    meter::{Running, Stretch},
    payload::{STAMPS, Stamped},
    role::{self, Load},
    socket::{QUEUE_BYTES, connect_nonblocking},
};

pub(super) fn lent(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let (sender, receiver, control) = spawn(&load)?;
        let mut payloads = Stamped::new(load.payload);
        let running = begin()?;
        for _ in 0..load.messages {
            sender.send(payloads.next()).await?;
        }
        end(running, sender, receiver, control).await
    })
}

pub(super) fn shared(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let (sender, receiver, control) = spawn(&load)?;
        let payloads = Stamped::shared(load.payload);
        let running = begin()?;
        for number in 0..load.messages {
            sender.send_shared(payloads[(number % STAMPS) as usize].clone()).await?;
        }
        end(running, sender, receiver, control).await
    })
}

fn spawn(load: &Load) -> Result<(Sender, Receiver, Control)> {
    let stream = UnixStream::from_std(connect_nonblocking(&load.path)?)?;
    Ok(Actor::new(stream, LengthPrefixed::u32_be()).outbox_bytes(QUEUE_BYTES).inbox_bytes(QUEUE_BYTES).spawn())
}

fn begin() -> Result<Running> {
    role::say_ready()?;
    role::await_go()?;
    Ok(Running::begin())
}

async fn end(running: Running, sender: Sender, receiver: Receiver, control: Control) -> Result<Stretch> {
    sender.finish().await?;
    let stretch = running.end();
    // The receiver closes when it has everything; until then the connection stays whole.
    control.finished().await;
    drop(receiver);
    Ok(stretch)
}
