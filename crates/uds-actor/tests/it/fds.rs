//! Descriptors go with their frames: none lost, none mixed up, none left open, and none taken by an actor that passes none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bounds;
mod delivery;
mod endings;
mod rejection;
mod rules;
mod shortage;

use std::{
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Delimited, LengthPrefixed};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use test_kit::{
    descriptors::{self, can_refuse, file, frame, receive, send, text, texts, watched},
    process::{self, Watchdog},
    soon::{self, soon},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uds_actor::{
    Actor, Bind, Connect, FlushError, Overflow, Reason,
    fds::{Control, Fault, Limits, MAX_PER_FRAME, Receiver, Report, SendError, Sender, TrySendError},
};

fn spawn(stream: UnixStream) -> (Sender, Receiver, Control) {
    spawn_with(stream, Limits::default())
}

fn spawn_with(stream: UnixStream, limits: Limits) -> (Sender, Receiver, Control) {
    Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(limits).spawn()
}

/// Payloads and the texts of their descriptors, until the end.
async fn drain(receiver: &mut Receiver) -> Vec<(String, Vec<String>)> {
    let mut messages = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        let lent = batch.iter().map(|(payload, descriptors)| (payload.len(), descriptors.len())).collect::<Vec<_>>();
        assert_eq!(batch.len(), lent.len());
        for (message, lent) in batch.into_iter().zip(lent) {
            assert_eq!((message.payload.len(), message.descriptors.len()), lent);
            messages.push((String::from_utf8(message.payload.to_vec()).unwrap(), texts(&message.descriptors)));
        }
    }
    messages
}

fn message(payload: &str, texts: &[&str]) -> (String, Vec<String>) {
    (payload.into(), texts.iter().map(|&text| text.into()).collect())
}

/// Sent, returned, received, delivered, closed.
fn counts(report: &Report) -> (u64, u64, u64, u64, u64) {
    let counts = &report.descriptors;
    (counts.sent(), counts.unsent(), counts.received(), counts.delivered(), counts.closed())
}

#[track_caller]
fn fault(report: &Report) -> &Fault {
    report.fault().unwrap_or_else(|| panic!("{report}"))
}

/// Whether bare messages are all there before any is read, or each is read before the next is sent.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    AtOnce,
    OneByOne,
}

/// What a receiver of these bare messages makes of them, and how the connection ended.
async fn hear(sent: Sent, messages: &[(&[u8], &[OwnedFd])]) -> (Vec<(String, Vec<String>)>, Report) {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = spawn(here);
    for (bytes, descriptors) in messages {
        match send(&there, bytes, descriptors) {
            Err(Errno::PIPE) if sent == Sent::OneByOne => break, // it was given up already
            outcome => assert_eq!(outcome, Ok(bytes.len())),
        }
        if sent == Sent::OneByOne {
            tokio::task::yield_now().await;
        }
    }
    drop(there);
    let heard = drain(&mut receiver).await;
    (heard, soon("the report", control.finished()).await)
}
