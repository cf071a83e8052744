//! The law of the multiplexer: any interleaving of calls, cancellations, deadlines, partial writes, replies, garbage and
//! connections answers each waiter exactly once, with its own reply, and sends each request at most once and as a whole.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "it/echo.rs"]
mod echo;

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::Bytes;

use echo::{Echo, Lane, Say};
use frame_codec::Raw;
use packetizer::{CallId, Error, Limits, Mux, Options, Output, Unsent, Urgency};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    Call(Lane, Urgency, Option<u64>),
    Cancel(prop::sample::Index),
    /// The driver takes what is due, until it has this many blocks.
    Take(usize),
    /// The stream takes this many bytes of it.
    Write(usize),
    /// The peer answers the oldest request it has in a lane, or any one that is tagged.
    Reply(Lane, prop::sample::Index),
    /// The peer's reply is over the limit.
    Skipped(Lane, prop::sample::Index),
    Event,
    /// This many seconds pass.
    Time(u64),
    WriteClosed(Unsent),
    Disconnect(Unsent),
    Connect,
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Ordered), Just(Lane::Urgent), Just(Lane::Tagged)]
}

fn urgency() -> impl Strategy<Value = Urgency> {
    prop_oneof![6 => Just(Urgency::Queued), 1 => Just(Urgency::Ahead), 1 => Just(Urgency::Priming)]
}

fn unsent() -> impl Strategy<Value = Unsent> {
    prop_oneof![Just(Unsent::Fail), Just(Unsent::Keep)]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        12 => (lane(), urgency(), prop::option::of(0..20_u64)).prop_map(|(l, u, d)| Move::Call(l, u, d)),
        2 => any::<prop::sample::Index>().prop_map(Move::Cancel),
        6 => (0..3_usize).prop_map(Move::Take),
        6 => (0..40_usize).prop_map(Move::Write),
        10 => (lane(), any::<prop::sample::Index>()).prop_map(|(l, i)| Move::Reply(l, i)),
        1 => (lane(), any::<prop::sample::Index>()).prop_map(|(l, i)| Move::Skipped(l, i)),
        1 => Just(Move::Event),
        2 => (0..4_u64).prop_map(Move::Time),
        1 => unsent().prop_map(Move::WriteClosed),
        1 => unsent().prop_map(Move::Disconnect),
        2 => Just(Move::Connect),
    ];
    prop::collection::vec(one, 0..160)
}

/// What the model knows of a call.
#[derive(Debug, PartialEq)]
enum Fate {
    Waiting,
    Cancelled,
    Over,
}

/// A request as the peer gets it: `lane, tag, '<', number of the call, '>'`.
struct Call {
    id: CallId,
    fate: Fate,
    text: Vec<u8>,
    /// The connection on which its last byte was written.
    sent_on: Option<usize>,
}

struct Model {
    mux: Mux<Echo, usize>,
    calls: Vec<Call>,
    /// What the driver has and the stream has not.
    taken: VecDeque<u8>,
    /// What the peer has of a request.
    arriving: Vec<u8>,
    /// What the peer has and has not answered, by lane.
    peer: HashMap<Lane, VecDeque<Vec<u8>>>,
    start: Instant,
    now: Instant,
    connection: usize,
    up: bool,
    writable: bool,
    keeping: bool,
    events: u64,
}

