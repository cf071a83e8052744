//! The messages to send, in order: the arguments, or standard input.

use std::{
    collections::VecDeque,
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use frame_codec::{Batch, BatchBuilder, Decoder, Delimited, Fixed, Framing, Raw};
use tokio::time::timeout;

use crate::{
    args::{Division, Send},
    input::Input,
    words::count,
};

/// Messages with a cursor. It can go back to messages that were queued and not sent.
pub(super) struct Source {
    input: Option<(Input, Decoder<Arc<dyn Framing + std::marker::Send + Sync>>)>,
    /// Messages that were read and may still be needed. The first of them has the number `first`, counted from 0.
    window: VecDeque<Batch>,
    first: u64,
    /// The cursor: the next message's number, its batch in the window, and its position in that batch.
    next: u64,
    batch: usize,
    place: usize,
    /// The maximum number of messages.
    limit: u64,
    /// Bytes of messages that are no longer in the window.
    forgotten: u64,
    progress: Arc<Progress>,
}

/// The position of the cursor, readable from another task.
#[derive(Debug)]
pub(super) struct Progress {
    unit: Unit,
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// How much is before the cursor, as text.
    pub(super) fn to_words(&self) -> String {
        // Statistics: nothing is ordered by them.
        let [messages, bytes] = [&self.messages, &self.bytes].map(|counter| counter.load(Ordering::Relaxed));
        match self.unit {
            Unit::Bytes => count(bytes, "byte", "bytes"),
            _ => count(messages, "message", "messages"),
        }
    }
}

/// What the messages are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Arguments. Their number is known.
    Arguments,
    /// Standard input, divided.
    Lines,
    Records,
    /// Standard input without division: only its bytes can be counted.
    Bytes,
}

impl Source {
    pub(super) fn new(args: &Send) -> Self {
        let (input, window, unit) = if args.messages.is_empty() {
            let (framing, unit): (Arc<dyn Framing + std::marker::Send + Sync>, Unit) =
                match args.frames.framing.division() {
                    Division::Lines => (Arc::new(Delimited::lines()), Unit::Lines),
                    Division::Nul => (Arc::new(Delimited::nul()), Unit::Records),
                    Division::Fixed(len) => (Arc::new(Fixed::new(len)), Unit::Records),
                    Division::None => (Arc::new(Raw), Unit::Bytes),
                };
            (Some((Input::new(), Decoder::new(framing, args.frames.limits()))), VecDeque::new(), unit)
        } else {
            (None, VecDeque::from([arguments(&args.messages)]), Unit::Arguments)
        };
        let limit = args.count.unwrap_or(u64::MAX);
        let progress = Arc::new(Progress { unit, messages: AtomicU64::new(0), bytes: AtomicU64::new(0) });
        Self { input, window, first: 0, next: 0, batch: 0, place: 0, limit, forgotten: 0, progress }
    }

    pub(super) fn unit(&self) -> Unit {
        self.progress.unit
    }

    pub(super) const fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The number of messages known so far; all of them after the end of the input.
    pub(super) fn known(&self) -> u64 {
        let read = self.first + self.window.iter().map(|batch| batch.len() as u64).sum::<u64>();
        read.min(self.limit)
    }

    /// Whether there may be more messages than are known.
    pub(super) fn is_open(&self) -> bool {
        self.input.is_some() && self.known() < self.limit
    }

    /// The number of the next message, counted from 0.
    pub(super) const fn position(&self) -> u64 {
        self.next
    }

    /// The next message, if it has been read.
    pub(super) fn current(&self) -> Option<&[u8]> {
        if self.next >= self.limit { None } else { self.window.get(self.batch)?.get(self.place) }
    }

    /// Moves on to the next message.
    pub(super) fn advance(&mut self) {
        let bytes = self.current().map_or(0, <[u8]>::len) as u64;
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.next += 1;
        self.progress.messages.store(self.next, Ordering::Relaxed);
        self.place += 1;
        if self.window.get(self.batch).is_some_and(|batch| self.place >= batch.len()) {
            (self.batch, self.place) = (self.batch + 1, 0);
        }
    }

    /// Moves back to the message with this number, which is in the window.
    pub(super) fn rewind(&mut self, number: u64) {
        (self.next, self.batch, self.place) = (self.first, 0, 0);
        self.progress.messages.store(self.first, Ordering::Relaxed);
        self.progress.bytes.store(self.forgotten, Ordering::Relaxed);
        while self.next < number && self.window.get(self.batch).is_some() {
            self.advance();
        }
    }

    /// Forgets messages before the cursor, except the last `bytes` of them.
    pub(super) fn keep(&mut self, bytes: usize) {
        let mut behind: usize = self.window.iter().take(self.batch).map(Batch::byte_len).sum();
        while self.batch > 0
            && let Some(oldest) = self.window.front()
            && behind - oldest.byte_len() >= bytes
        {
            behind -= oldest.byte_len();
            self.first += oldest.len() as u64;
            self.forgotten += oldest.byte_len() as u64;
            self.window.pop_front();
            self.batch -= 1;
        }
    }

    /// Waits until there is a next message; `false` at the end.
    ///
    /// Cancel safe.
    pub(super) async fn fill(&mut self) -> anyhow::Result<bool> {
        while self.current().is_none() {
            if self.next >= self.limit {
                return Ok(false);
            }
            let Some((input, decoder)) = &mut self.input else { return Ok(false) };
            let batch = match decoder.next_batch() {
                Ok(None) => {
                    if input.read(decoder).await? > 0 {
                        continue;
                    }
                    let last = decoder.finish();
                    let rest = decoder.truncated_len();
                    self.input = None;
                    if rest > 0 && matches!(last, Ok(None)) {
                        let number = self.describe(self.next);
                        anyhow::bail!("{number}: standard input ends {rest} bytes into it");
                    }
                    last
                }
                found => found,
            };
            match batch {
                Ok(Some(batch)) => self.window.push_back(batch),
                Ok(None) => return Ok(false),
                Err(error) => return Err(error).context(self.describe(self.next)),
            }
        }
        Ok(true)
    }

    /// Whether every message is in front of the cursor, and the input ends within this time.
    ///
    /// Cancel safe.
    pub(super) async fn has_ended(&mut self, within: Duration) -> bool {
        matches!(timeout(within, self.fill()).await, Ok(Ok(false)))
    }

    /// What to call the message with this number.
    pub(super) fn describe(&self, number: u64) -> String {
        match self.progress.unit {
            Unit::Arguments => format!("message {}", number + 1),
            Unit::Lines => format!("line {} of standard input", number + 1),
            Unit::Records => format!("message {} of standard input", number + 1),
            Unit::Bytes => "standard input".to_owned(),
        }
    }
}

fn arguments(messages: &[OsString]) -> Batch {
    let mut batch = BatchBuilder::default();
    for message in messages {
        batch.push(message.as_bytes());
    }
    batch.take()
}
