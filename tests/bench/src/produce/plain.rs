//! Through nothing but `write(2)`.

use std::{
    io::{IoSlice, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
};

use anyhow::Result;

use crate::{
    meter::{Running, Stretch},
    payload::Stamped,
    role::{self, Load},
    socket::connect,
};

const BATCH: usize = 64 << 10;

pub(super) fn batches(load: &Load) -> Result<Stretch> {
    let mut batch = Vec::with_capacity(BATCH + 4 + load.payload);
    send(load, |mut stream, payload, last| {
        batch.extend_from_slice(&head(payload));
        batch.extend_from_slice(payload);
        if last || batch.len() + 4 + payload.len() > BATCH {
            stream.write_all(&batch)?;
            batch.clear();
        }
        Ok(())
    })
}

pub(super) fn vectored(load: &Load) -> Result<Stretch> {
    send(load, |mut stream, payload, _| {
        let head = head(payload);
        let mut slices = [IoSlice::new(&head), IoSlice::new(payload)];
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let count = stream.write_vectored(left)?;
            IoSlice::advance_slices(&mut left, count);
        }
        Ok(())
    })
}

pub(super) fn naive(load: &Load) -> Result<Stretch> {
    let mut frame = Vec::with_capacity(4 + load.payload);
    send(load, |mut stream, payload, _| {
        frame.clear();
        frame.extend_from_slice(&head(payload));
        frame.extend_from_slice(payload);
        Ok(stream.write_all(&frame)?)
    })
}

fn send(load: &Load, mut put: impl FnMut(&UnixStream, &[u8], bool) -> Result<()>) -> Result<Stretch> {
    let stream = connect(&load.path)?;
    let mut payloads = Stamped::new(load.payload);
    role::say_ready()?;
    role::await_go()?;
    let running = Running::begin();
    for left in (0..load.messages).rev() {
        put(&stream, payloads.next(), left == 0)?;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(running.end())
}

fn head(payload: &[u8]) -> [u8; 4] {
    u32::try_from(payload.len()).expect("payloads are short").to_be_bytes()
}
