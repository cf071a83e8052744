//! The multiplexer: requests in, bytes out; frames in, answers out.
//!
//! ```text
//!   request ──► outbox ──► poll_transmit ──► (driver, connection) ──► handle_written
//!      │
//!      └──► slot ◄── lane or tag ◄── classify ◄── handle_frame ◄── (connection, driver)
//!             │
//!             └── settle ──► poll_output ──► waiter ──► Reply::decode, wherever the waiter likes
//! ```
//!
//! The life of its connections:
//!
//! ```text
//!                     ┌───────────────────── handle_connect ──────────────────────┐
//!                     ▼                                                           │
//!   new ──────────► Open ──handle_write_closed──► WriteClosed ──handle_disconnect──► Down
//!                     │                            replies may still come         ▲
//!                     └───────────────── handle_disconnect ───────────────────────┘
//! ```
//!
//! While writing is not possible, [`Unsent::Keep`](crate::Unsent::Keep) accepts and keeps requests, and
//! [`Unsent::Fail`](crate::Unsent::Fail) fails them. After [`finish`](Mux::finish), no state accepts requests.

use std::{collections::VecDeque, fmt, sync::Arc};

use bytes::Bytes;
use frame_codec::Framing;

mod deadlines;
mod ends;
mod hash;
mod output;
mod replies;
mod slots;

pub use output::{Output, Reply, ReplyResult};
pub use slots::CallId;

use crate::{
    error::Error,
    limits::Limits,
    options::{Options, Urgency},
    outbox::Outbox,
    protocol::{Call, ErrorOf, Protocol, TicketOf},
    report::Report,
};
use deadlines::Deadlines;
use slots::{Slot, Slots, Stage};

/// Bytes of one block that [`Mux::poll_transmit`] returns, unless a single request is larger.
const BLOCK: usize = 256 << 10;

/// Answers and events for which an empty output keeps room.
const KEPT_OUTPUTS: usize = 1 << 10;

/// Matches replies to requests, over one connection after the other. See the [crate] page.
///
/// It has neither a clock nor a socket: the driver moves bytes and passes the time. `W` is what the driver needs to
/// hand over an answer.
pub struct Mux<P: Protocol, W> {
    protocol: P,
    framing: Arc<dyn Framing + Send + Sync>,
    /// The length of the last request's head, as a guess for how much room to leave for the next one.
    head_len: usize,
    limits: Limits,
    state: State,
    /// Whether requests are accepted although they cannot be written now.
    keeping: bool,
    finished: bool,
    slots: Slots<P, W>,
    outbox: Outbox,
    deadlines: Deadlines,
    outputs: VecDeque<Output<P, W>>,
    /// Requests that were handed to the connection, completely or in part.
    in_flight: usize,
    /// Priming calls without a reply.
    priming: usize,
    /// Calls for which a place is reserved.
    reserved: usize,
    report: Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    WriteClosed,
    Down,
}

impl<P: Protocol, W> Mux<P, W> {
    /// A multiplexer with an open connection that has not been used yet. If you have no connection, call
    /// [`handle_disconnect`](Self::handle_disconnect) first.
    pub fn new(framing: impl Framing + Send + Sync + 'static, protocol: P, limits: Limits) -> Self {
        Self {
            protocol,
            framing: Arc::new(framing),
            head_len: 0,
            limits,
            state: State::Open,
            keeping: false,
            finished: false,
            slots: Slots::new(),
            outbox: Outbox::default(),
            deadlines: Deadlines::default(),
            outputs: VecDeque::new(),
            in_flight: 0,
            priming: 0,
            reserved: 0,
            report: Report::default(),
        }
    }

    /// Queues a request. From here on its place in the order is fixed, and [`poll_output`](Self::poll_output) or
    /// [`cancel`](Self::cancel) returns `waiter` exactly once.
    ///
    /// # Errors
    /// The waiter and the reason. Nothing of the request will be sent.
    pub fn request<C: Call<Protocol = P>>(&mut self, call: &C, waiter: W) -> Result<CallId, (Error<ErrorOf<P>>, W)> {
        self.request_with(call, Options::new(), waiter)
    }

