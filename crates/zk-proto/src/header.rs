//! The header of every request and reply except the handshake.

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{Xid, Zxid},
    jute::{Reader, Record, put_int, put_long},
};

/// Precedes every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    /// The number that the reply will carry.
    pub xid: Xid,
    /// The number of the operation. [`OpCode::from_code`](crate::OpCode::from_code) maps the ones that this crate
    /// knows.
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

/// Precedes every reply and notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The number of the request, or [`Xid::NOTIFICATION`] if there was none.
    pub xid: Xid,
    /// The last transaction that the server had executed.
    pub zxid: Zxid,
    /// 0, or the number of an [`ErrorCode`](crate::ErrorCode). After an error, no body follows.
    pub err: i32,
}

impl ReplyHeader {
    /// Length on the wire, in bytes.
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
