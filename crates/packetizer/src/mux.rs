//! The multiplexer: requests in, frames out; frames in, answers out.
//!
//! ```text
//!   request ──► outbox ──► poll_transmit ──► (driver, connection) ──► handle_sent
//!      │
//!      └──► lane: slot, slot, slot ◄── classify ◄── handle_frame ◄── (connection, driver)
//!                  │
//!                  └── decode with the slot's context ──► poll_output ──► waiter
//! ```
//!
//! The life of a connection, seen from here:
//!
//! ```text
//!   Open ──finish──► Finishing ──handle_write_closed──► WriteClosed ──handle_disconnect──► Ended
//!    │  calls are taken   │  replies still come             │  what was sent may still be answered
//!    └────────────────────┴───── any later state may be reached at once ─────────────────────►
//! ```

use std::collections::VecDeque;
use std::fmt;

use crate::error::{Error, Fault};
use crate::lane::{Lane, Slot};
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::protocol::{Call, Class, ErrorOf, Protocol, Ticket, TicketOf};

/// Matches replies to requests for one connection. See the [crate] page.
///
/// Neither a clock nor a socket: the driver moves bytes, `W` is whatever a driver hands answers to.
pub struct Mux<P: Protocol, W> {
    protocol: P,
    limits: Limits,
    state: State,
    lanes: Vec<LaneOf<P, W>>,
    outbox: Outbox,
    outputs: VecDeque<OutputOf<P, W>>,
    /// Slots in all lanes.
    waiting: usize,
    account: Account,
}

type SlotOf<P, W> = Slot<<P as Protocol>::Tag, <P as Protocol>::Context, W>;
type LaneOf<P, W> = Lane<<P as Protocol>::Lane, <P as Protocol>::Tag, <P as Protocol>::Context, W>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Open,
    Finishing,
    WriteClosed,
    Ended,
}

/// What comes out of a [`Mux`], in the order in which it came in.
#[derive(Debug)]
pub enum Output<Reply, Event, E: std::error::Error + 'static, W> {
    /// A call is over.
    Answer {
        /// Who waited.
        waiter: W,
        /// The reply, or why there is none.
        result: Result<Reply, Error<E>>,
    },
    /// The peer said something unasked.
    Event(Event),
}

/// The [`Output`] of a protocol.
pub type OutputOf<P, W> = Output<<P as Protocol>::Reply, <P as Protocol>::Event, <P as Protocol>::Error, W>;

/// Names a call that was made, to [`cancel`](Mux::cancel) it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId {
    lane: usize,
    slot: u64,
}

/// What became of the calls of a connection. `made` is the sum of the others and of what still waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// Calls admitted.
    pub made: u64,
    /// Calls whose reply was handed to their waiter.
    pub answered: u64,
    /// Calls whose reply could not be decoded.
    pub undecodable: u64,
    /// Calls whose reply came after they had been cancelled.
    pub late: u64,
    /// Calls that the connection's end left without a reply and without having been sent.
    pub never_sent: u64,
    /// Calls that were sent and that the connection's end left without a reply.
    pub unanswered: u64,
    /// Frames that nobody had asked for, and that the protocol allows.
    pub events: u64,
}

impl<P: Protocol, W> Mux<P, W> {
    /// A connection on which nothing has been said.
    pub fn new(protocol: P, limits: Limits) -> Self {
        Self {
            protocol,
            limits,
            state: State::Open,
            lanes: Vec::new(),
            outbox: Outbox::default(),
            outputs: VecDeque::new(),
            waiting: 0,
            account: Account::default(),
        }
    }

    /// Queues a request. From here on its place in the order is fixed, and `waiter` comes out of
    /// [`poll_output`](Self::poll_output) exactly once — or from [`cancel`](Self::cancel).
    ///
    /// # Errors
    /// The waiter comes back with the reason; nothing of the request will be sent.
    pub fn request<C: Call<Protocol = P>>(&mut self, call: &C, waiter: W) -> Result<CallId, (Error<ErrorOf<P>>, W)> {
        let limits = self.limits;
        self.request_within(call, waiter, &limits)
    }

