//! A node as read from a server.

use bytes::Bytes;

use crate::{reply::Data, stat::Stat};

/// Payloads of this size or more share the memory of the frame that they arrived in; smaller ones are copied.
pub(crate) const SHARE_FROM: usize = 4 << 10;

/// A node as read from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's data. `None` is null, which differs from empty.
    ///
    /// Data of 4 KiB or more shares the memory of the block that it arrived in, and keeps all of that block alive: see
    /// [`detach`](Self::detach).
    pub data: Option<Bytes>,
    /// The node's history.
    pub stat: Stat,
}

impl Node {
    /// The node's data, if you need not distinguish null from empty.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    /// The same node with its own copy of the data, for keeping it for a long time.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { data: self.data.as_deref().map(Bytes::copy_from_slice), stat: self.stat }
    }

    /// Builds a node from a decoded reply.
    pub(crate) fn new(data: &Data<'_>, frame: &Bytes) -> Self {
        Self { data: data.data.map(|bytes| payload(bytes, frame)), stat: data.stat }
    }
}

/// Part of a frame, shared or copied.
pub(crate) fn payload(bytes: &[u8], frame: &Bytes) -> Bytes {
    if bytes.len() < SHARE_FROM { Bytes::copy_from_slice(bytes) } else { frame.slice_ref(bytes) }
}
