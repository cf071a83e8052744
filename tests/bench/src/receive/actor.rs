//! Through our own actor.

use std::os::unix::net::UnixListener;

use anyhow::Result;
use bytes::Bytes;
use frame_codec::{Batch, LengthPrefixed};
use tokio::net::UnixStream;
use uds_actor::Actor;

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    payload::Check,
    role::{self, Load},
    socket::{QUEUE_BYTES, listen},
};

/// How much the owning receiver keeps: at most this many frames and bytes. Kept frames count against the inbox's bound, and
/// each keeps the block alive that it arrived in.
const KEPT_FRAMES: usize = 64;
const KEPT_BYTES: usize = QUEUE_BYTES / 8;

pub(super) fn lent(load: &Load) -> Result<Stretch> {
    receive(load, |batch, check| {
        for frame in &batch {
            check.take(frame);
        }
    })
}

pub(super) fn owned(load: &Load) -> Result<Stretch> {
    let kept = (KEPT_BYTES / load.payload).clamp(1, KEPT_FRAMES);
    let mut ring = vec![Bytes::new(); kept];
    let mut at = 0;
    receive(load, move |batch, check| {
        for frame in batch.into_frames() {
            check.take(&frame);
            ring[at] = frame;
            at = (at + 1) % kept;
        }
    })
}

fn receive(load: &Load, mut take: impl FnMut(Batch, &mut Check) + Send + 'static) -> Result<Stretch> {
    let listener = listen(&load.path)?;
    role::say_ready()?;
    let running = begin()?;
    let load = load.clone();
    load.flavour.run(async move {
        let (sender, mut receiver, control) =
            Actor::new(accept(&listener)?, LengthPrefixed::u32_be()).inbox_bytes(QUEUE_BYTES).spawn();
        let mut check = check(&load);
        while !check.is_complete() {
            let Some(batch) = receiver.recv_batch().await else { break };
            take(batch, &mut check);
        }
        let stretch = end(running, &check)?;
        drop((sender, receiver, control));
        Ok(stretch)
    })
}

fn accept(listener: &UnixListener) -> Result<UnixStream> {
    // The producer has connected before the conductor says go, so this does not block the runtime.
    let (stream, _) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok(UnixStream::from_std(stream)?)
}
