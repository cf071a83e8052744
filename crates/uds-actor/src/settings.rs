//! What can be set of an actor, whatever its socket.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    outlet::Overflow,
    quiet::{Quiet, Stall},
};

/// The bounds and times of an actor that is not spawned yet.
pub(crate) struct Settings {
    pub(crate) outbox_bytes: usize,
    pub(crate) inbox_bytes: usize,
    pub(crate) linger: Duration,
    pub(crate) overflow: Overflow,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) keep_alive: Option<(Duration, Sign)>,
}

/// Makes what is sent as a sign of life.
pub(crate) type Sign = Box<dyn Fn() -> Bytes + Send>;

/// What to send when nothing else has been sent for a while.
pub(crate) struct KeepAlive {
    pub(crate) quiet: Quiet,
    pub(crate) frame: Sign,
}

impl Settings {
    pub(crate) const OUTBOX_BYTES: usize = 1 << 20;
    pub(crate) const INBOX_BYTES: usize = 1 << 20;
    pub(crate) const LINGER: Duration = Duration::from_secs(5);

    /// Notices that the peer is silent, from now on.
    pub(crate) fn idle(&self) -> Option<Quiet> {
        self.idle_timeout.map(Quiet::new)
    }

    /// Notices that the peer takes nothing of what waits, from now on.
    pub(crate) fn stall(&self) -> Option<Stall> {
        self.stall_timeout.map(Stall::new)
    }

    /// Notices that nothing is sent, from now on.
    pub(crate) fn keep_alive(&mut self) -> Option<KeepAlive> {
        let (every, frame) = self.keep_alive.take()?;
        Some(KeepAlive { quiet: Quiet::new(every), frame })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            outbox_bytes: Self::OUTBOX_BYTES,
            inbox_bytes: Self::INBOX_BYTES,
            linger: Self::LINGER,
            overflow: Overflow::default(),
            idle_timeout: None,
            stall_timeout: None,
            keep_alive: None,
        }
    }
}
