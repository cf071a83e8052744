//! Lengths written as decimal text.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::Head;
use crate::DecodeError;

/// A decimal number, as far as it has arrived.
pub(super) enum Decimal {
    /// The number, and the one byte behind its digits; `end` is where that byte ends.
    Whole { value: usize, mark: u8, end: usize },
    /// More digits may follow.
    Partial,
}

/// Reads the number at the front of `bytes`: digits only, no leading zero, at most `max`.
///
/// `max` also bounds the digits: without leading zeros, each digit makes the number larger.
#[inline]
pub(super) fn read(bytes: &[u8], max: usize) -> Result<Decimal, DecodeError> {
    let mut value: u64 = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return match at {
                0 => Err(DecodeError::Malformed { what: "the length does not begin with a digit" }),
                _ => Ok(Decimal::Whole {
                    value: usize::try_from(value).map_err(|_| DecodeError::FrameTooLarge { len: value, max })?,
                    mark: byte,
                    end: at.saturating_add(1),
                }),
            };
        }
        if at > 0 && value == 0 {
            return Err(DecodeError::Malformed { what: "the length begins with a needless zero" });
        }
        let digit = u64::from(byte.wrapping_sub(b'0'));
        value = match value.checked_mul(10).and_then(|tens| tens.checked_add(digit)) {
            Some(value) if value <= max as u64 => value,
            more => return Err(DecodeError::FrameTooLarge { len: more.unwrap_or(u64::MAX), max }),
        };
    }
    Ok(Decimal::Partial)
}

/// `number` in digits, then `mark`.
#[inline]
pub(super) fn head(number: usize, mark: u8) -> Head {
    let mut text = [0; Head::MAX];
    let mut left = number;
    let mut start = Head::MAX;
    let mut put = |byte: u8| {
        start = start.saturating_sub(1);
        if let Some(place) = text.get_mut(start) {
            *place = byte;
        }
    };
    put(mark);
    loop {
        put(b'0'.wrapping_add((left % 10) as u8));
        left /= 10;
        if left == 0 {
            break;
        }
    }
    text.get(start..).and_then(Head::new).expect("20 digits and a mark are shorter than the longest head")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_without_needless_zeros() {
        assert_eq!(head(0, b':').as_ref(), b"0:");
        assert_eq!(head(1020, b' ').as_ref(), b"1020 ");
        assert_eq!(head(usize::MAX, b' ').as_ref(), format!("{} ", usize::MAX).as_bytes());
    }

    #[test]
    fn endless_digits_are_rejected_as_soon_as_they_exceed_the_limit() {
        assert!(matches!(read(b"99", 100), Ok(Decimal::Partial)));
        assert!(matches!(read(b"101", 100), Err(DecodeError::FrameTooLarge { len: 101, max: 100 })));
        assert!(matches!(read(&[b'9'; 40], usize::MAX), Err(DecodeError::FrameTooLarge { .. })));
        assert!(matches!(read(b"00", 100), Err(DecodeError::Malformed { .. })));
        assert!(matches!(read(b"-1", 100), Err(DecodeError::Malformed { .. })));
        assert!(matches!(read(b"", 100), Ok(Decimal::Partial)));
    }
}
