//! A node that was read.

use bytes::Bytes;

use crate::{reply::Data, stat::Stat};

/// A payload from this size on shares the memory of the frame it came in; a smaller one is copied out.
pub(crate) const SHARE_FROM: usize = 4 << 10;

/// A node that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it holds; `None` is null, which is not the same as empty.
    ///
    /// Payloads of 4 KiB and more share the memory of the block they arrived in, and keep all of it: see
    /// [`detach`](Self::detach).
    pub data: Option<Bytes>,
    /// Its history.
    pub stat: Stat,
}

impl Node {
    /// What it holds, for those to whom null and empty are the same.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    /// The same node in memory of its own, to be kept for long.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { data: self.data.as_deref().map(Bytes::copy_from_slice), stat: self.stat }
    }

    /// What was read from a frame.
    pub(crate) fn new(data: &Data<'_>, frame: &Bytes) -> Self {
        Self { data: data.data.map(|bytes| payload(bytes, frame)), stat: data.stat }
    }
}

/// A part of a frame, shared or copied.
pub(crate) fn payload(bytes: &[u8], frame: &Bytes) -> Bytes {
    if bytes.len() < SHARE_FROM { Bytes::copy_from_slice(bytes) } else { frame.slice_ref(bytes) }
}
