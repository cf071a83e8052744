//! No framing: the socket keeps messages apart.

use super::{Envelope, Framing, Scan};
use crate::{DecodeError, EncodeError};

/// Each receive is one frame. For datagram and seqpacket sockets, where the kernel keeps the boundaries (`unix(7)`).
///
/// All unread bytes are the frame, so take the batch after each receive; otherwise two receives become one frame.
/// Unlike with [`Raw`](super::Raw), a message over the limit is an error, not several frames. An empty message leaves
/// nothing in a buffer. If you receive one, create its batch yourself:
/// [`Batch::single`](crate::Batch::single)`(Bytes::new())`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole;

impl Framing for Whole {
    #[inline]
    fn scan(&self, unread: &[u8], _scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        match unread.len() {
            0 => Ok(Scan::More { at_least: 1, scanned: 0 }),
            len if len > max_payload => Err(DecodeError::FrameTooLarge { len: len as u64, max: max_payload }),
            len => Ok(Scan::Frame { payload: 0..len, end: len }),
        }
    }

    #[inline]
    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_over_the_limit_is_not_split() {
        assert_eq!(Whole.scan(b"abc", 0, 3), Ok(Scan::Frame { payload: 0..3, end: 3 }));
        assert_eq!(Whole.scan(b"abcd", 0, 3), Err(DecodeError::FrameTooLarge { len: 4, max: 3 }));
    }
}
