//! The named bounds of a funnel.

use std::time::Duration;

use frame_codec::Oversize;

/// How much a funnel holds. Its memory is at most [`connections`](Self::connections) times
/// ([`per_connection_bytes`](Self::per_connection_bytes) + one message + one read of 256 KiB), where a message that is cut
/// out of a larger buffer can cost up to [four times](frame_codec::Batch::memory_len) what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message, in bytes. At the limit: as [`oversize`](Self::oversize) says.
    pub max_frame: usize,
    /// What to do with a message over the limit: end its connection as malformed (the default), leave the message out
    /// ([`Event::Missing`](crate::Event::Missing)), or shorten it. The report counts both.
    pub oversize: Oversize,
    /// Memory of messages of one connection that were read and not yet dropped, in bytes. At the limit: its socket is not
    /// read, and the kernel makes the producer wait.
    pub per_connection_bytes: usize,
    /// Connections at one time. At the limit: each listener accepts one more and does not read from it, further ones wait in
    /// the kernel's accept queue, sockets in directories are not connected to, and each comes in as another leaves.
    pub connections: usize,
    /// Connections at one time from one user, among those that connect to a listener. At the limit: further ones are closed at
    /// once, because connections of other users wait behind them; [`Event::OverLimit`](crate::Event::OverLimit) tells of each.
    pub per_uid: usize,
    /// Producers in total; `None` for no bound. At the bound: names are taken back, no further connection is accepted or
    /// made, those that wait are closed ([`Event::Unread`](crate::Event::Unread)), and the funnel ends when the last
    /// producer has left, as after a shutdown.
    ///
    /// A connection counts once something has come on it. Until then it keeps its place, and if it ends like that, as a probe
    /// does, another may have the place. Peers that are rejected do not count.
    pub admissions: Option<u64>,
    /// How long a connection may go on after its socket has vanished from the directory, if it is still sending.
    pub vanished_grace: Duration,
}

impl Default for Limits {
    /// 1 MiB a message, 256 KiB a connection, 1024 connections, whatever their user, without a bound in total; one second.
    fn default() -> Self {
        Self {
            oversize: Oversize::Disconnect,
            max_frame: frame_codec::Limits::DEFAULT_MAX_FRAME,
            per_connection_bytes: 256 << 10,
            connections: 1024,
            per_uid: usize::MAX,
            admissions: None,
            vanished_grace: Duration::from_secs(1),
        }
    }
}