    /// Like [`request`](Self::request), with a place in the order, a deadline, or beyond the limits.
    ///
    /// # Errors
    /// See [`request`](Self::request).
    pub fn request_with<C: Call<Protocol = P>>(
        &mut self,
        call: &C,
        options: Options,
        waiter: W,
    ) -> Result<CallId, (Error<ErrorOf<P>>, W)> {
        let urgent = options.urgency != Urgency::Queued;
        let ticket = match self.admit(call, urgent, options.beyond_limits) {
            Ok(ticket) => ticket,
            Err(error) => {
                self.outbox.queue(urgent).discard();
                return Err((error, waiter));
            }
        };
        let number = self.outbox.admit(urgent, self.slots.next_index());
        let mut slot = Slot::new(ticket.route, ticket.context, waiter, options.urgency);
        slot.stage = Stage::Queued(number);
        slot.deadline = options.deadline;
        let id = self.slots.insert(slot);
        if let Some(deadline) = options.deadline {
            self.deadlines.insert(deadline, id);
        }
        self.priming += usize::from(options.urgency == Urgency::Priming);
        self.report.made += 1;
        Ok(id)
    }

    /// Drafts the request's frame in its queue, if there is room for it.
    fn admit<C: Call<Protocol = P>>(
        &mut self,
        call: &C,
        urgent: bool,
        beyond_limits: bool,
    ) -> Result<TicketOf<P>, Error<ErrorOf<P>>> {
        if self.finished {
            return Err(Error::Finished);
        }
        if self.state != State::Open && !self.keeping {
            return Err(Error::NeverSent);
        }
        if !beyond_limits && self.slots.len().saturating_add(self.reserved) >= self.limits.max_calls() {
            return Err(Error::TooManyCalls { max: self.limits.max_calls() });
        }
        let queued = self.outbox.held();
        let queue = self.outbox.queue(urgent);
        let slab = queue.draft();
        let begin = slab.len();
        slab.resize(begin + self.head_len, 0);
        let ticket = call.encode(&mut self.protocol, slab).map_err(Error::Encode)?;
        let payload = slab.get(begin + self.head_len..).expect("Call::encode only appends to the frame it is given");
        if payload.len() > self.limits.max_request() {
            return Err(Error::TooLarge { len: payload.len(), max: self.limits.max_request() });
        }
        let envelope = self.framing.envelope(payload).map_err(Error::Framing)?;
        let head = envelope.head.as_ref();
        if head.len() != self.head_len {
            // The length of the head depends on that of the payload, and the guess was wrong.
            let payload_len = payload.len();
            slab.resize(begin + head.len().max(self.head_len) + payload_len, 0);
            slab.copy_within(begin + self.head_len..begin + self.head_len + payload_len, begin + head.len());
            slab.truncate(begin + head.len() + payload_len);
            self.head_len = head.len();
        }
        if let Some(room) = slab.get_mut(begin..begin + head.len()) {
            room.copy_from_slice(head);
        }
        slab.extend_from_slice(envelope.tail);
        let len = queue.drafted();
        if !beyond_limits && queued > 0 && queued.saturating_add(len) > self.limits.max_outbox() {
            return Err(Error::OutboxFull { queued, len, max: self.limits.max_outbox() });
        }
        if self.slots.is_taken(&ticket.route) {
            return Err(Error::TagInUse);
        }
        Ok(ticket)
    }

    /// Reserves a place for a call, if there is room for one. Once no more calls are accepted, every reservation
    /// succeeds, because the call then fails at once.
    #[cfg(feature = "tower")]
    pub(crate) fn try_reserve(&mut self) -> bool {
        let room = self.slots.len().saturating_add(self.reserved) < self.limits.max_calls()
            && (self.outbox.held() == 0 || self.outbox.held() < self.limits.max_outbox());
        let over = self.finished || (self.state != State::Open && !self.keeping);
        self.reserved += usize::from(room || over);
        room || over
    }

