//! Permission bits of a socket file, in a form that prevents mistakes.

use std::fmt;
use std::str::FromStr;

use crate::error::InvalidMode;

/// Which users may connect to a socket, as permission bits of its file: write permission is what counts (`unix(7)`).
///
/// A decimal 660 is a different mode from the octal one, but would compile. So [`new`](Self::new) rejects every number
/// that results from a mode without its `0o`.
///
/// ```
/// use uds_socket::Mode;
///
/// const SHARED: Mode = Mode::new(0o660);
/// assert_eq!(SHARED, Mode::GROUP);
/// assert_eq!(Mode::octal("660")?, Mode::GROUP);
/// assert_eq!(Mode::octal("0660")?.to_string(), "0660");
/// assert!(Mode::octal("1224").is_err()); // 660 after one conversion too many
/// # Ok::<(), uds_socket::InvalidMode>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mode(u16);

impl Mode {
    /// 0600: only processes of the owner and of root. The default.
    pub const USER_ONLY: Self = Self(0o600);
    /// 0660: processes of the owner and of the group.
    pub const GROUP: Self = Self(0o660);
    /// 0666: every user on this machine who can reach the directory.
    pub const EVERYONE: Self = Self(0o666);

    /// A mode with these permission bits, such as `Mode::new(0o660)`.
    ///
    /// ```compile_fail
    /// const SLIP: uds_socket::Mode = uds_socket::Mode::new(660); // 0o1224
    /// ```
    ///
    /// # Panics
    ///
    /// In a constant, invalid bits do not compile; elsewhere they panic. Invalid are bits over 0o777, and those in
    /// which the owner's digit is not 2, 6 or 7: a socket whose owner cannot connect is useless, and with this rule,
    /// the decimal form of a valid mode is never valid. For a mode from user input, use [`octal`](Self::octal).
    #[must_use]
    pub const fn new(bits: u16) -> Self {
        assert!(
            bits <= 0o777 && matches!(bits >> 6, 2 | 6 | 7),
            "not the mode of a socket: write it in octal, such as 0o660"
        );
        Self(bits)
    }

    /// Parses three octal digits, with an optional leading `0` or `0o`.
    ///
    /// # Errors
    /// [`InvalidMode`] for anything else. Set-id and sticky bits have no meaning for a socket.
    pub fn octal(text: &str) -> Result<Self, InvalidMode> {
        let digits =
            text.strip_prefix("0o").or_else(|| text.strip_prefix('0').filter(|rest| rest.len() == 3)).unwrap_or(text);
        let mut bits = 0;
        for digit in digits.bytes() {
            match digit {
                b'0'..=b'7' if digits.len() == 3 => bits = bits << 3 | u16::from(digit - b'0'),
                _ => {
                    return Err(InvalidMode { text: text.to_owned() });
                }
            }
        }
        if digits.is_empty() {
            return Err(InvalidMode { text: text.to_owned() });
        }
        Ok(Self(bits))
    }

    /// The permission bits, 0 to 0o777.
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn to_system(self) -> rustix::fs::Mode {
        rustix::fs::Mode::from_raw_mode(self.bits())
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::USER_ONLY
    }
}

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        Self::octal(text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({:04o})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_octal_digits_are_a_mode_however_they_are_introduced() {
        for text in ["640", "0640", "0o640"] {
            assert_eq!(Mode::octal(text).unwrap().bits(), 0o640, "{text}");
        }
        assert_eq!("777".parse::<Mode>().unwrap().bits(), 0o777);
        assert_eq!(Mode::octal("000").unwrap().bits(), 0);
    }

    fn accepts(bits: u16) -> bool {
        std::panic::catch_unwind(|| Mode::new(bits)).is_ok()
    }

    #[test]
    fn no_mode_that_is_accepted_is_accepted_in_decimal_too() {
        for bits in (0..0o1000).filter(|bits| accepts(*bits)) {
            let slip: u16 = format!("{bits:o}").parse().unwrap();
            assert!(!accepts(slip), "{bits:o} and {slip}, which is {slip:o}");
        }
    }

    #[test]
    fn modes_of_use_are_accepted_and_kept() {
        for bits in [0o200, 0o220, 0o222, 0o600, 0o620, 0o660, 0o666, 0o700, 0o755, 0o770, 0o777] {
            assert_eq!(Mode::new(bits).bits(), u32::from(bits));
        }
        for bits in [0, 0o400, 0o1660, 0o4755, 660, 600, 666, 777, u16::MAX] {
            assert!(!accepts(bits), "{bits:o}");
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        for text in [
            "", "0", "0o", "66", "888", "6600", "04755", "4755", "00o660", "-60", "+60", " 660", "660 ", "0x1", "rw-",
            "٦٦٠",
        ] {
            assert!(matches!(Mode::octal(text), Err(InvalidMode { text: t }) if t == text), "{text:?}");
        }
    }
}
