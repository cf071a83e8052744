//! What a listener has seen.

use std::fmt;
use std::io;

use crate::peer::Peer;

/// What a listener has accepted, refused and suffered; Display is one line.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AcceptStats {
    /// Connections handed out.
    pub accepted: u64,
    /// Connections closed because their peer was not admitted, or the kernel would not say who it is.
    pub rejected: u64,
    /// Connections closed because there was no descriptor for them for too long, or the runtime could not watch them.
    pub shed: u64,
    /// Attempts that failed and were made again.
    pub failures: u64,
    /// The last peer that was refused.
    pub last_rejected: Option<Peer>,
    /// Why the last attempt failed that did.
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
