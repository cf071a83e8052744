//! Types for numbers: requests, transactions, sessions.

use std::fmt;

/// The number of a request on its connection. Negative numbers have special meanings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid(pub i32);

impl Xid {
    /// Marks a notification: the server reports a change to a watched node.
    pub const NOTIFICATION: Self = Self(-1);
    /// Marks a ping and its reply.
    pub const PING: Self = Self(-2);
    /// Marks an [`Auth`](crate::Auth) and its reply.
    pub const AUTH: Self = Self(-4);
    /// Marks a [`SetWatches`](crate::SetWatches) and its reply.
    pub const SET_WATCHES: Self = Self(-8);
}

/// Hands out request numbers: 1, 2, … `i32::MAX`, then 1 again. It never hands out zero or a negative number.
#[derive(Debug, Clone, Copy)]
pub struct Xids {
    next: i32,
}

impl Default for Xids {
    fn default() -> Self {
        Self { next: 1 }
    }
}

impl Xids {
    /// Starts at `next` instead of 1, for example near the end, to test the wrap-around.
    ///
    /// # Panics
    ///
    /// If `next` is not positive.
    #[must_use]
    pub fn starting_at(next: i32) -> Self {
        assert!(next > 0, "request numbers are positive, not {next}");
        Self { next }
    }

    /// The next number.
    pub fn take(&mut self) -> Xid {
        let taken = self.next;
        self.next = taken.checked_add(1).unwrap_or(1);
        Xid(taken)
    }
}

/// The number of a transaction, assigned by the leader. Later changes have greater numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zxid(pub i64);

crate::jute::record_field!(Zxid, 8);

impl<'a> crate::jute::Record<'a> for Zxid {
    fn encode(&self, out: &mut impl bytes::BufMut) {
        crate::jute::put_long(out, self.0);
    }

    fn decode(reader: &mut crate::jute::Reader<'a>) -> Result<Self, crate::error::Error> {
        reader.long("zxid").map(Self)
    }
}

/// Identifies a session for as long as the ensemble knows it. Zero means no session.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub i64);

impl SessionId {
    /// The value that a client without a session sends, and the owner of a node that is not ephemeral.
    pub const NONE: Self = Self(0);
}

/// Hexadecimal, as ZooKeeper's own tools print it.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_numbers_wrap_to_one() {
        let mut xids = Xids::default();
        assert_eq!((xids.take(), xids.take()), (Xid(1), Xid(2)));
        let mut xids = Xids::starting_at(i32::MAX);
        assert_eq!((xids.take(), xids.take(), xids.take()), (Xid(i32::MAX), Xid(1), Xid(2)));
    }
}
