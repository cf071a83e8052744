//! The settings of an actor, for any socket.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    outlet::Overflow,
    quiet::{Quiet, Stall},
};

/// The limits and times of an actor that is not spawned yet.
pub(crate) struct Settings {
    pub(crate) outbox_bytes: usize,
    pub(crate) inbox_bytes: usize,
    pub(crate) linger: Duration,
    pub(crate) overflow: Overflow,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
    pub(crate) keep_alive: Option<(Duration, Sign)>,
}

/// Makes the keep-alive message.
pub(crate) type Sign = Box<dyn Fn() -> Bytes + Send>;

/// Decides when to send a keep-alive message.
pub(crate) struct KeepAlive {
    pub(crate) quiet: Quiet,
    pub(crate) frame: Sign,
}

impl Settings {
    pub(crate) const OUTBOX_BYTES: usize = 1 << 20;
    pub(crate) const INBOX_BYTES: usize = 1 << 20;
    pub(crate) const LINGER: Duration = Duration::from_secs(5);

    /// Watches for silence of the peer, from now on.
    pub(crate) fn idle(&self) -> Option<Quiet> {
        self.idle_timeout.map(Quiet::new)
    }

    /// Watches for a peer that accepts none of the waiting data, from now on.
    pub(crate) fn stall(&self) -> Option<Stall> {
        self.stall_timeout.map(Stall::new)
    }

    /// Watches for silence on our side, from now on.
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
