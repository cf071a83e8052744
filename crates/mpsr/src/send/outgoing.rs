//! The framing of a connection on which answers are discarded.

use frame_codec::{DecodeError, EncodeError, Envelope, Framing, Raw, Scan};

/// Frames outgoing messages like `F`, and receives anything: answers in any format are read and discarded, so that a
/// receiver that answers is never blocked, and never disconnected because of its format.
#[derive(Clone, Debug)]
pub(super) struct Outgoing<F>(pub(super) F);

impl<F: Framing> Framing for Outgoing<F> {
    fn scan(&self, unread: &[u8], scanned: usize, _: usize) -> Result<Scan, DecodeError> {
        // No limit: a limit would split a long answer into many short frames.
        Raw.scan(unread, scanned, usize::MAX)
    }

    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        self.0.envelope(payload)
    }
}

/// Whether a receiver may take this message without its last `missing` bytes on the wire for a complete message.
pub(super) fn may_be_taken(framing: &impl Framing, message: &[u8], missing: usize) -> bool {
    let Ok(envelope) = framing.envelope(message) else { return true };
    let wire = [envelope.head.as_ref(), message, envelope.tail].concat();
    let begun = wire.get(..wire.len().saturating_sub(missing)).unwrap_or_default();
    let found = match framing.scan(begun, 0, usize::MAX) {
        Ok(Scan::More { .. }) => framing.at_eof(begun, usize::MAX),
        found => found,
    };
    // A receiver rejects malformed data, and waits if more is needed.
    matches!(found, Ok(Scan::Frame { .. }))
}

#[cfg(test)]
mod tests {
    use frame_codec::{Delimited, LengthPrefixed, Unterminated, UntilEof};

    use super::*;

    #[test]
    fn the_beginning_of_a_line_may_be_taken_and_that_of_a_length_prefixed_message_may_not() {
        for missing in 1..=7 {
            assert!(!may_be_taken(&LengthPrefixed::u32_be(), b"message", missing));
            assert!(!may_be_taken(&Delimited::lines().unterminated(Unterminated::Truncate), b"message", missing));
            assert!(may_be_taken(&Delimited::lines(), b"message", missing), "{missing}");
        }
        assert!(may_be_taken(&Raw, b"message", 3));
        assert!(may_be_taken(&UntilEof, b"message", 3));
    }

    #[test]
    fn answers_of_any_length_are_one_frame() {
        let framing = Outgoing(LengthPrefixed::u32_be());
        let answer = [b'x'; 100];
        assert_eq!(framing.scan(&answer, 0, 1), Ok(Scan::Frame { payload: 0..100, end: 100 }));
    }
}
