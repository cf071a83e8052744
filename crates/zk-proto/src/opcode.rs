//! The operations: their numbers, and their properties that do not depend on the records.

use crate::{ids::Xid, table::operations};

/// Which xid a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XidRule {
    /// The next number of the connection.
    Next,
    /// Always this number.
    Fixed(Xid),
}

/// A release of ZooKeeper, as the first one that supports an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// 3 in 3.5.1.
    pub major: u8,
    /// 5 in 3.5.1.
    pub minor: u8,
    /// 1 in 3.5.1.
    pub patch: u8,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Whether an operation changes the tree.
macro_rules! changes {
    (reads) => {
        false
    };
    (changes) => {
        true
    };
}

macro_rules! xid {
    (next) => {
        XidRule::Next
    };
    (ping) => {
        XidRule::Fixed(Xid::PING)
    };
    (auth) => {
        XidRule::Fixed(Xid::AUTH)
    };
    (set_watches) => {
        XidRule::Fixed(Xid::SET_WATCHES)
    };
}

macro_rules! op_codes {
    ($($(#[$doc:meta])* $op:ident = $code:literal, ($major:literal, $minor:literal, $patch:literal), $changes:ident, $xid:ident,
        $request:ty => $reply:ty;)+) => {
        /// An operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum OpCode {
            $($(#[$doc])* $op,)+
        }

        impl OpCode {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$op,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self {
                    $(Self::$op => $code,)+
                }
            }

            /// The operation with this number, if this crate knows it.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                Some(match code {
                    $($code => Self::$op,)+
                    _ => return None,
                })
            }

            /// The operation's name as this crate writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$op => stringify!($op),)+
                }
            }

            /// Whether the operation changes the tree or the session, so that repeating it may make a difference.
            #[must_use]
            pub const fn changes(self) -> bool {
                match self {
                    $(Self::$op => changes!($changes),)+
                }
            }

            /// The first release that supports it. Older servers answer `Unimplemented` and close the connection.
            #[must_use]
            pub const fn since(self) -> Release {
                match self {
                    $(Self::$op => Release { major: $major, minor: $minor, patch: $patch },)+
                }
            }

            /// Which xid its request carries.
            #[must_use]
            pub const fn xid(self) -> XidRule {
                match self {
                    $(Self::$op => xid!($xid),)+
                }
            }
        }
    };
}

operations!(op_codes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_number_of_its_own() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::from_code(op.code()), Some(*op), "{}", op.name());
        }
        // Internal ones (-1, 0, -10, 20), one that was never used (10), those of another product, and invalid ones.
        for code in [-1, 0, -10, 10, 20, 500, 997, i32::MIN, i32::MAX] {
            assert_eq!(OpCode::from_code(code), None);
        }
        assert_eq!(OpCode::ALL.len(), 29);
    }

    #[test]
    fn requests_with_numbers_of_their_own_are_those_that_servers_expect() {
        let fixed: Vec<_> = OpCode::ALL
            .iter()
            .filter_map(|op| match op.xid() {
                XidRule::Fixed(xid) => Some((op.name(), xid.0)),
                XidRule::Next => None,
            })
            .collect();
        assert_eq!(fixed, [("Ping", -2), ("Auth", -4), ("SetWatches", -8), ("SetWatches2", -8)]);
    }
}
