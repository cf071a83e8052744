//! What stands before every request and reply but the handshake.

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{Xid, Zxid},
    jute::{Reader, Record, put_int, put_long},
};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpCode {
    /// Create a node.
    Create,
    /// Delete a node.
    Delete,
    /// Does a node exist?
    Exists,
    /// Read a node.
    GetData,
    /// Write a node.
    SetData,
    /// List a node's children.
    GetChildren,
    /// Nothing: keep the session alive.
    Ping,
    /// End the session.
    CloseSession,
}

impl OpCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Create => 1,
            Self::Delete => 2,
            Self::Exists => 3,
            Self::GetData => 4,
            Self::SetData => 5,
            Self::GetChildren => 8,
            Self::Ping => 11,
            Self::CloseSession => -11,
        }
    }

    /// The operation with this number, if it is one of these.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            1 => Self::Create,
            2 => Self::Delete,
            3 => Self::Exists,
            4 => Self::GetData,
            5 => Self::SetData,
            8 => Self::GetChildren,
            11 => Self::Ping,
            -11 => Self::CloseSession,
            _ => return None,
        })
    }
}

/// Stands before every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    /// The number its reply will carry.
    pub xid: Xid,
    /// The number of the operation; [`OpCode::from_code`] knows some of them.
    pub op: i32,
}

impl<'a> Record<'a> for RequestHeader {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.xid.0);
        put_int(out, self.op);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { xid: Xid(reader.int("xid")?), op: reader.int("type")? })
    }
}

/// Stands before every reply and notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The number of the request; [`Xid::NOTIFICATION`] where there was none.
    pub xid: Xid,
    /// The last transaction the server had executed.
    pub zxid: Zxid,
    /// 0, or the number of an [`ErrorCode`](crate::ErrorCode); then no body follows.
    pub err: i32,
}

impl ReplyHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 16;
}

impl<'a> Record<'a> for ReplyHeader {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.xid.0);
        put_long(out, self.zxid.0);
        put_int(out, self.err);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { xid: Xid(reader.int("xid")?), zxid: Zxid(reader.long("zxid")?), err: reader.int("err")? })
    }
}
