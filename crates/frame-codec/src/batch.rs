//! Many frames in one block of memory.

use std::fmt;

use bytes::{Bytes, BytesMut};

mod builder;
mod frames;
mod index;

pub(crate) use index::Index;
pub use {
    builder::BatchBuilder,
    frames::{Frames, IntoFrames},
};

use index::Span;

/// What a batch costs even if it holds very little: itself, its place in a queue, a permit, and what the allocator adds
/// to each.
const OVERHEAD: usize = 256;

/// The unit that moves: one block of bytes and the frames in it, in the order in which they arrived.
///
/// If you iterate over a borrowed batch, each frame is a `&[u8]`: no allocation, no reference count. If you iterate
/// over an owned one, each frame is a [`Bytes`] that shares the block and keeps all of it alive. Copy what you keep for
/// long: the whole batch with [`detach`](Self::detach), or one frame with [`copy_frame`](Self::copy_frame).
///
/// ```
/// use frame_codec::{Decoder, Delimited, Limits};
///
/// let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
/// decoder.feed(b"one\ntwo\nthr");
/// let batch = decoder.next_batch()?.expect("two lines are complete");
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [b"one", b"two"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Batch {
    block: Bytes,
    frames: Vec<Span>,
    byte_len: usize,
    oversized: Oversized,
}

/// Frames over the limit that the decoder skipped or shortened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Oversized {
    skipped: u32,
    shortened: u32,
}

impl Batch {
    /// The batch of these frames over their block.
    pub(crate) fn of(index: Index, block: Bytes) -> Self {
        assert!(u32::try_from(block.len()).is_ok(), "a block is shorter than 4 GiB");
        let (frames, byte_len) = index.into_frames();
        Self { block, frames, byte_len, oversized: Oversized::default() }
    }

    /// A batch of one frame.
    ///
    /// # Panics
    ///
    /// If the frame is 4 GiB long or longer.
    #[must_use]
    pub fn single(frame: Bytes) -> Self {
        let mut index = Index::expecting(1);
        index.push(0, frame.len());
        Self::of(index, frame)
    }

    /// The frames of several batches in one, in order. Copies them unless only one of the batches has any.
    ///
    /// # Panics
    ///
    /// If they are 4 GiB long or longer together.
    #[must_use]
    pub fn concat(batches: impl IntoIterator<Item = Self>) -> Self {
        let mut oversized = Oversized::default();
        let mut filled = Vec::new();
        for batch in batches {
            oversized.skipped = oversized.skipped.saturating_add(batch.oversized.skipped);
            oversized.shortened = oversized.shortened.saturating_add(batch.oversized.shortened);
            if !batch.is_empty() {
                filled.push(batch);
            }
        }
        if filled.len() <= 1 {
            return Self { oversized, ..filled.pop().unwrap_or_default() };
        }
        let byte_len = filled.iter().map(Self::byte_len).sum();
        let joined = Self::copied(filled.iter().map(Self::len).sum(), byte_len, filled.iter().flatten());
        Self { oversized, ..joined }
    }

    /// The number of frames.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether the batch has no frames.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How many frames over the limit the decoder left out directly before the first frame of this batch
    /// ([`Oversize::Skip`](crate::Oversize::Skip)). If no frame has followed them yet, the batch is empty.
    #[must_use]
    pub const fn skipped(&self) -> u32 {
        self.oversized.skipped
    }

    /// How many frames of this batch are only the beginnings of frames over the limit
    /// ([`Oversize::Shorten`](crate::Oversize::Shorten)). Such a frame is alone in its batch.
    #[must_use]
    pub const fn shortened(&self) -> u32 {
        self.oversized.shortened
    }

    /// The same batch, with the note that this many frames were left out before it.
    pub(crate) const fn behind(mut self, skipped: u32) -> Self {
        self.oversized.skipped = skipped;
        self
    }

    /// The same batch of one frame, with the note that the frame was shortened.
    pub(crate) const fn marked_shortened(mut self) -> Self {
        self.oversized.shortened = 1;
        self
    }

    /// The payload bytes of all frames together.
    #[must_use]
    pub const fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// The memory that the batch accounts for, in bytes: block and index, framing included, and a fixed 256 for the
    /// batch itself. Credits use this number. A block that was split off a larger buffer can keep up to four times as
    /// much alive.
    #[must_use]
    pub const fn memory_len(&self) -> usize {
        OVERHEAD + self.block.len() + self.frames.capacity() * size_of::<Span>()
    }

