//! The timers: the handshake, pings, the limit for a silent server, and the end of the session itself.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::event::Expiry;
use crate::{
    ids::Zxid,
    keepalive::{Due, Keepalive},
};

/// Why to give a connection up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// The session was not granted within this time.
    Handshake(Duration),
    /// Nothing has arrived for this long.
    Silence(Duration),
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(waited) => write!(f, "the server did not grant a session within {waited:?}"),
            Self::Silence(silence) => write!(f, "the server has been silent for {silence:?}"),
        }
    }
}

/// What is due.
pub(super) enum Alarm {
    Ping,
    GiveUp(GiveUp),
    /// No server has granted the session again in time.
    Expired,
}

/// The timers of a session.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The latest time that was passed in.
    now: Option<Instant>,
    /// When the stream was opened, and the deadline for the grant on it.
    handshake: Option<(Instant, Instant)>,
    keepalive: Option<Keepalive>,
    /// When we last heard from a server in this session.
    contact: Option<Instant>,
    /// When the last granted connection was lost.
    lost: Option<Instant>,
    /// Attempts since then in which a server closed the connection without an answer, and other attempts.
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

    pub(super) const fn handle_received(&mut self, now: Instant) {
        self.now = Some(now);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.handle_received(now);
            self.contact = Some(now);
        }
    }

    pub(super) const fn handle_sent(&mut self, now: Instant) {
        self.now = Some(now);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.handle_sent(now);
        }
    }

    pub(super) const fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        self.now = Some(now);
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.handle_bytes(bytes, now);
        }
    }

    /// The latest time at which something is due. `expires_at` is when the session expires by itself.
    pub(super) fn poll_timeout(&self, expires_at: Option<Instant>) -> Option<Instant> {
        match (&self.keepalive, self.handshake) {
            (Some(keepalive), _) => Some(keepalive.poll_timeout()),
            (None, Some((_, deadline))) => Some(expires_at.map_or(deadline, |at| at.min(deadline))),
            (None, None) => expires_at,
        }
    }

    /// What is due now.
    pub(super) fn handle_timeout(&mut self, expires_at: Option<Instant>, now: Instant) -> Option<Alarm> {
        self.now = Some(now);
        if let Some(keepalive) = &mut self.keepalive {
            return Some(match keepalive.handle_timeout(now)? {
                Due::Ping => Alarm::Ping,
                Due::GiveUp(silence) => Alarm::GiveUp(GiveUp::Silence(silence)),
            });
        }
        if expires_at.is_some_and(|at| at <= now) {
            return Some(Alarm::Expired);
        }
        let (opened, deadline) = self.handshake?;
        (deadline <= now).then(|| Alarm::GiveUp(GiveUp::Handshake(now.saturating_duration_since(opened))))
    }

    /// When a session with this timeout counts as expired.
    pub(super) fn expires_at(&self, timeout: Duration) -> Option<Instant> {
        let lost = self.lost?;
        let contact = self.contact.unwrap_or(lost);
        let third = timeout.checked_div(3)?;
        let by_contact = contact.checked_add(third.checked_mul(4)?)?;
        let by_loss = lost.checked_add(third.checked_mul(2)?)?;
        Some(by_contact.max(by_loss))
    }

    /// Why a session that has seen `last_zxid` counts as expired now.
    pub(super) fn expiry(&self, last_zxid: Zxid, now: Instant) -> Expiry {
        let silence = self.contact.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if self.unanswered > 0 && self.others == 0 {
            Expiry::Unanswered { silence, last_zxid }
        } else {
            Expiry::Unreachable { silence }
        }
    }
}
