//! Received descriptors: they are matched with the frames that announce them, then wait for the receiver.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::{
    collections::VecDeque,
    mem,
    os::fd::OwnedFd,
    task::{Context, Waker},
};

use frame_codec::Batch;

use super::fault::Fault;
use crate::waiters::Parked;

/// Two queues: descriptors of a frame that is not complete yet, and descriptors of frames that wait for the receiver.
///
/// A read ends after the bytes that descriptors came with (`unix(7)`), so it returns at most one set. It may begin with
/// bytes that were sent before them. We therefore know in which read their frame begins, but not at which byte.
#[derive(Debug)]
pub(super) struct Incoming {
    unmatched: VecDeque<Arrival>,
    matched: VecDeque<Vec<OwnedFd>>,
    /// Descriptors that are matched and not taken, and the limit for another read.
    waiting: usize,
    limit: usize,
    /// Everything before this offset of the stream is in frames that were matched.
    matched_to: u64,
    fault: Option<Fault>,
    receiver_gone: bool,
    /// The actor's waker, when too many wait.
    actor: Parked,
    /// Payload bytes of frames that were not delivered because of a fault.
    pub(super) rejected_bytes: usize,
    pub(super) received: u64,
    pub(super) delivered: u64,
}

/// The descriptors from one read.
#[derive(Debug)]
struct Arrival {
    /// The range of the read, as offsets in the stream.
    from: u64,
    to: u64,
    descriptors: Vec<OwnedFd>,
    truncated: bool,
}

/// A frame of a batch, with its descriptors.
#[derive(Clone, Copy, Debug)]
struct Claim {
    frame: usize,
    /// The end of the read that returned them.
    read_to: u64,
}

/// Whether the actor may read.
#[derive(Debug)]
pub(super) enum Intake {
    Open,
    /// Too many wait. The actor is woken when some were taken.
    Full,
    Broken(Fault),
}

impl Incoming {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            unmatched: VecDeque::new(),
            matched: VecDeque::new(),
            waiting: 0,
            limit,
            matched_to: 0,
            fault: None,
            receiver_gone: false,
            actor: Parked::default(),
            rejected_bytes: 0,
            received: 0,
            delivered: 0,
        }
    }

    pub(super) fn intake(&mut self, cx: &Context<'_>) -> Intake {
        // All complete frames were matched before the last read, so the unmatched set came with an incomplete frame,
        // which has one first byte.
        if let Some(arrival) = self.unmatched.get(1) {
            return Intake::Broken(Fault::Unannounced { count: arrival.len() });
        }
        if let Some(arrival) = self.unmatched.front()
            && arrival.truncated
        {
            return Intake::Broken(Fault::Truncated { arrived: arrival.len() });
        }
        if self.is_full() {
            self.actor.park(cx);
            return Intake::Full;
        }
        Intake::Open
    }

    /// Whether the receiver must take some before more are read.
    pub(super) const fn is_full(&self) -> bool {
        self.waiting >= self.limit
    }

    /// Records the descriptors from a read of this range of the stream.
    pub(super) fn arrived(&mut self, from: u64, to: u64, descriptors: Vec<OwnedFd>, truncated: bool) {
        self.received = self.received.saturating_add(descriptors.len() as u64);
        if !descriptors.is_empty() || truncated {
            self.unmatched.push_back(Arrival { from, to, descriptors, truncated });
        }
    }

    /// Finds the descriptors of these frames, whose block ends at this offset of the stream. Returns the frames up to
    /// the first that does not have its own descriptors.
    pub(super) fn sort(&mut self, batch: Batch, end: u64) -> (Batch, Option<Fault>) {
        let begin = mem::replace(&mut self.matched_to, end);
        let mut behind = begin;
        let mut whole: usize = 0;
        let mut last: Option<Claim> = None;
        while self.fault.is_none()
            && let (Some(frame), Some(offset)) = (batch.get(whole), batch.offset(whole))
        {
            let payload = begin.saturating_add(offset as u64);
            match self.claim(frame, behind, payload) {
                Ok(read_to) => {
                    last = read_to.map(|read_to| Claim { frame: whole, read_to }).or(last);
                    whole = whole.saturating_add(1);
                }
                Err(fault) => {
                    if let (Fault::Missing { arrived: 0, .. }, Some(claim)) = (&fault, last)
                        && behind < claim.read_to
                    {
                        // Both begin in the same read, which returned one set: we cannot know to which of them it
                        // belongs.
                        whole = claim.frame;
                        self.unclaim();
                    }
                    self.fault = Some(fault);
                }
            }
            behind = payload.saturating_add(frame.len() as u64);
        }
        if self.fault.is_none()
            && let Some(arrival) = self.unmatched.front()
            && arrival.to <= end
        {
            self.fault = Some(Fault::Unannounced { count: arrival.len() });
        }
        if self.fault.is_none() {
            return (batch, None);
        }
        self.unmatched.clear();
        let rejected: usize = batch.iter().skip(whole).map(<[u8]>::len).sum();
        self.rejected_bytes = self.rejected_bytes.saturating_add(rejected);
        let sound = Batch::concat(batch.into_frames().take(whole).map(Batch::single));
        (sound, self.fault.clone())
    }

    /// Matches one frame, which begins between these two offsets: after the payload before it, and before its own
    /// payload. Returns the end of the read that returned its descriptors, if it has any.
    fn claim(&mut self, frame: &[u8], behind: u64, payload: u64) -> Result<Option<u64>, Fault> {
        if let Some(arrival) = self.unmatched.front()
            && arrival.to <= behind
        {
            return Err(Fault::Unannounced { count: arrival.len() });
        }
        let announced = Fault::count_of(frame)?;
        if announced == 0 {
            return Ok(None);
        }
        let begun = self.unmatched.front().is_some_and(|arrival| arrival.from <= payload);
        let Some(arrival) = (if begun { self.unmatched.pop_front() } else { None }) else {
            return Err(Fault::Missing { announced, arrived: 0 });
        };
        let arrived = arrival.len();
        if arrival.truncated {
            return Err(Fault::Truncated { arrived });
        }
        if arrived != announced {
            return Err(Fault::Missing { announced, arrived });
        }
        if !self.receiver_gone {
            self.waiting = self.waiting.saturating_add(arrived);
            self.matched.push_back(arrival.descriptors);
        }
        Ok(Some(arrival.to))
    }

    /// Closes what was matched last, because the frame is not delivered.
    fn unclaim(&mut self) {
        if let Some(descriptors) = self.matched.pop_back() {
            self.waiting = self.waiting.saturating_sub(descriptors.len());
        }
    }

    /// Takes the descriptors of the frames that the receiver takes, which come in the order in which they were sorted.
    /// Returns the actor's waker if the actor can continue.
    pub(super) fn deliver<'a>(
        &mut self,
        frames: impl Iterator<Item = &'a [u8]>,
    ) -> (VecDeque<Vec<OwnedFd>>, Option<Waker>) {
        let sets = frames.filter(|frame| matches!(Fault::count_of(frame), Ok(1..))).count();
        let rest = self.matched.split_off(sets.min(self.matched.len()));
        let taken = mem::replace(&mut self.matched, rest);
        let count: usize = taken.iter().map(Vec::len).sum();
        self.waiting = self.waiting.saturating_sub(count);
        self.delivered = self.delivered.saturating_add(count as u64);
        let actor = if self.is_full() { None } else { self.actor.take() };
        (taken, actor)
    }

    /// Called when the receiver is gone. Returns the waiting descriptors, to be closed.
    pub(super) fn abandon(&mut self) -> VecDeque<Vec<OwnedFd>> {
        self.receiver_gone = true;
        self.waiting = 0;
        mem::take(&mut self.matched)
    }

    /// The stream has ended: unmatched descriptors belong to a truncated frame.
    pub(super) fn end(&mut self) {
        self.unmatched.clear();
    }

    /// The number of descriptors that were received and closed.
    pub(super) fn closed(&self) -> u64 {
        let open = self.unmatched.iter().map(Arrival::len).sum::<usize>().saturating_add(self.waiting);
        self.received.saturating_sub(self.delivered).saturating_sub(open as u64)
    }
}

