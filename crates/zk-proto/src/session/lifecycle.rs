//! How connections begin and end, and the session with them.

use std::{sync::Arc, time::Instant};

use super::{
    Session, State,
    event::{Announced, Ending, Expiry, SessionEvent, Verdict},
    own::Own,
    timers::Timers,
};
use crate::{connect::ConnectResponse, error::Error, header::ReplyHeader, ids::Zxid, jute::Record};

impl Session {
    /// A stream was opened, and nothing was sent yet. The session must be granted on it by `deadline`. Make the calls
    /// of [`poll_call`](Self::poll_call) now.
    pub fn handle_open(&mut self, deadline: Instant, now: Instant) {
        if self.ending().is_some() {
            return;
        }
        self.timers.handle_open(deadline, now);
        self.own.clear();
        self.own.push_back(Own::Connect);
        self.own.extend(self.auths.all().map(|id| Own::Auth { id }));
        self.own.extend(self.watches.batches().into_iter().map(Own::SetWatches));
        self.priming = self.own.len();
    }

    /// The connection ended, before or after the session was granted on it. Notify the mux first.
    pub fn handle_lost(&mut self, now: Instant) {
        match &self.state {
            State::Over(_) => return,
            State::Replaced(_) => return self.end_replaced(),
            State::Connecting => self.timers.note_unanswered(),
            State::Idle | State::Rejected(_) | State::Priming => self.timers.note_other_failure(),
            State::Live => {}
        }
        if self.grant.as_ref().is_some_and(|grant| grant.read_only) {
            // The next server does not know it.
            if self.announced != Announced::Nothing {
                return self.end(Ending::Expired(Expiry::ReadOnly));
            }
            self.grant = None;
        }
        self.state = State::Idle;
        self.own.clear();
        self.priming = 0;
        self.timers.handle_lost(now);
        self.watches.handle_lost();
        if self.announced == Announced::Connected {
            self.announced = Announced::Suspended;
            self.events.push_back(SessionEvent::Suspended);
        }
    }

    /// No stream to any server could be opened.
    pub const fn handle_unreachable(&mut self) {
        self.timers.note_other_failure();
    }

    /// Whether to keep the connection. Call this after each frame that you handled, and after
    /// [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        match self.state {
            State::Rejected(code) => Verdict::Rejected(code),
            State::Over(_) => Verdict::Over,
            State::Idle | State::Connecting | State::Priming | State::Live | State::Replaced(_) => Verdict::Keep,
        }
    }

    /// The next event for the user of the session.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// Handles the reply to the connect request: this session, another one, none, or the header of a reply.
    pub(super) fn handle_handshake(&mut self, frame: &[u8]) -> Result<(), Error> {
        if frame.len() == ReplyHeader::LEN {
            self.state = State::Rejected(ReplyHeader::from_bytes(frame)?.err);
            return Ok(());
        }
        let Some(grant) = ConnectResponse::from_bytes(frame)?.grant() else {
            self.end(Ending::Expired(Expiry::Server));
            return Ok(());
        };
        match &self.grant {
            Some(asked) if asked.session != grant.session => {
                self.state = State::Replaced(Ending::Expired(Expiry::Replaced { granted: grant.session }));
                self.own.clear();
                self.own.push_back(Own::CloseOther);
            }
            _ => {
                self.timers.handle_granted(grant.timeout);
                self.grant = Some(grant);
                self.state = State::Priming;
                self.handle_primed();
            }
        }
        Ok(())
    }

    /// Handles one of the replies that the connection needs before it is ready.
    pub(super) fn handle_primed(&mut self) {
        self.priming = self.priming.saturating_sub(1);
        if self.priming > 0 || self.state != State::Priming {
            return;
        }
        self.state = State::Live;
        self.timers.handle_live();
        let event = match (self.announced, &self.grant) {
            (Announced::Nothing, Some(grant)) => {
                SessionEvent::Connected { session: grant.session, timeout: grant.timeout }
            }
            _ => SessionEvent::Resumed { gaps: self.watches.persistent_users() },
        };
        self.announced = Announced::Connected;
        self.events.push_back(event);
    }

    /// Ends the session, whatever its state was.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.ending().is_none() {
            self.set_over(ending);
        }
    }

    /// The session that was granted instead was closed, or its connection was lost.
    pub(super) fn end_replaced(&mut self) {
        if let State::Replaced(ending) = &self.state {
            let ending = ending.clone();
            self.set_over(ending);
        }
    }

    fn set_over(&mut self, ending: Ending) {
        self.state = State::Over(ending.clone());
        self.own.clear();
        self.watches.clear();
        self.timers = Timers::default();
        // The next session begins with no history.
        self.last_zxid = Zxid(0);
        self.events.push_back(SessionEvent::Ended(ending));
    }

    /// Queues requests that remove watches without users.
    pub(super) fn remove_watches(&mut self, orphans: impl IntoIterator<Item = Arc<str>>) {
        if !self.keeps_watches {
            self.own.extend(orphans.into_iter().map(Own::Unwatch));
        }
    }
}