    /// As [`request`](Self::request), for what keeps the connection itself going — a ping, a farewell: it is admitted
    /// although the outbox is full or too many calls wait. Whoever uses it sees to it that there are few.
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request), but for [`Error::OutboxFull`] and [`Error::TooManyCalls`].
    pub fn request_beyond_limits<C: Call<Protocol = P>>(
        &mut self,
        call: &C,
        waiter: W,
    ) -> Result<CallId, (Error<ErrorOf<P>>, W)> {
        let limits = self.limits.with_max_outbox(usize::MAX).with_max_calls(usize::MAX);
        self.request_within(call, waiter, &limits)
    }

    fn request_within<C: Call<Protocol = P>>(
        &mut self,
        call: &C,
        waiter: W,
        limits: &Limits,
    ) -> Result<CallId, (Error<ErrorOf<P>>, W)> {
        match self.admit(call, limits) {
            Err(error) => {
                self.outbox.discard();
                Err((error, waiter))
            }
            Ok(Ticket { lane, tag, context }) => {
                let frame = self.outbox.admit();
                self.waiting += 1;
                self.account.made += 1;
                Ok(self.push(lane, Slot { tag, context, waiter: Some(waiter), frame }))
            }
        }
    }

    /// Drafts the request's frame in the outbox, if there is room for it.
    fn admit<C: Call<Protocol = P>>(&mut self, call: &C, limits: &Limits) -> Result<TicketOf<P>, Error<ErrorOf<P>>> {
        match self.state {
            State::Open => {}
            State::Finishing => return Err(Error::Finished),
            State::WriteClosed | State::Ended => return Err(Error::NeverSent),
        }
        if self.waiting >= limits.max_calls() {
            return Err(Error::TooManyCalls { max: limits.max_calls() });
        }
        let ticket = call.encode(&mut self.protocol, self.outbox.slab()).map_err(Error::Encode)?;
        let (len, queued) = (self.outbox.drafted(), self.outbox.held());
        if len > limits.max_request() {
            return Err(Error::TooLarge { len, max: limits.max_request() });
        }
        if queued > 0 && queued.saturating_add(len) > limits.max_outbox() {
            return Err(Error::OutboxFull { queued, len, max: limits.max_outbox() });
        }
        Ok(ticket)
    }

    /// Forgets who waits for a call, and gives the waiter back unless the call is over. The request is sent
    /// all the same, and its reply, when it comes, is counted as [`late`](Account::late).
    pub fn cancel(&mut self, call: CallId) -> Option<W> {
        self.lanes.get_mut(call.lane)?.cancel(call.slot)
    }

    /// Takes no more calls; what was called goes on. Later calls fail with [`Error::Finished`].
    pub fn finish(&mut self) {
        self.state = self.state.max(State::Finishing);
    }

    /// The next request to hand to the connection, as a frame without its length prefix.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        self.outbox.take()
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to give.
    pub fn has_transmit(&self) -> bool {
        self.outbox.has_queued()
    }

    /// Takes note that `frames` more of the requests that `poll_transmit` gave were handed to the connection
    /// to their last byte. Only these can have been executed, and only these may be answered.
    pub fn handle_sent(&mut self, frames: usize) {
        self.outbox.handle_sent(frames);
    }

    /// Takes a frame that arrived.
    ///
    /// # Errors
    /// A [`Fault`]: the peer is not to be followed any more. No call has been answered wrongly; the driver
    /// drops the connection and calls [`handle_disconnect`](Self::handle_disconnect).
    pub fn handle_frame(&mut self, frame: &[u8]) -> Result<(), Fault<ErrorOf<P>>> {
        if self.state == State::Ended {
            return Err(Fault::AfterEnd);
        }
        match self.protocol.classify(frame) {
            Err(source) => Err(Fault::Unclassified { len: frame.len(), source }),
            Ok(Class::Event(event)) => {
                self.account.events += 1;
                self.outputs.push_back(Output::Event(event));
                Ok(())
            }
            Ok(Class::Reply { lane, tag }) => {
                let slot = self.due(lane, &tag)?;
                self.answer(slot, frame);
                Ok(())
            }
        }
    }

    /// Removes the slot that a reply tagged `tag` must answer.
    fn due(&mut self, name: P::Lane, tag: &P::Tag) -> Result<SlotOf<P, W>, Fault<ErrorOf<P>>> {
        let sent = self.outbox.sent();
        let unasked = || Fault::Unasked { lane: format!("{name:?}"), found: format!("{tag:?}") };
        let lane = self.lanes.iter_mut().find(|lane| lane.name == name).ok_or_else(unasked)?;
        let due = lane.front().filter(|slot| slot.frame < sent).ok_or_else(unasked)?;
        if due.tag != *tag {
            return Err(Fault::OutOfOrder {
                lane: format!("{name:?}"),
                expected: format!("{:?}", due.tag),
                found: format!("{tag:?}"),
            });
        }
        self.waiting -= 1;
        Ok(lane.pop().expect("the front of this lane was just looked at"))
    }

    fn answer(&mut self, slot: SlotOf<P, W>, frame: &[u8]) {
        let Some(waiter) = slot.waiter else {
            self.account.late += 1;
            return;
        };
        let result = self.protocol.decode(slot.context, frame).map_err(Error::Decode);
        match result {
            Ok(_) => self.account.answered += 1,
            Err(_) => self.account.undecodable += 1,
        }
        self.outputs.push_back(Output::Answer { waiter, result });
    }

    /// Takes note that nothing more can be written: calls that were not sent fail with
    /// [`Error::NeverSent`], and so do later ones. What was sent may still be answered.
    pub fn handle_write_closed(&mut self) {
        self.state = self.state.max(State::WriteClosed);
        let sent = self.outbox.sent();
        self.outbox.clear();
        self.fail_from(sent, sent);
    }

    /// Takes note that the connection is over: every call that waits fails, in the order of the calls, with
    /// [`Error::NeverSent`] or [`Error::MaybeExecuted`]. Later calls fail with `NeverSent`.
    pub fn handle_disconnect(&mut self) {
        self.state = State::Ended;
        let sent = self.outbox.sent();
        self.outbox.clear();
        self.fail_from(0, sent);
    }

    /// Fails the calls whose frames are number `first` or later; those below `sent` may have been executed.
    fn fail_from(&mut self, first: u64, sent: u64) {
        let mut failed = Vec::new();
        for lane in &mut self.lanes {
            failed.extend(std::iter::from_fn(|| lane.pop_newest_from(first)));
        }
        self.waiting -= failed.len();
        failed.sort_unstable_by_key(|slot| slot.frame);
        for slot in failed {
            let error = if slot.frame < sent {
                self.account.unanswered += 1;
                Error::MaybeExecuted
            } else {
                self.account.never_sent += 1;
                Error::NeverSent
            };
            if let Some(waiter) = slot.waiter {
                self.outputs.push_back(Output::Answer { waiter, result: Err(error) });
            }
        }
    }

    /// The next answer or event.
    pub fn poll_output(&mut self) -> Option<OutputOf<P, W>> {
        self.outputs.pop_front()
    }

    /// The protocol and its state.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// Calls that wait for their replies, cancelled ones included.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Bytes of requests not yet handed to the connection.
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.held()
    }

    /// What became of the calls so far.
    pub fn account(&self) -> Account {
        self.account
    }

    /// Appends a slot to its lane, which comes into being with its first slot.
    fn push(&mut self, name: P::Lane, slot: SlotOf<P, W>) -> CallId {
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.name == name {
                return CallId { lane: index, slot: lane.push(slot) };
            }
        }
        let mut lane = Lane::new(name);
        let id = CallId { lane: self.lanes.len(), slot: lane.push(slot) };
        self.lanes.push(lane);
        id
    }
}

impl<P: Protocol, W> fmt::Debug for Mux<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("state", &self.state)
            .field("waiting", &self.waiting)
            .field("outbox_bytes", &self.outbox.held())
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
