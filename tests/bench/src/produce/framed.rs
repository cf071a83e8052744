//! Through tokio-util's `FramedWrite`.

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::codec::{FramedWrite, LengthDelimitedCodec};

use crate::{
    meter::{Running, Stretch},
    payload::Stamped,
    role::{self, Load},
    socket::{connect_nonblocking, queue_messages},
};

/// What tokio-util buffers before it writes, unless told otherwise.
pub(super) const DEFAULT_BUFFER: usize = 8 << 10;
/// As much as the plain loop's batches.
pub(super) const TUNED_BUFFER: usize = 64 << 10;

pub(super) fn feed(load: &Load, buffer: usize) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let mut framed = connect(&load, buffer)?;
        let mut payloads = Stamped::new(load.payload);
        role::say_ready()?;
        role::await_go()?;
        let running = Running::begin();
        for _ in 0..load.messages {
            framed.feed(payloads.next()).await?;
        }
        SinkExt::<&[u8]>::close(&mut framed).await?;
        Ok(running.end())
    })
}

pub(super) fn feed_from_task(load: &Load) -> Result<Stretch> {
    let load = load.clone();
    load.flavour.run(async move {
        let mut framed = connect(&load, DEFAULT_BUFFER)?;
        let mut messages = Messages::new(load.payload);
        let (sender, mut queue) = mpsc::channel::<Bytes>(queue_messages(load.payload));
        let writer = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                framed.feed(message).await?;
                if queue.is_empty() {
                    SinkExt::<Bytes>::flush(&mut framed).await?;
                }
            }
            SinkExt::<Bytes>::close(&mut framed).await
        });
        role::say_ready()?;
        role::await_go()?;
        let running = Running::begin();
        for _ in 0..load.messages {
            ensure!(sender.send(messages.next()).await.is_ok(), "the writer has ended");
        }
        drop(sender);
        writer.await??;
        Ok(running.end())
    })
}

fn connect(load: &Load, buffer: usize) -> Result<FramedWrite<UnixStream, LengthDelimitedCodec>> {
    let stream = UnixStream::from_std(connect_nonblocking(&load.path)?)?;
    let mut framed = FramedWrite::new(stream, LengthDelimitedCodec::new());
    framed.set_backpressure_boundary(buffer);
    Ok(framed)
}

/// What crosses a channel must be owned; cutting `Bytes` from one slab is the cheapest way to that.
struct Messages {
    payloads: Stamped,
    slab: BytesMut,
}

impl Messages {
    fn new(payload: usize) -> Self {
        Self { payloads: Stamped::new(payload), slab: BytesMut::new() }
    }

    #[inline]
    fn next(&mut self) -> Bytes {
        let payload = self.payloads.next();
        if self.slab.capacity() < payload.len() {
            self.slab.reserve(payload.len().max(64 << 10));
        }
        self.slab.extend_from_slice(payload);
        self.slab.split().freeze()
    }
}