    /// The frame at this position.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.frames.get(index).map(|span| span.of(&self.block))
    }

    /// Where the payload of the frame at this position begins, in bytes from the beginning of the block that the batch
    /// was split from. Use it if you need the frame's position in the stream.
    #[must_use]
    pub fn offset(&self, index: usize) -> Option<usize> {
        self.frames.get(index).map(|span| span.start as usize)
    }

    /// Iterates over the frames as `&[u8]`.
    #[must_use]
    #[inline]
    pub fn iter(&self) -> Frames<'_> {
        Frames { block: &self.block, spans: self.frames.iter() }
    }

    /// Iterates over the frames as [`Bytes`] that share the block.
    #[must_use]
    pub fn into_frames(self) -> IntoFrames {
        IntoFrames { block: self.block, spans: self.frames.into_iter() }
    }

    /// The same frames in their own memory, without what surrounded them on the wire.
    ///
    /// Use it for batches that you keep for long: this batch may be a small part of a large block, and the whole block
    /// stays alive as long as any frame in it. The copy holds no [permit](Self::holding).
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { oversized: self.oversized, ..Self::copied(self.len(), self.byte_len, self) }
    }

    /// `len` frames of `byte_len` bytes in total, copied next to each other.
    fn copied<'a>(len: usize, byte_len: usize, frames: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut block = BytesMut::with_capacity(byte_len);
        let mut index = Index::expecting(len);
        for frame in frames {
            index.push(block.len(), block.len() + frame.len());
            block.extend_from_slice(frame);
        }
        Self::of(index, block.freeze())
    }

    /// The frame at this position in its own memory, so that it does not keep the block alive.
    #[must_use]
    pub fn copy_frame(&self, index: usize) -> Option<Bytes> {
        self.get(index).map(Bytes::copy_from_slice)
    }

    /// The frame at this position, sharing the block and keeping all of it alive.
    #[must_use]
    pub fn share_frame(&self, index: usize) -> Option<Bytes> {
        self.frames.get(index).map(|span| self.block.slice(span.start as usize..span.end as usize))
    }

    /// The batch without its first `count` frames; empty if it has no more than that. It shares the block and the
    /// [permit](Self::holding). What was [skipped](Self::skipped) before a frame that is taken away is not told again.
    #[must_use]
    pub fn without_first(mut self, count: usize) -> Self {
        let count = count.min(self.frames.len());
        if count > 0 {
            let left = u32::try_from(self.frames.len() - count).unwrap_or(u32::MAX);
            self.oversized = Oversized { skipped: 0, shortened: self.oversized.shortened.min(left) };
        }
        let gone = self.frames.drain(..count).map(|span| (span.end - span.start) as usize).sum::<usize>();
        self.byte_len -= gone;
        self
    }

    /// Ties `permit` to the memory: it is dropped with the last frame of this batch that is still alive. A credit that
    /// stands for the bytes therefore returns exactly when the bytes are freed.
    #[must_use]
    pub fn holding<P: Send + 'static>(mut self, permit: P) -> Self {
        struct Held<P> {
            block: Bytes,
            _permit: P,
        }

        impl<P> AsRef<[u8]> for Held<P> {
            fn as_ref(&self) -> &[u8] {
                &self.block
            }
        }

        self.block = Bytes::from_owner(Held { block: self.block, _permit: permit });
        self
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("frames", &self.len()).field("bytes", &self.byte_len).finish()
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a [u8];
    type IntoIter = Frames<'a>;

    #[inline]
    fn into_iter(self) -> Frames<'a> {
        self.iter()
    }
}

impl IntoIterator for Batch {
    type Item = Bytes;
    type IntoIter = IntoFrames;

