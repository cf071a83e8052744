//! Through nothing but `read(2)`, one producer at a time.

use std::{
    io::Read as _,
    os::unix::net::{UnixListener, UnixStream},
};

use anyhow::{Result, ensure};

use super::{begin, check, end};
use crate::{
    meter::Stretch,
    payload::Check,
    role::{self, Load},
    socket::listen,
};

const BATCH: usize = 64 << 10;

/// Reads 64 KiB at a time into one buffer and takes the frames where they lie; what is left of a frame moves to the front.
pub(super) fn batches(load: &Load) -> Result<Stretch> {
    receive(load, |mut stream, check| {
        let mut buffer = vec![0; BATCH + 4 + load.payload];
        let mut filled = 0;
        while !check.is_complete() {
            let room = buffer.len().min(filled + BATCH);
            let count = stream.read(&mut buffer[filled..room])?;
            ensure!(count > 0, "the producer has hung up");
            filled += count;
            let mut taken = 0;
            while let Some((head, rest)) = buffer[taken..filled].split_first_chunk::<4>()
                && let Some(payload) = rest.get(..u32::from_be_bytes(*head) as usize)
            {
                check.take(payload);
                taken += 4 + payload.len();
            }
            buffer.copy_within(taken..filled, 0);
            filled -= taken;
        }
        Ok(())
    })
}

/// Reads a frame's head and then exactly its payload, expecting the next head behind it: nothing is ever moved.
pub(super) fn exact(load: &Load) -> Result<Stretch> {
    receive(load, |mut stream, check| {
        let mut buffer = vec![0; load.payload + 4];
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        loop {
            let len = u32::from_be_bytes(head) as usize;
            ensure!(len <= load.payload, "a frame of {len} bytes");
            let last = check.is_last();
            let frame = &mut buffer[..len + if last { 0 } else { 4 }];
            stream.read_exact(frame)?;
            let (payload, next) = frame.split_at(len);
            check.take(payload);
            if last {
                return Ok(());
            }
            head.copy_from_slice(next);
        }
    })
}

fn receive(load: &Load, take: impl FnOnce(&UnixStream, &mut Check) -> Result<()>) -> Result<Stretch> {
    let listener: UnixListener = listen(&load.path)?;
    role::say_ready()?;
    let running = begin()?;
    let (stream, _) = listener.accept()?;
    let mut check = check(load);
    take(&stream, &mut check)?;
    end(running, &check)
}