impl Model {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            mux: Mux::new(Raw, Echo::default(), Limits::default()),
            calls: Vec::new(),
            taken: VecDeque::new(),
            arriving: Vec::new(),
            peer: HashMap::new(),
            start,
            now: start,
            connection: 0,
            up: true,
            writable: true,
            keeping: false,
            events: 0,
        }
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Call(lane, urgency, deadline) => self.call(*lane, *urgency, *deadline),
            Move::Cancel(index) if !self.calls.is_empty() => {
                let n = index.index(self.calls.len());
                let call = &mut self.calls[n];
                let expected = (call.fate == Fate::Waiting).then_some(n);
                assert_eq!(self.mux.cancel(call.id), expected);
                if expected.is_some() {
                    call.fate = Fate::Cancelled;
                }
            }
            Move::Cancel(_) => {}
            Move::Take(count) => {
                for _ in 0..*count {
                    self.taken.extend(self.mux.poll_transmit().unwrap_or_default());
                }
            }
            Move::Write(count) => self.write(*count),
            Move::Reply(lane, index) => match self.next_request(*lane, *index) {
                Some(frame) => {
                    self.mux.handle_frame(Bytes::from(frame)).unwrap();
                }
                None => drop(self.mux.handle_frame(Bytes::from_static(b"o?")).unwrap_err()),
            },
            Move::Skipped(lane, index) => {
                if let Some(frame) = self.next_request(*lane, *index) {
                    self.mux.handle_skipped(&frame[..2], 1 << 30, 100).unwrap();
                }
            }
            Move::Event => {
                assert_eq!(self.mux.handle_frame(Bytes::from_static(b"!")).is_ok(), self.up);
                self.events += u64::from(self.up);
            }
            Move::Time(seconds) => {
                self.now += Duration::from_secs(*seconds);
                self.mux.handle_timeout(self.now);
                if let Some(rest) = self.mux.recall() {
                    self.taken = VecDeque::from(rest.to_vec());
                }
            }
            Move::WriteClosed(unsent) => {
                self.writable = false;
                self.keeping = *unsent == Unsent::Keep;
                self.taken.clear();
                self.mux.handle_write_closed(*unsent);
            }
            Move::Disconnect(unsent) => self.disconnect(*unsent),
            Move::Connect if !self.up => {
                self.mux.handle_connect();
                (self.up, self.writable, self.keeping) = (true, true, false);
            }
            Move::Connect => {}
        }
        self.drain();
    }

    fn call(&mut self, lane: Lane, urgency: Urgency, deadline: Option<u64>) {
        let n = self.calls.len();
        let text = format!("<{n}>").into_bytes();
        let mut options = Options::new().with_urgency(urgency);
        if let Some(seconds) = deadline {
            options = options.with_deadline(self.start + Duration::from_secs(seconds));
        }
        match self.mux.request_with(&Say(lane, &text), options, n) {
            Ok(id) => {
                assert!(self.writable || self.keeping);
                self.calls.push(Call { id, fate: Fate::Waiting, text, sent_on: None });
            }
            // A byte is a small number: after 256 calls it is used again.
            Err((Error::TagInUse, waiter)) => assert!(waiter == n && lane == Lane::Tagged),
            Err((error, waiter)) => {
                assert!(!self.writable && !self.keeping && waiter == n && !error.maybe_executed(), "{error}");
            }
        }
    }

    /// The stream takes some bytes, and the peer reads them: whole requests, each once, none that was withdrawn.
    fn write(&mut self, count: usize) {
        for byte in self.taken.drain(..count.min(self.taken.len())) {
            self.mux.handle_written(1);
            self.arriving.push(byte);
            if byte != b'>' {
                continue;
            }
            let frame = std::mem::take(&mut self.arriving);
            let lane = match frame[0] {
                b'o' => Lane::Ordered,
                b'u' => Lane::Urgent,
                b't' => Lane::Tagged,
                other => panic!("byte {other} where a request begins"),
            };
            let n = number(&frame);
            let call = &mut self.calls[n];
            assert_eq!((&frame[2..], call.sent_on), (&call.text[..], None), "each request is sent once");
            call.sent_on = Some(self.connection);
            self.peer.entry(lane).or_default().push_back(frame);
        }
    }

    fn next_request(&mut self, lane: Lane, index: prop::sample::Index) -> Option<Vec<u8>> {
        let waiting = self.peer.get_mut(&lane).filter(|waiting| !waiting.is_empty())?;
        let at = if lane == Lane::Tagged { index.index(waiting.len()) } else { 0 };
        waiting.remove(at)
    }

    fn disconnect(&mut self, unsent: Unsent) {
        (self.up, self.writable, self.keeping) = (false, false, unsent == Unsent::Keep);
        self.connection += 1;
        self.taken.clear();
        self.arriving.clear();
        self.peer.clear();
        self.mux.handle_disconnect(unsent);
    }

    fn drain(&mut self) {
        while let Some(output) = self.mux.poll_output() {
            let Output::Answer { waiter, result } = output else { continue };
            let call = &mut self.calls[waiter];
            assert_eq!(call.fate, Fate::Waiting, "call {waiter} is answered once, and not when cancelled");
            call.fate = Fate::Over;
            let sent = call.sent_on.is_some();
            match result.and_then(|reply| reply.decode::<Say<'_>>()) {
                Ok(reply) => assert_eq!(reply.as_bytes(), call.text),
                Err(Error::MaybeExecuted | Error::ReplyTooLarge { .. }) => assert!(sent),
                Err(Error::NeverSent) => assert!(!sent),
                // Half of it may be out.
                Err(Error::TimedOut { maybe_executed: true }) => assert!(sent || !self.arriving.is_empty()),
                Err(Error::TimedOut { maybe_executed: false }) => {
                    assert!(!sent);
                    call.sent_on = Some(usize::MAX); // so that it is noticed if it goes out
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn finish(mut self) {
        self.disconnect(Unsent::Fail);
        self.drain();
        assert!(self.calls.iter().all(|call| call.fate != Fate::Waiting));
        let report = self.mux.report();
        let ended = report.answered
            + report.undecodable
            + report.too_large
            + report.late
            + report.withdrawn
            + report.never_sent
            + report.unanswered;
        assert_eq!(report.made, ended, "{report:?}");
        assert_eq!((report.made, report.events), (self.calls.len() as u64, self.events));
        assert_eq!((self.mux.waiting(), self.mux.outbox_bytes(), self.mux.in_flight()), (0, 0, 0));
    }
}

fn number(frame: &[u8]) -> usize {
    std::str::from_utf8(&frame[3..frame.len() - 1]).unwrap().parse().unwrap()
}

proptest! {
    #[test]
    fn any_interleaving_answers_each_waiter_exactly_once(moves in moves()) {
        let mut model = Model::new();
        for step in &moves {
            model.play(step);
        }
        model.finish();
    }

    #[test]
    fn no_frames_panic_and_what_waits_is_answered(
        calls in 0..6_usize,
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8), 0..20),
    ) {
        let mut mux = Mux::new(Raw, Echo::default(), Limits::default());
        for n in 0..calls {
            mux.request(&Say(if n % 2 == 0 { Lane::Ordered } else { Lane::Tagged }, b"text"), n).unwrap();
            let block = mux.poll_transmit().unwrap();
            mux.handle_written(block.len());
        }
        for frame in frames {
            if mux.handle_frame(Bytes::from(frame)).is_err() {
                break;
            }
        }
        mux.handle_disconnect(Unsent::Fail);
        let mut waiters: Vec<_> = std::iter::from_fn(|| mux.poll_output())
            .filter_map(|output| match output {
                Output::Answer { waiter, .. } => Some(waiter),
                Output::Event(_) => None,
            })
            .collect();
        waiters.sort_unstable();
        prop_assert_eq!(waiters, (0..calls).collect::<Vec<_>>());
    }
}
