//! The frames of a batch, one by one.

use std::{fmt, iter::FusedIterator, slice, vec};

use bytes::Bytes;

use super::index::Span;

/// Iterates over the frames of a [`Batch`](super::Batch) as `&[u8]`.
#[derive(Clone)]
pub struct Frames<'a> {
    pub(super) block: &'a [u8],
    pub(super) spans: slice::Iter<'a, Span>,
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.spans.next().map(|span| span.of(self.block))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl DoubleEndedIterator for Frames<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.spans.next_back().map(|span| span.of(self.block))
    }
}

impl ExactSizeIterator for Frames<'_> {}
impl FusedIterator for Frames<'_> {}

impl fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|frame| frame.escape_ascii().to_string())).finish()
    }
}

/// Iterates over the frames of a [`Batch`](super::Batch) as [`Bytes`].
pub struct IntoFrames {
    pub(super) block: Bytes,
    pub(super) spans: vec::IntoIter<Span>,
}

impl Iterator for IntoFrames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.spans.next().map(|span| self.block.slice(span.start as usize..span.end as usize))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.spans.size_hint()
    }
}

impl ExactSizeIterator for IntoFrames {}
impl FusedIterator for IntoFrames {}

impl fmt::Debug for IntoFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoFrames").field("left", &self.spans.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::BatchBuilder;

    #[test]
    fn the_frames_that_are_left_are_counted_and_printed() {
        let mut builder = BatchBuilder::default();
        [&b"one"[..], b"\xff", b"three"].into_iter().for_each(|frame| builder.push(frame));
        let batch = builder.take();
        let mut frames = batch.iter();
        assert_eq!((frames.len(), frames.next()), (3, Some(&b"one"[..])));
        assert_eq!((frames.size_hint(), format!("{frames:?}")), ((2, Some(2)), r#"["\\xff", "three"]"#.to_owned()));
        assert_eq!((frames.next_back(), frames.len()), (Some(&b"three"[..]), 1));
        let mut owned = batch.into_iter();
        assert_eq!((owned.size_hint(), format!("{owned:?}")), ((3, Some(3)), "IntoFrames { left: 3 }".to_owned()));
        assert_eq!((owned.next().as_deref(), owned.len()), (Some(&b"one"[..]), 2));
    }
}
