//! The statistics of a listener.

use std::fmt;
use std::io;

use crate::peer::Peer;

/// The connections that a listener has accepted or closed, and its failures. Display is one line.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AcceptStats {
    /// Connections returned to the caller.
    pub accepted: u64,
    /// Connections closed because their peer was not admitted, or because the kernel did not identify it.
    pub rejected: u64,
    /// Connections closed because there was no descriptor for them for too long, or because the runtime could not watch
    /// them.
    pub shed: u64,
    /// Attempts to accept that failed and were repeated.
    pub failures: u64,
    /// The last peer that was rejected.
    pub last_rejected: Option<Peer>,
    /// The error of the last attempt that failed.
    pub last_failure: Option<io::ErrorKind>,
}

impl fmt::Display for AcceptStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, rejected, shed, failures, last_rejected, last_failure } = self;
        write!(f, "{accepted} accepted, {rejected} rejected")?;
        if let Some(peer) = last_rejected {
            write!(f, " (last: {peer})")?;
        }
        write!(f, ", {shed} shed, {failures} failures")?;
        match last_failure {
            Some(kind) => write!(f, " (last: {kind})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_one_line() {
        let mut stats = AcceptStats::default();
        assert_eq!(stats.to_string(), "0 accepted, 0 rejected, 0 shed, 0 failures");
        stats.last_rejected = Some(Peer::new(7, 8, Some(9), []));
        stats.last_failure = Some(io::ErrorKind::OutOfMemory);
        assert_eq!(
            stats.to_string(),
            "0 accepted, 0 rejected (last: pid 9 (uid 7, gid 8)), 0 shed, 0 failures (last: out of memory)"
        );
    }
}