    /// Releases a reservation: it was used, or is not wanted any more.
    #[cfg(feature = "tower")]
    pub(crate) const fn release_reserved(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Returns the waiter of a call, unless the call has ended. The request is still sent, and its reply is settled
    /// when it comes and counted as [`late`](Report::late).
    pub fn cancel(&mut self, call: CallId) -> Option<W> {
        self.slots.find(call)?.waiter.take()
    }

    /// Accepts no more calls; pending calls continue. Later calls fail with [`Error::Finished`].
    pub const fn finish(&mut self) {
        self.finished = true;
    }

    /// The next bytes for the connection: complete requests in their framing, as many as are due, up to 256 KiB. Call
    /// it until it returns `None`, and write the blocks in this order.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        if self.state != State::Open {
            return None;
        }
        let slots = &mut self.slots;
        let mut taken = 0;
        let mut note = |index, number| {
            slots.handle_taken(index, number);
            taken += 1;
        };
        let block = self.outbox.take(true, BLOCK, usize::MAX, &mut note).or_else(|| {
            let room = self.limits.max_in_flight().saturating_sub(self.in_flight);
            if self.priming > 0 || room == 0 { None } else { self.outbox.take(false, BLOCK, room, &mut note) }
        });
        self.in_flight += taken;
        if block.as_ref().is_some_and(Bytes::is_empty) {
            // Requests without bytes count as written when everything before them is.
            self.handle_written(0);
        }
        block
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something to return.
    pub fn has_transmit(&self) -> bool {
        let room = self.priming == 0 && self.in_flight < self.limits.max_in_flight();
        self.state == State::Open && (self.outbox.has_queued(true) || (room && self.outbox.has_queued(false)))
    }

    /// Whether there is a connection that takes requests.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Records that the connection took `bytes` more of what [`poll_transmit`](Self::poll_transmit) returned. Only a
    /// request that was written to its last byte can have been executed, and only such a request may be answered.
    pub fn handle_written(&mut self, bytes: usize) {
        self.outbox.handle_written(bytes);
        while let Some(index) = self.outbox.pop_sent() {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.stage = Stage::Sent;
            }
        }
    }

    /// Removes a call that has ended.
    fn end(&mut self, index: u32) -> Option<Slot<P, W>> {
        let slot = self.slots.remove(index)?;
        self.priming -= usize::from(slot.urgency == Urgency::Priming);
        self.in_flight -= usize::from(!matches!(slot.stage, Stage::Queued(_)));
        if slot.deadline.is_some() {
            self.note_deadline_over();
        }
        Some(slot)
    }

    fn note_deadline_over(&mut self) {
        let slots = &self.slots;
        self.deadlines.handle_over(|call| slots.get(call.index).is_some_and(|slot| slot.sequence == call.sequence));
    }

    /// The next answer or event.
    pub fn poll_output(&mut self) -> Option<Output<P, W>> {
        let output = self.outputs.pop_front();
        if output.is_none() {
            self.outputs.shrink_to(KEPT_OUTPUTS);
        }
        output
    }

    /// Counts, for the [`Report`], a reply that could not be decoded.
    pub const fn note_undecodable(&mut self) {
        self.report.answered = self.report.answered.saturating_sub(1);
        self.report.undecodable += 1;
    }

    /// The protocol and its state.
    pub const fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The protocol and its state, for changes, for example between two connections.
    pub const fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// The framing of the requests.
    #[cfg(feature = "tokio")]
    pub(crate) fn framing(&self) -> Arc<dyn Framing + Send + Sync> {
        Arc::clone(&self.framing)
    }

    /// The limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets the limits; calls that were admitted stay.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Pending calls, including cancelled ones.
    pub fn waiting(&self) -> usize {
        self.slots.len()
    }

    /// Requests that were handed to the connection, completely or in part, and that have no reply.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes of requests, framing included, that were not handed to the connection.
    pub const fn outbox_bytes(&self) -> usize {
        self.outbox.held()
    }

    /// What has happened to the calls so far.
    pub const fn report(&self) -> Report {
        self.report
    }
}

impl<P: Protocol, W> fmt::Debug for Mux<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("state", &self.state)
            .field("waiting", &self.waiting())
            .field("in_flight", &self.in_flight)
            .field("outbox_bytes", &self.outbox.held())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
