//! The outbox compared with lists of frames, in any order of events.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::Outbox;

/// What a connection and its calls can do to an outbox.
#[derive(Debug, Clone)]
enum Event {
    /// A request of this many bytes is admitted.
    Admit {
        urgent: bool,
        len: usize,
    },
    /// A request is drafted, and rejected.
    Discard {
        urgent: bool,
        len: usize,
    },
    Take {
        urgent: bool,
        max_bytes: usize,
        max_frames: usize,
    },
    /// The connection writes this many of the bytes that it holds, or all of them.
    Write(usize),
    /// One of the calls that have not ended is withdrawn; the index is modulo their number.
    Withdraw(usize),
    /// The connection asks what it still has to write.
    Recall,
    /// The connection ends and every call fails.
    Clear,
    /// The connection ends and normal calls are kept.
    PutBack,
}

fn event() -> impl Strategy<Value = Event> {
    let len = || prop_oneof![3 => 0..6_usize, 1 => 0..60_usize];
    prop_oneof![
        8 => (any::<bool>(), len()).prop_map(|(urgent, len)| Event::Admit { urgent, len }),
        1 => (any::<bool>(), len()).prop_map(|(urgent, len)| Event::Discard { urgent, len }),
        4 => (any::<bool>(), 0..30_usize, 1..6_usize)
            .prop_map(|(urgent, max_bytes, max_frames)| Event::Take { urgent, max_bytes, max_frames }),
        4 => (0..20_usize).prop_map(Event::Write),
        4 => (0..30_usize).prop_map(Event::Withdraw),
        2 => Just(Event::Recall),
        1 => Just(Event::Clear),
        1 => Just(Event::PutBack),
    ]
}

#[derive(Debug, Clone)]
struct Frame {
    call: u32,
    urgent: bool,
    bytes: Vec<u8>,
}

/// Frames that were not taken are in `queued`; those that were taken and not sent to their last byte are in `taken`.
#[derive(Debug, Default)]
struct Model {
    calls: u32,
    queued: [Vec<Frame>; 2],
    /// Frames were withdrawn from a queue since it was last empty: a block may then be smaller than it could be.
    has_gaps: [bool; 2],
    taken: Vec<Frame>,
    /// Bytes written of the first frame that was taken.
    written: usize,
    /// The bytes that the connection holds and has not written.
    wire: Vec<u8>,
    /// The number of each call, among the queued or among the taken.
    numbers: BTreeMap<u32, u64>,
    /// Numbers of frames that were taken and have ended.
    ended: Vec<u64>,
}

impl Model {
    fn held(&self) -> usize {
        self.queued.iter().flatten().chain(&self.taken).map(|frame| frame.bytes.len()).sum()
    }

    /// The calls with a request that is written to its last byte, with the frames removed.
    fn take_sent(&mut self) -> Vec<u32> {
        let mut sent = Vec::new();
        while self.taken.first().is_some_and(|frame| frame.bytes.len() <= self.written) {
            let frame = self.taken.remove(0);
            self.written -= frame.bytes.len();
            self.ended.extend(self.numbers.remove(&frame.call));
            sent.push(frame.call);
        }
        sent
    }

    /// What the connection has to write, after frames were withdrawn.
    fn rest(&self) -> Vec<u8> {
        let all: Vec<u8> = self.taken.iter().flat_map(|frame| frame.bytes.clone()).collect();
        all[self.written..].to_vec()
    }
}

