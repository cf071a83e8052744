//! What stands before every request and reply but the handshake.

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{Xid, Zxid},
    jute::{Reader, Record, put_int, put_long},
};

/// Stands before every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    /// The number its reply will carry.
    pub xid: Xid,
    /// The number of the operation; [`OpCode::from_code`](crate::OpCode::from_code) knows some of them.
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