    fn into_iter(self) -> IntoFrames {
        self.into_frames()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use super::*;

    #[test]
    fn a_permit_lives_as_long_as_the_last_frame_of_its_batch() {
        let permit = Arc::new(());
        let watch: Weak<()> = Arc::downgrade(&permit);
        let mut frames = Batch::single(Bytes::from_static(b"kept")).holding(permit).into_frames();
        let kept = frames.next().unwrap();
        drop(frames);
        assert!(watch.upgrade().is_some(), "a frame is still alive");
        drop(kept);
        assert!(watch.upgrade().is_none(), "nothing is left to pay for");
    }

    #[test]
    fn batches_joined_into_one_keep_the_order_of_their_frames() {
        let batch = |text: &'static str| Batch::single(Bytes::from_static(text.as_bytes()));
        let joined = Batch::concat([batch("a"), Batch::default(), batch(""), batch("bc")]);
        assert_eq!((joined.iter().collect::<Vec<_>>(), joined.byte_len()), (vec![&b"a"[..], b"", b"bc"], 3));
        assert!(Batch::concat([]).is_empty());
    }

    #[test]
    fn batches_joined_into_one_add_up_what_was_left_out_and_shortened() {
        let batch = |text: &'static str| Batch::single(Bytes::from_static(text.as_bytes()));
        let skipped_alone = Batch::default().behind(2);
        let counts = |batch: &Batch| (batch.len(), batch.skipped(), batch.shortened());
        let with_one = Batch::concat([skipped_alone.clone(), batch("a").marked_shortened()]);
        assert_eq!(counts(&with_one), (1, 2, 1));
        let with_two = Batch::concat([skipped_alone.clone(), batch("a").behind(1), batch("b").marked_shortened()]);
        assert_eq!((counts(&with_two), counts(&with_two.detach())), ((2, 3, 1), (2, 3, 1)));
        assert_eq!(counts(&Batch::concat([skipped_alone])), (0, 2, 0));
    }

    #[test]
    fn the_offset_of_a_frame_says_where_its_payload_begins() {
        let mut index = Index::expecting(2);
        index.push(1, 3);
        index.push(5, 5);
        let batch = Batch::of(index, Bytes::from_static(b".ab......"));
        assert_eq!([0, 1, 2].map(|position| batch.offset(position)), [Some(1), Some(5), None]);
    }

    #[test]
    fn a_detached_batch_keeps_nothing_of_its_block_alive() {
        let permit = Arc::new(());
        let watch = Arc::downgrade(&permit);
        let batch = {
            let mut index = Index::expecting(2);
            index.push(1, 3);
            index.push(5, 5);
            Batch::of(index, Bytes::from_static(b".ab.....................")).holding(permit)
        };
        let (detached, frame) = (batch.detach(), batch.copy_frame(0));
        assert_eq!((batch.copy_frame(2), drop(batch)), (None, ()));
        assert!(watch.upgrade().is_none(), "the block is gone");
        assert_eq!(detached.iter().collect::<Vec<_>>(), [&b"ab"[..], b""]);
        assert_eq!(
            (detached.byte_len(), detached.memory_len(), frame.as_deref()),
            (2, OVERHEAD + 2 + 2 * 8, Some(&b"ab"[..]))
        );
    }

    #[test]
    fn what_is_left_of_a_batch_has_the_frames_behind_those_taken_away() {
        let batch =
            Batch::concat(["a", "bcd", "", "ef"].map(|text| Batch::single(Bytes::from_static(text.as_bytes()))));
        let shared = batch.share_frame(1).unwrap();
        assert!(batch.block.as_ptr_range().contains(&shared.as_ptr()), "the frame lies in the block");
        assert_eq!((&shared[..], batch.share_frame(4)), (&b"bcd"[..], None));
        let left = batch.clone().without_first(2);
        assert_eq!((left.iter().collect::<Vec<_>>(), left.byte_len()), (vec![&b""[..], b"ef"], 2));
        assert_eq!((batch.clone().without_first(4).len(), batch.without_first(9).byte_len()), (0, 0));
    }

    #[test]
    fn what_is_known_of_frames_that_are_taken_away_goes_with_them() {
        let single = |text: &'static str| Batch::single(Bytes::from_static(text.as_bytes()));
        let batch = Batch::concat([single("a").behind(3), single("b").marked_shortened(), single("c")]);
        let known = |batch: Batch| (batch.skipped(), batch.shortened());
        assert_eq!(known(batch.clone().without_first(0)), (3, 1));
        assert_eq!(known(batch.clone().without_first(1)), (0, 1));
        assert_eq!(known(batch.without_first(3)), (0, 0));
        assert_eq!(known(single("b").marked_shortened().without_first(1)), (0, 0));
    }

    #[test]
    fn frames_are_lent_from_both_ends() {
        let batch = {
            let mut index = Index::expecting(3);
            index.push(0, 1);
            index.push(1, 1);
            index.push(1, 3);
            Batch::of(index, Bytes::from_static(b"abc"))
        };
        let mut frames = batch.iter();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames.next_back(), Some(&b"bc"[..]));
        assert_eq!(frames.next(), Some(&b"a"[..]));
        assert_eq!(frames.next(), Some(&b""[..]));
        assert_eq!((frames.next(), batch.byte_len(), batch.get(2)), (None, 3, Some(&b"bc"[..])));
    }
}
