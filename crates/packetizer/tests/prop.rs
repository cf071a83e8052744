//! The law of the multiplexer: any interleaving of calls, cancellations, partial writes, replies, garbage and a
//! disconnection answers each waiter exactly once, with its own reply.

#[path = "support/echo.rs"]
mod echo;

use std::collections::{HashMap, VecDeque};

use echo::{Echo, Lane, Say};
use packetizer::{CallId, Error, Limits, Mux, Output};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    Call(Lane),
    Cancel(prop::sample::Index),
    /// The driver takes this many requests.
    Take(usize),
    /// The stream takes this many of them.
    Send(usize),
    /// The peer answers the oldest request it has in a lane.
    Reply(Lane),
    Event,
    WriteClosed,
    Disconnect,
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::Ordered), Just(Lane::Urgent)]
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        8 => lane().prop_map(Move::Call),
        2 => any::<prop::sample::Index>().prop_map(Move::Cancel),
        4 => (0..4_usize).prop_map(Move::Take),
        4 => (0..4_usize).prop_map(Move::Send),
        8 => lane().prop_map(Move::Reply),
        1 => Just(Move::Event),
        1 => Just(Move::WriteClosed),
        1 => Just(Move::Disconnect),
    ];
    prop::collection::vec(one, 0..120)
}

/// What the model knows of a call.
#[derive(Debug, PartialEq)]
enum Fate {
    Waiting,
    Cancelled,
    Over,
}

struct Model {
    mux: Mux<Echo, usize>,
    ids: Vec<CallId>,
    fates: Vec<Fate>,
    texts: Vec<Vec<u8>>,
    taken: VecDeque<Vec<u8>>,
    /// What the peer has and has not answered, by lane.
    peer: HashMap<Lane, VecDeque<Vec<u8>>>,
    sent: usize,
    events: u64,
    open: bool,
    over: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            mux: Mux::new(Echo::default(), Limits::default()),
            ids: Vec::new(),
            fates: Vec::new(),
            texts: Vec::new(),
            taken: VecDeque::new(),
            peer: HashMap::new(),
            sent: 0,
            events: 0,
            open: true,
            over: false,
        }
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Call(lane) => self.call(*lane),
            Move::Cancel(index) if !self.ids.is_empty() => {
                let n = index.index(self.ids.len());
                let expected = (self.fates[n] == Fate::Waiting).then_some(n);
                assert_eq!(self.mux.cancel(self.ids[n]), expected);
                if expected.is_some() {
                    self.fates[n] = Fate::Cancelled;
                }
            }
            Move::Cancel(_) => {}
            Move::Take(count) => {
                for _ in 0..*count {
                    self.taken.extend(self.mux.poll_transmit().map(<[u8]>::to_vec));
                }
            }
            Move::Send(count) => {
                for frame in self.taken.drain(..(*count).min(self.taken.len())) {
                    let lane = if frame[0] == b'o' { Lane::Ordered } else { Lane::Urgent };
                    self.peer.entry(lane).or_default().push_back(frame);
                    self.sent += 1;
                    self.mux.handle_sent(1);
                }
            }
            Move::Reply(lane) => {
                if let Some(frame) = self.peer.get_mut(lane).and_then(VecDeque::pop_front) {
                    assert_eq!(self.mux.handle_frame(&frame).is_ok(), !self.over);
                } else {
                    assert!(self.mux.handle_frame(if *lane == Lane::Ordered { b"o?" } else { b"u?" }).is_err());
                }
            }
            Move::Event => {
                assert_eq!(self.mux.handle_frame(b"!").is_ok(), !self.over);
                self.events += u64::from(!self.over);
            }
            Move::WriteClosed => {
                self.open = false;
                self.taken.clear();
                self.mux.handle_write_closed();
            }
            Move::Disconnect => self.disconnect(),
        }
        self.drain();
    }

    fn call(&mut self, lane: Lane) {
        let n = self.fates.len();
        let text = format!("text {n}").into_bytes();
        match self.mux.request(&Say(lane, &text), n) {
            Ok(id) => {
                assert!(self.open);
                self.ids.push(id);
                self.fates.push(Fate::Waiting);
                self.texts.push(text);
            }
            Err((error, waiter)) => {
                assert!(!self.open && waiter == n && !error.maybe_executed(), "{error}");
            }
        }
    }

    fn disconnect(&mut self) {
        self.open = false;
        self.over = true;
        self.taken.clear();
        self.mux.handle_disconnect();
    }

    fn drain(&mut self) {
        while let Some(output) = self.mux.poll_output() {
            let Output::Answer { waiter, result } = output else { continue };
            assert_eq!(self.fates[waiter], Fate::Waiting, "call {waiter} is answered once, and not when cancelled");
            self.fates[waiter] = Fate::Over;
            match result {
                Ok(reply) => assert_eq!(reply, self.texts[waiter]),
                // Frames go out in the order of the calls, so the first `sent` calls are the ones that left.
                Err(Error::MaybeExecuted) => assert!(waiter < self.sent),
                Err(Error::NeverSent) => assert!(waiter >= self.sent),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn finish(mut self) {
        self.disconnect();
        self.drain();
        assert!(!self.fates.contains(&Fate::Waiting), "{:?}", self.fates);
        let account = self.mux.account();
        let ended = account.answered + account.undecodable + account.late + account.never_sent + account.unanswered;
        assert_eq!(account.made, ended);
        assert_eq!((account.made, account.events), (self.fates.len() as u64, self.events));
        assert_eq!((self.mux.waiting(), self.mux.outbox_bytes()), (0, 0));
    }
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
        let mut mux = Mux::new(Echo::default(), Limits::default());
        for n in 0..calls {
            mux.request(&Say(Lane::Ordered, b"text"), n).unwrap();
            mux.poll_transmit().unwrap();
        }
        mux.handle_sent(calls);
        for frame in &frames {
            if mux.handle_frame(frame).is_err() {
                break;
            }
        }
        mux.handle_disconnect();
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
