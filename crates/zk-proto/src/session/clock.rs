//! A session is told the time, and does what is due.

use std::time::Instant;

use super::{
    Session,
    event::Ending,
    own::Own,
    timers::{Alarm, GiveUp},
};

impl Session {
    /// Frames were handled.
    pub const fn handle_received(&mut self, now: Instant) {
        self.timers.handle_received(now);
    }

    /// Bytes were handed to the connection.
    pub const fn handle_sent(&mut self, now: Instant) {
        self.timers.handle_sent(now);
    }

    /// So many more bytes arrived, of whole frames or not.
    pub const fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        self.timers.handle_bytes(bytes, now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), at the latest; `None` if nothing is due ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.poll_timeout(self.expires_at())
    }

    /// Does what is due: asks for a ping by [`poll_call`](Self::poll_call), ends a session that no server has granted again
    /// in time, or says that the connection is to be given up.
    ///
    /// Before you give it up, look into the stream once more and ask again: if this process was suspended, what says
    /// otherwise may lie there.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<GiveUp> {
        match self.timers.handle_timeout(self.expires_at(), now)? {
            Alarm::Ping => self.own.push_back(Own::Ping),
            Alarm::Expired => self.end(Ending::Expired(self.timers.expiry(self.last_zxid, now))),
            Alarm::GiveUp(why) => return Some(why),
        }
        None
    }

    /// When the session counts as expired, although no server has said so: 4/3 of its timeout after a server was last heard
    /// from. Where the loss was noticed late, because this process was suspended, there are 2/3 to find a server.
    #[must_use]
    pub fn expires_at(&self) -> Option<Instant> {
        self.timers.expires_at(self.grant.as_ref()?.timeout)
    }
}
