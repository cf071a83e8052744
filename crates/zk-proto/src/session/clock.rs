//! Time in a session: what to record, and what is due.

use std::time::Instant;

use super::{
    Session,
    event::Ending,
    own::Own,
    timers::{Alarm, GiveUp},
};

impl Session {
    /// Records that frames were handled.
    pub const fn handle_received(&mut self, now: Instant) {
        self.timers.handle_received(now);
    }

    /// Records that bytes were written to the connection.
    pub const fn handle_sent(&mut self, now: Instant) {
        self.timers.handle_sent(now);
    }

    /// Records that this many more bytes arrived, of complete frames or not.
    pub const fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        self.timers.handle_bytes(bytes, now);
    }

    /// The latest time at which to call [`handle_timeout`](Self::handle_timeout); `None` if nothing will become due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout(self.expires_at())
    }

    /// Does what is due: asks for a ping through [`poll_call`](Self::poll_call), ends a session that no server has
    /// granted again in time, or tells you to give the connection up.
    ///
    /// Before you give it up, read from the stream once more and call this again: if the process was suspended, frames
    /// may be waiting there.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<GiveUp> {
        match self.timers.handle_timeout(self.expires_at(), now)? {
            Alarm::Ping => self.own.push_back(Own::Ping),
            Alarm::Expired => self.end(Ending::Expired(self.timers.expiry(self.last_zxid, now))),
            Alarm::GiveUp(why) => return Some(why),
        }
        None
    }

    /// When the session counts as expired although no server has said so: 4/3 of its timeout after we last heard from a
    /// server. If the loss was noticed late, because this process was suspended, 2/3 remain for finding a server.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.timers.expires_at(self.grant.as_ref()?.timeout)
    }
}
