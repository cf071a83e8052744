//! Packets that were read and turned away.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::Peer;

/// Packets that were turned away after they were read, because of their size or their sender. Display is one line.
///
/// On a datagram socket, this does not end the actor. A connection ends with the first packet over the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnedAway {
    /// Packets longer than [`max_packet`](crate::packet::Actor::max_packet).
    pub oversized: u64,
    /// The length of the last of them in bytes.
    pub last_oversized: usize,
    /// Datagrams from processes that are not [admitted](crate::Bind::admit).
    pub uninvited: u64,
    /// The sender of the last of them.
    pub last_uninvited: Option<Peer>,
}

impl TurnedAway {
    /// Whether there are no such packets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.oversized == 0 && self.uninvited == 0
    }

    pub(super) const fn note_oversized(&mut self, len: usize) {
        self.oversized += 1;
        self.last_oversized = len;
    }

    pub(super) fn note_uninvited(&mut self, peer: Peer) {
        self.uninvited += 1;
        self.last_uninvited = Some(peer);
    }
}

/// The counts, written by the actor and read by its handles.
#[derive(Debug, Default)]
pub(super) struct TurnedAwayLog(Mutex<TurnedAway>);

impl TurnedAwayLog {
    pub(super) fn note(&self, note: impl FnOnce(&mut TurnedAway)) {
        note(&mut self.lock());
    }

    pub(super) fn get(&self) -> TurnedAway {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, TurnedAway> {
        // No code under this lock leaves the counts half changed, so a panic elsewhere is harmless.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { oversized, last_oversized, uninvited, last_uninvited } = self;
        write!(f, "turned away {oversized} oversized")?;
        if *oversized > 0 {
            write!(f, " (last: {last_oversized} bytes)")?;
        }
        write!(f, ", {uninvited} uninvited")?;
        match last_uninvited {
            Some(peer) => write!(f, " (last: {peer})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_turned_away_is_one_line() {
        let mut turned_away = TurnedAway::default();
        assert!(turned_away.is_empty());
        assert_eq!(turned_away.to_string(), "turned away 0 oversized, 0 uninvited");
        turned_away.note_oversized(300_000);
        turned_away.note_uninvited(Peer::new(7, 8, Some(9), []));
        assert!(!turned_away.is_empty());
        assert_eq!(
            turned_away.to_string(),
            "turned away 1 oversized (last: 300000 bytes), 1 uninvited (last: pid 9 (uid 7, gid 8))"
        );
    }
}
