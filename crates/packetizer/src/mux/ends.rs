//! How calls end without a reply: by their deadline, or with the connection.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Mux, Output, State,
    slots::{Slot, Stage},
};
use crate::{
    error::Error,
    options::{Unsent, Urgency},
    protocol::Protocol,
};

impl<P: Protocol, W> Mux<P, W> {
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. It can be too early, because deadlines of
    /// calls that have ended are forgotten later.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Fails the calls with a deadline that is not after `now`. If no byte of a request was written, it is withdrawn:
    /// see [`recall`](Self::recall).
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(call) = self.deadlines.pop_due(now) {
            let Some(slot) = self.slots.find(call).filter(|slot| slot.deadline.is_some()) else { continue };
            slot.deadline = None;
            let (stage, urgent) = (slot.stage, slot.urgency != Urgency::Queued);
            let waiter = slot.waiter.take();
            self.note_deadline_over();
            let withdrawn = match stage {
                Stage::Queued(number) => {
                    self.outbox.withdraw_queued(urgent, number);
                    true
                }
                Stage::Taken(number) => self.outbox.withdraw_taken(number),
                Stage::Sent => false,
            };
            if withdrawn {
                self.end(call.index);
                self.report.withdrawn += 1;
            }
            if let Some(waiter) = waiter {
                self.report.timed_out += 1;
                let result = Err(Error::TimedOut { maybe_executed: !withdrawn });
                self.outputs.push_back(Output::Answer { waiter, result });
            }
        }
    }

    /// Call this after a timeout. If a request was withdrawn that [`poll_transmit`](Self::poll_transmit) had already
    /// returned, this returns everything that is still to be written. It replaces what was returned and is not yet
    /// [reported](Self::handle_written) as written.
    pub fn recall(&mut self) -> Option<Bytes> {
        self.outbox.recall()
    }

    /// Records that nothing more can be written on this connection. What was sent may still be answered.
    pub fn handle_write_closed(&mut self, unsent: Unsent) {
        if self.state == State::Open {
            self.state = State::WriteClosed;
        }
        self.stop_writing(unsent);
    }

    /// Records that the connection has ended. Every call that was sent fails with [`Error::MaybeExecuted`]; `unsent`
    /// decides about the others. Calls fail in the order in which they were made.
    pub fn handle_disconnect(&mut self, unsent: Unsent) {
        self.state = State::Down;
        if unsent == Unsent::Keep {
            self.fail(|slot| slot.stage == Stage::Sent);
        } else {
            self.fail(|_| true);
        }
        self.stop_writing(unsent);
    }

    fn stop_writing(&mut self, unsent: Unsent) {
        self.keeping = unsent == Unsent::Keep;
        if unsent == Unsent::Fail {
            self.fail(|slot| slot.stage != Stage::Sent);
            self.outbox.clear();
            return;
        }
        self.fail(|slot| slot.stage != Stage::Sent && slot.urgency != Urgency::Queued);
        let slots = &mut self.slots;
        for index in slots.in_order(|slot| matches!(slot.stage, Stage::Taken(_))) {
            slots.unlink(index);
            self.in_flight -= 1;
        }
        let mut queued = Vec::new();
        self.outbox.put_back(|index| slots.get(index).is_some(), |index, number| queued.push((index, number)));
        for (index, number) in queued {
            if let Some(slot) = slots.get_mut(index) {
                slot.stage = Stage::Queued(number);
            }
        }
    }

    /// Begins the next connection. Requests that were kept, and new ones, are sent on it.
    ///
    /// If state of the [`Protocol`] belongs to a connection, you must reset it: see
    /// [`protocol_mut`](Self::protocol_mut).
    pub fn handle_connect(&mut self) {
        if self.state != State::Down {
            self.handle_disconnect(Unsent::Keep);
        }
        self.state = State::Open;
        self.keeping = false;
    }

    /// Fails the calls for which `doomed` returns true.
    fn fail(&mut self, doomed: impl Fn(&Slot<P, W>) -> bool) {
        for index in self.slots.in_order(doomed) {
            let Some(slot) = self.end(index) else { continue };
            let error = if slot.stage == Stage::Sent {
                self.report.unanswered += 1;
                Error::MaybeExecuted
            } else {
                self.report.never_sent += 1;
                Error::NeverSent
            };
            if let Some(waiter) = slot.waiter {
                self.outputs.push_back(Output::Answer { waiter, result: Err(error) });
            }
        }
    }
}
