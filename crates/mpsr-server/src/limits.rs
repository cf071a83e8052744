//! The limits of a funnel.

use std::time::Duration;

use frame_codec::Oversize;

/// How much a funnel may hold. Its memory is at most [`connections`](Self::connections) times
/// ([`per_connection_bytes`](Self::per_connection_bytes) + one message + one read of 256 KiB). A message that is part
/// of a larger buffer can cost up to [four times](frame_codec::Batch::memory_len) its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest message, in bytes. At the limit: see [`oversize`](Self::oversize).
    pub max_frame: usize,
    /// What to do with a message over the limit: end its connection as malformed (the default), leave the message out
    /// ([`Event::Missing`](crate::Event::Missing)), or shorten it. The report counts both.
    pub oversize: Oversize,
    /// Memory for messages of one connection that were read and not dropped yet, in bytes. At the limit, the funnel
    /// does not read from its socket, and the kernel makes the producer wait.
    pub per_connection_bytes: usize,
    /// Connections at one time. At the limit, each listener accepts one more without reading from it, and further ones
    /// wait in the kernel's accept queue; the funnel does not connect to more sockets in directories. When a connection
    /// ends, the next one is admitted.
    pub connections: usize,
    /// Connections at one time from one user, among those that connect to a listener. At the limit, the funnel closes
    /// further ones immediately, so that they do not delay other users, and reports each with
    /// [`Event::OverLimit`](crate::Event::OverLimit).
    pub per_uid: usize,
    /// Producers in total; `None` for no limit. At the limit, the funnel removes the names of its listeners, accepts
    /// and makes no further connection, closes those that wait ([`Event::Unread`](crate::Event::Unread)), and ends when
    /// the last producer has left, as after a shutdown.
    ///
    /// A connection counts once it has sent something. Until then it holds its place; if it ends without sending, as a
    /// probe does, the place becomes free. Rejected peers do not count.
    pub admissions: Option<u64>,
    /// How long a connection may continue to send after its socket has vanished from the directory.
    pub vanished_grace: Duration,
}

impl Default for Limits {
    /// 1 MiB for a message, 256 KiB for a connection, 1024 connections of any users, no limit in total, and one second.
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
