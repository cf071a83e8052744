//! A batch put together from frames that arrived one by one.

use std::fmt;

use bytes::BytesMut;

use super::{Batch, Index};

/// Copies frames next to each other into one block, for sources that deliver one frame at a time, such as a packet
/// socket or a queue.
///
/// Memory grows with what is pushed.
///
/// ```
/// use frame_codec::BatchBuilder;
///
/// let mut builder = BatchBuilder::default();
/// builder.push(b"one");
/// builder.push(b"");
/// let batch = builder.take();
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"one"[..], b""]);
/// assert!(builder.is_empty());
/// ```
pub struct BatchBuilder {
    block: BytesMut,
    index: Index,
}

impl BatchBuilder {
    /// Adds a frame.
    ///
    /// # Panics
    ///
    /// If all frames together are 4 GiB long or longer.
    pub fn push(&mut self, frame: &[u8]) {
        let start = self.block.len();
        assert!(u32::try_from(start + frame.len()).is_ok(), "a batch is shorter than 4 GiB");
        self.block.extend_from_slice(frame);
        self.index.push(start, self.block.len());
    }

    /// Whether nothing was pushed since the start or the last [`take`](Self::take).
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.len() == 0
    }

    /// Approximately the memory of the batch, in bytes.
    #[must_use]
    pub fn memory_len(&self) -> usize {
        self.block.len() + self.index.memory_len()
    }

    /// The batch of the frames that were pushed. The builder is empty afterwards.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        Batch::of(std::mem::replace(&mut self.index, Index::expecting(0)), self.block.split().freeze())
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self { block: BytesMut::new(), index: Index::expecting(0) }
    }
}

impl fmt::Debug for BatchBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder").field("frames", &self.index.len()).field("bytes", &self.block.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_in_the_next_batch() {
        let mut builder = BatchBuilder::default();
        builder.push(b"first");
        let first = builder.take();
        assert!(builder.is_empty());
        builder.push(b"");
        assert!(!builder.is_empty(), "an empty frame is a frame");
        builder.push(b"second");
        assert_eq!(builder.memory_len(), 6 + 2 * size_of::<crate::batch::index::Span>());
        assert_eq!(format!("{builder:?}"), "BatchBuilder { frames: 2, bytes: 6 }");
        let second = builder.take();
        assert_eq!(first.iter().collect::<Vec<_>>(), [b"first"]);
        assert_eq!(second.iter().collect::<Vec<_>>(), [&b""[..], b"second"]);
        assert_eq!((second.byte_len(), builder.take().len()), (6, 0));
    }
}