impl Arrival {
    const fn len(&self) -> usize {
        self.descriptors.len()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use frame_codec::{Decoder, LengthPrefixed, Limits};

    use super::*;

    /// A stream as the kernel keeps it: messages, some of which have descriptors.
    struct Kernel(VecDeque<(Vec<u8>, usize)>);

    impl Kernel {
        /// Reads as much as there is room for, across messages, but not beyond the first that has descriptors.
        fn read(&mut self, room: usize) -> (Vec<u8>, usize) {
            let mut bytes = Vec::new();
            while bytes.len() < room
                && let Some((message, count)) = self.0.front_mut()
            {
                let rest = message.split_off(message.len().min(room.saturating_sub(bytes.len())));
                bytes.append(&mut mem::replace(message, rest));
                let count = mem::take(count);
                if message.is_empty() {
                    self.0.pop_front();
                }
                if count > 0 {
                    return (bytes, count);
                }
            }
            (bytes, 0)
        }
    }

    fn frame(count: usize, payload: &str) -> Vec<u8> {
        let payload = super::super::wire::counted(u8::try_from(count).unwrap(), payload.as_bytes());
        [&u32::try_from(payload.len()).unwrap().to_be_bytes()[..], &payload].concat()
    }

    #[test]
    fn reads_of_any_size_find_the_descriptors_of_each_frame() {
        let frames = [(0, "first"), (2, "a pair"), (0, ""), (0, "between"), (1, ""), (3, "x"), (0, "last"), (1, "one")];
        for (joined, room) in [false, true].into_iter().flat_map(|joined| (1..90).map(move |room| (joined, room))) {
            // Each frame alone, or after one that has descriptors everything up to the next such frame.
            let mut kernel = Kernel(VecDeque::new());
            for (count, payload) in frames {
                match kernel.0.back_mut() {
                    Some((message, _)) if joined && count == 0 => message.extend(frame(count, payload)),
                    _ => kernel.0.push_back((frame(count, payload), count)),
                }
            }
            let mut incoming = Incoming::new(usize::MAX);
            let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
            let (mut read, mut found) = (0_u64, Vec::new());
            let cx = Context::from_waker(Waker::noop());
            loop {
                assert!(matches!(incoming.intake(&cx), Intake::Open), "{joined} {room}");
                let (bytes, count) = kernel.read(room);
                if bytes.is_empty() {
                    break;
                }
                let from = read;
                read += bytes.len() as u64;
                decoder.feed(&bytes);
                let descriptors = (0..count).map(|_| io::pipe().unwrap().0.into()).collect();
                incoming.arrived(from, read, descriptors, false);
                while let Some(batch) = decoder.next_batch().unwrap() {
                    let (batch, fault) = incoming.sort(batch, read - decoder.truncated_len() as u64);
                    assert_eq!(fault, None, "{joined} {room}");
                    let (lots, _) = incoming.deliver(batch.iter());
                    let mut lots = lots.iter().map(Vec::len);
                    found.extend(batch.iter().map(|frame| if frame[0] == 0 { 0 } else { lots.next().unwrap() }));
                }
            }
            assert_eq!(found, frames.map(|(count, _)| count), "{joined} {room}");
            assert_eq!((incoming.received, incoming.delivered, incoming.closed()), (7, 7, 0));
        }
    }
}
