//! The framing of the driver's pump: requests reach it already framed, and replies over the limit are skipped.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use frame_codec::{DecodeError, EncodeError, Envelope, Framing, Scan};

use crate::protocol::Skip;

/// A frame that is only a piece of a reply that is being skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// The beginning of a reply of this many bytes.
    Head { len: u64 },
    /// Later bytes of it, which are not kept.
    Rest,
}

/// Wraps the framing of a connection.
///
/// In the receiving direction it remembers how much of a large reply is still to be skipped. A [`Framing`] should have
/// no state. This one serves a single decoder, which takes every frame that a scan finds exactly once and in order. The
/// sending side does not scan.
#[derive(Clone)]
pub(super) struct Wire {
    framing: Arc<dyn Framing + Send + Sync>,
    max_frame: usize,
    /// `None` if a reply over the limit ends the connection.
    skip: Option<Skip>,
    state: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Frames found, pieces included.
    found: AtomicU64,
    /// Whether there is anything in `state`: the usual case takes no lock.
    used: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes of the reply that is being skipped, framing included.
    len: usize,
    /// Those of them that have not arrived.
    rest: usize,
    /// Which of the frames found are pieces, oldest first.
    pieces: VecDeque<(u64, Piece)>,
}

impl Wire {
    pub(super) fn new(framing: Arc<dyn Framing + Send + Sync>, max_frame: usize, skip: Option<Skip>) -> Self {
        Self { framing, max_frame, skip, state: Arc::default() }
    }

    /// What the frame with this number is, if it is not an ordinary one. Call it once for each frame, in order.
    pub(super) fn piece(&self, number: u64) -> Option<Piece> {
        if !self.state.used.load(Ordering::Relaxed) {
            return None;
        }
        let mut state = self.lock();
        if state.pieces.front()?.0 != number {
            return None;
        }
        let (_, piece) = state.pieces.pop_front()?;
        if state.rest == 0 && state.pieces.is_empty() {
            self.state.used.store(false, Ordering::Relaxed);
        }
        Some(piece)
    }

    /// The limit of a reply, in bytes.
    pub(super) const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Bytes that arrived of an incomplete reply that is being skipped.
    pub(super) fn unfinished(&self) -> usize {
        if !self.state.used.load(Ordering::Relaxed) {
            return 0;
        }
        let state = self.lock();
        if state.rest == 0 { 0 } else { state.len - state.rest }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a frame; only the decoder's side does.
    fn count(&self) -> u64 {
        let number = self.state.found.load(Ordering::Relaxed);
        self.state.found.store(number + 1, Ordering::Relaxed);
        number
    }

    fn note(&self, state: &mut State, piece: Piece) {
        state.pieces.push_back((self.count(), piece));
        self.state.used.store(true, Ordering::Relaxed);
    }

    /// A reply over the limit: its beginning as a frame, or why it cannot be skipped.
    fn skip(&self, unread: &[u8], error: DecodeError) -> Result<Scan, DecodeError> {
        let (Some(Skip { head, max }), DecodeError::FrameTooLarge { len, .. }) = (self.skip, &error) else {
            return Err(error);
        };
        if *len > max {
            return Err(error);
        }
        let (Ok(len), Ok(envelope)) = (usize::try_from(*len), self.framing.envelope(&[])) else { return Err(error) };
        let whole = self.framing.scan(unread, 0, usize::MAX);
        let Ok(Scan::Frame { end, .. } | Scan::More { at_least: end, .. }) = whole else { return Err(error) };
        // A framing that searches for the end does not know it yet, so it is unknown how much to skip.
        let Some(begin) = end.checked_sub(len.saturating_add(envelope.tail.len())) else { return Err(error) };
        let head = begin.saturating_add(head.min(len));
        if unread.len() < head {
            return Ok(Scan::More { at_least: head, scanned: 0 });
        }
        let mut state = self.lock();
        state.len = end;
        state.rest = end - head;
        self.note(&mut state, Piece::Head { len: len as u64 });
        Ok(Scan::Frame { payload: begin..head, end: head })
    }
}

impl Framing for Wire {
    fn scan(&self, unread: &[u8], scanned: usize, _max: usize) -> Result<Scan, DecodeError> {
        if self.state.used.load(Ordering::Relaxed) {
            let mut state = self.lock();
            if state.rest > 0 {
                if unread.is_empty() {
                    return Ok(Scan::More { at_least: 1, scanned: 0 });
                }
                let skipped = unread.len().min(state.rest);
                state.rest -= skipped;
                self.note(&mut state, Piece::Rest);
                return Ok(Scan::Frame { payload: 0..0, end: skipped });
            }
        }
        match self.framing.scan(unread, scanned, self.max_frame) {
            Err(error) => self.skip(unread, error),
            Ok(found) => {
                if matches!(found, Scan::Frame { .. }) {
                    self.count();
                }
                Ok(found)
            }
        }
    }

    fn at_eof(&self, unread: &[u8], _max: usize) -> Result<Scan, DecodeError> {
        let found = self.framing.at_eof(unread, self.max_frame)?;
        if matches!(found, Scan::Frame { .. }) {
            self.count();
        }
        Ok(found)
    }

    /// Nothing: the multiplexer has already added the envelope to each request.
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope::NONE)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.framing.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: [u8; 6] = [0, 0, 0, 20, b'h', b'd'];

    fn wire() -> Wire {
        Wire::new(Arc::new(frame_codec::LengthPrefixed::u32_be()), 10, Some(Skip { head: 2, max: 20 }))
    }

    #[test]
    fn a_reply_is_skipped_up_to_the_limit_of_its_protocol() {
        assert_eq!(wire().scan(&HEAD, 0, usize::MAX), Ok(Scan::Frame { payload: 4..6, end: 6 }));
        let mut larger = HEAD;
        larger[3] = 21;
        assert_eq!(wire().scan(&larger, 0, usize::MAX), Err(DecodeError::FrameTooLarge { len: 21, max: 10 }));
    }

    #[test]
    fn the_head_of_a_reply_that_is_skipped_arrives_whole() {
        assert_eq!(wire().scan(&HEAD[..5], 0, usize::MAX), Ok(Scan::More { at_least: 6, scanned: 0 }));
        let wire = wire();
        assert!(wire.scan(&HEAD, 0, usize::MAX).is_ok());
        assert_eq!(wire.unfinished(), 6);
        assert_eq!(wire.piece(0), Some(Piece::Head { len: 20 }));
    }

    #[test]
    fn the_frame_after_a_reply_that_was_skipped_is_an_ordinary_one() {
        let wire = wire();
        assert!(wire.scan(&HEAD, 0, usize::MAX).is_ok());
        assert_eq!(wire.scan(&[0; 25], 0, usize::MAX), Ok(Scan::Frame { payload: 0..0, end: 18 }));
        // No piece was taken yet, as when everything comes in one batch.
        assert_eq!(wire.unfinished(), 0);
        assert_eq!(wire.scan(&[0, 0, 0, 3, 1, 2, 3], 0, usize::MAX), Ok(Scan::Frame { payload: 4..7, end: 7 }));
        let pieces: Vec<_> = (0..3).map(|number| wire.piece(number)).collect();
        assert_eq!(pieces, [Some(Piece::Head { len: 20 }), Some(Piece::Rest), None]);
    }

    #[test]
    fn it_is_printed_as_the_framing_that_it_wraps() {
        assert_eq!(format!("{:?}", wire()), format!("{:?}", frame_codec::LengthPrefixed::u32_be()));
    }
}