fn check(events: Vec<Event>) {
    let mut outbox = Outbox::default();
    let mut model = Model::default();
    for event in events {
        match event {
            Event::Admit { urgent, len } => {
                model.calls += 1;
                let call = model.calls;
                let bytes = vec![call.to_le_bytes()[0]; len];
                outbox.queue(urgent).draft().extend_from_slice(&bytes);
                model.numbers.insert(call, outbox.admit(urgent, call));
                model.queued[usize::from(urgent)].push(Frame { call, urgent, bytes });
            }
            Event::Discard { urgent, len } => {
                outbox.queue(urgent).draft().extend_from_slice(&vec![0xff; len]);
                outbox.queue(urgent).discard();
            }
            Event::Take { urgent, max_bytes, max_frames } => {
                take(&mut outbox, &mut model, urgent, max_bytes, max_frames)
            }
            Event::Write(most) => {
                let bytes = most.min(model.wire.len());
                model.wire.drain(..bytes);
                model.written += bytes;
                // More than was taken cannot have been written, so a count that is too high changes nothing.
                outbox.handle_written(if most > bytes && model.wire.is_empty() { most } else { bytes });
                let sent: Vec<u32> = std::iter::from_fn(|| outbox.pop_sent()).collect();
                assert_eq!(sent, model.take_sent());
            }
            Event::Withdraw(index) => withdraw(&mut outbox, &mut model, index),
            Event::Recall => assert!(outbox.recall().is_none(), "nothing was withdrawn since the last time"),
            Event::Clear => {
                outbox.clear();
                end_connection(&mut model);
                model.queued = Default::default();
            }
            Event::PutBack => {
                let normal: Vec<Frame> = model.taken.iter().filter(|frame| !frame.urgent).cloned().collect();
                let mut noted = Vec::new();
                outbox.put_back(
                    |call| normal.iter().any(|frame| frame.call == call),
                    |call, number| noted.push((call, number)),
                );
                end_connection(&mut model);
                assert!(noted.iter().map(|(call, _)| *call).eq(normal.iter().map(|frame| frame.call)));
                model.numbers.extend(noted);
                model.queued[0].splice(..0, normal);
                model.queued[1].clear();
            }
        }
        assert_eq!(outbox.held(), model.held());
        for urgent in [false, true] {
            assert_eq!(outbox.has_queued(urgent), !model.queued[usize::from(urgent)].is_empty());
        }
        if let Some(number) = model.ended.last() {
            assert!(!outbox.withdraw_taken(*number), "a frame that has ended cannot be withdrawn");
        }
    }
}

fn end_connection(model: &mut Model) {
    for frame in std::mem::take(&mut model.taken) {
        model.ended.extend(model.numbers.remove(&frame.call));
    }
    model.wire.clear();
    model.written = 0;
}

fn take(outbox: &mut Outbox, model: &mut Model, urgent: bool, max_bytes: usize, max_frames: usize) {
    let mut noted = Vec::new();
    let block = outbox.take(urgent, max_bytes, max_frames, |call, number| noted.push((call, number)));
    let queue = &mut model.queued[usize::from(urgent)];
    assert_eq!(block.is_some(), !queue.is_empty());
    let frames: Vec<Frame> = queue.drain(..noted.len()).collect();
    assert!(noted.iter().map(|(call, _)| *call).eq(frames.iter().map(|frame| frame.call)));
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.clone()).collect();
    assert_eq!(block.unwrap_or_default(), bytes);
    assert!(frames.len() <= max_frames && (bytes.len() <= max_bytes || frames.len() == 1));
    let has_gaps = &mut model.has_gaps[usize::from(urgent)];
    if let Some(next) = queue.first() {
        let is_full = frames.len() == max_frames || bytes.len() + next.bytes.len() > max_bytes;
        assert!(is_full || *has_gaps, "one more would have fitted");
    } else {
        *has_gaps = false;
    }
    model.numbers.extend(noted);
    model.taken.extend(frames);
    model.wire.extend(bytes);
}

fn withdraw(outbox: &mut Outbox, model: &mut Model, index: usize) {
    let calls: Vec<u32> = model.numbers.keys().copied().collect();
    let Some(call) = index.checked_rem(calls.len()).map(|index| calls[index]) else { return };
    let number = model.numbers[&call];
    if let Some(at) = model.taken.iter().position(|frame| frame.call == call) {
        let is_begun = at == 0 && model.written > 0;
        assert_eq!(outbox.withdraw_taken(number), !is_begun);
        if !is_begun {
            model.taken.remove(at);
            model.numbers.remove(&call);
            // What the connection holds is replaced before it writes anything else.
            model.wire = model.rest();
            assert_eq!(outbox.recall().expect("a frame was withdrawn"), model.wire);
        }
        return;
    }
    for (urgent, queue) in [false, true].into_iter().zip(&mut model.queued) {
        if let Some(at) = queue.iter().position(|frame| frame.call == call) {
            queue.remove(at);
            model.has_gaps[usize::from(urgent)] = true;
            outbox.withdraw_queued(urgent, number);
        }
    }
    model.numbers.remove(&call);
}

proptest! {
    #[test]
    fn an_outbox_is_two_lists_of_frames(events in vec(event(), 1..80)) {
        check(events);
    }
}
