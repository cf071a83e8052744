//! What is due when: the handshake, pings, the end of patience with a silent server, and the end of the session itself.

use std::time::{Duration, Instant};

use super::{Ending, Expiry, Session, State, calls::Own};
use crate::keepalive::{Due, Keepalive};

/// Why a connection is to be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// The session was not granted in this time.
    Handshake(Duration),
    /// Nothing has arrived for this long.
    Silence(Duration),
}

/// The timers of a session.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The latest time that was told.
    now: Option<Instant>,
    /// When the stream was opened, and until when the session is to be granted on it.
    handshake: Option<(Instant, Instant)>,
    keepalive: Option<Keepalive>,
    /// When a server was last heard from in this session.
    contact: Option<Instant>,
    /// When the connection was lost that was granted last.
    lost: Option<Instant>,
    /// Attempts since then in which a server closed the connection without an answer, and others.
    unanswered: usize,
    others: usize,
}

impl Timers {
    pub(super) fn handle_open(&mut self, deadline: Instant, now: Instant) {
        self.handshake = Some((now, deadline));
        self.keepalive = None;
        self.now = Some(now);
    }

    pub(super) fn handle_granted(&mut self, timeout: Duration) {
        self.handshake = None;
        self.keepalive = self.now.map(|now| Keepalive::new(timeout, now));
        self.contact = self.now;
    }

    pub(super) const fn handle_live(&mut self) {
        self.lost = None;
        self.unanswered = 0;
        self.others = 0;
    }

    pub(super) fn handle_lost(&mut self, now: Instant) {
        self.now = Some(now);
        self.handshake = None;
        if self.keepalive.take().is_some() {
            self.lost = self.lost.or(Some(now));
        }
    }

    pub(super) const fn handle_pong(&mut self) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.handle_pong();
        }
    }

    pub(super) const fn note_unanswered(&mut self) {
        self.unanswered = self.unanswered.saturating_add(1);
    }

    pub(super) const fn note_other_failure(&mut self) {
        self.others = self.others.saturating_add(1);
    }
}

impl Session {
    /// Frames were handled.
    pub const fn handle_received(&mut self, now: Instant) {
        self.timers.now = Some(now);
        if let Some(keepalive) = &mut self.timers.keepalive {
            keepalive.handle_received(now);
            self.timers.contact = Some(now);
        }
    }

    /// Bytes were handed to the connection.
    pub const fn handle_sent(&mut self, now: Instant) {
        self.timers.now = Some(now);
        if let Some(keepalive) = &mut self.timers.keepalive {
            keepalive.handle_sent(now);
        }
    }

    /// So many more bytes arrived, of whole frames or not.
    pub const fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        self.timers.now = Some(now);
        if let Some(keepalive) = &mut self.timers.keepalive {
            keepalive.handle_bytes(bytes, now);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), at the latest; `None` if nothing is due ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (&self.state, &self.timers.keepalive, self.timers.handshake) {
            (State::Over(_), ..) => None,
            (State::Idle, None, None) => self.expires_at(),
            (_, Some(keepalive), _) => Some(keepalive.poll_timeout()),
            (_, None, Some((_, deadline))) => Some(self.expires_at().map_or(deadline, |at| at.min(deadline))),
            (_, None, None) => None,
        }
    }

    /// Does what is due: asks for a ping by [`poll_call`](Self::poll_call), ends a session that no server has granted again
    /// in time, or says that the connection is to be given up.
    ///
    /// Before you give it up, look into the stream once more and ask again: if this process was suspended, what says
    /// otherwise may lie there.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<GiveUp> {
        self.timers.now = Some(now);
        if self.timers.keepalive.is_none() && self.expires_at().is_some_and(|at| at <= now) {
            self.end(Ending::Expired(self.expiry(now)));
            return None;
        }
        if let Some(keepalive) = &mut self.timers.keepalive {
            return match keepalive.handle_timeout(now)? {
                Due::Ping => {
                    self.own.push_back(Own::Ping);
                    None
                }
                Due::GiveUp(silence) => Some(GiveUp::Silence(silence)),
            };
        }
        let (opened, deadline) = self.timers.handshake?;
        (deadline <= now).then(|| GiveUp::Handshake(now.saturating_duration_since(opened)))
    }

    /// When the session counts as expired, although no server has said so: 4/3 of its timeout after a server was last heard
    /// from. Where the loss was noticed late, because this process was suspended, there are 2/3 to find a server.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        let timeout = self.grant.as_ref()?.timeout;
        let lost = self.timers.lost?;
        let contact = self.timers.contact.unwrap_or(lost);
        let third = timeout.checked_div(3)?;
        let by_contact = contact.checked_add(third.checked_mul(4)?)?;
        let by_loss = lost.checked_add(third.checked_mul(2)?)?;
        Some(by_contact.max(by_loss))
    }

    fn expiry(&self, now: Instant) -> Expiry {
        let silence = self.timers.contact.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if self.timers.unanswered > 0 && self.timers.others == 0 {
            Expiry::Unanswered { silence, last_zxid: self.last_zxid }
        } else {
            Expiry::Unreachable { silence }
        }
    }
}
