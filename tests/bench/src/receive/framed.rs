//! Through tokio-util's `FramedRead`: a task per connection, a channel to the one who takes the messages.

use anyhow::Result;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    role::{self, Load},
    socket::{listen, queue_messages},
};

/// What tokio-util reads at a time, unless told otherwise.
pub(super) const DEFAULT_BUFFER: usize = 8 << 10;
/// As much as the plain loop reads.
pub(super) const TUNED_BUFFER: usize = 64 << 10;

pub(super) fn receive(load: &Load, buffer: usize) -> Result<Stretch> {
    let listener = listen(&load.path)?;
    listener.set_nonblocking(true)?;
    role::say_ready()?;
    let running = begin()?;
    let load = load.clone();
    load.flavour.run(async move {
        let listener = UnixListener::from_std(listener)?;
        let (sender, mut messages) = mpsc::channel(queue_messages(load.payload));
        for _ in 0..load.producers {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(forward(stream, buffer, sender.clone()));
        }
        drop(sender);
        let mut check = check(&load);
        while !check.is_complete() {
            let Some(message) = messages.recv().await else { break };
            check.take(&message);
        }
        end(running, &check)
    })
}

async fn forward(stream: UnixStream, buffer: usize, messages: mpsc::Sender<BytesMut>) -> Result<()> {
    let mut frames = FramedRead::with_capacity(stream, LengthDelimitedCodec::new(), buffer);
    while let Some(frame) = frames.next().await {
        if messages.send(frame?).await.is_err() {
            break;
        }
    }
    Ok(())
}
