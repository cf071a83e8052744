//! A node's metadata.

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{SessionId, Zxid},
    jute::{Reader, Record, put_int, put_long},
};

/// A node's history and size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that created it.
    pub czxid: Zxid,
    /// The transaction that last changed its data.
    pub mzxid: Zxid,
    /// When it was created, in milliseconds since 1970 by the server's clock.
    pub ctime: i64,
    /// When its data was last changed, in milliseconds since 1970 by the server's clock.
    pub mtime: i64,
    /// How often its data was changed.
    pub version: i32,
    /// How often a child was created or deleted.
    pub cversion: i32,
    /// How often its access control list was changed.
    pub aversion: i32,
    /// The session that owns the node, if it is ephemeral; otherwise [`SessionId::NONE`].
    pub ephemeral_owner: SessionId,
    /// Length of the data in bytes.
    pub data_length: i32,
    /// The number of children.
    pub num_children: i32,
    /// The transaction that last created or deleted a child.
    pub pzxid: Zxid,
}

crate::jute::record_field!(Stat, Stat::LEN);

impl Stat {
    /// Length on the wire, in bytes.
    pub const LEN: usize = 68;
}

impl<'a> Record<'a> for Stat {
    fn encode(&self, out: &mut impl BufMut) {
        put_long(out, self.czxid.0);
        put_long(out, self.mzxid.0);
        put_long(out, self.ctime);
        put_long(out, self.mtime);
        put_int(out, self.version);
        put_int(out, self.cversion);
        put_int(out, self.aversion);
        put_long(out, self.ephemeral_owner.0);
        put_int(out, self.data_length);
        put_int(out, self.num_children);
        put_long(out, self.pzxid.0);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            czxid: Zxid(reader.long("czxid")?),
            mzxid: Zxid(reader.long("mzxid")?),
            ctime: reader.long("ctime")?,
            mtime: reader.long("mtime")?,
            version: reader.int("version")?,
            cversion: reader.int("cversion")?,
            aversion: reader.int("aversion")?,
            ephemeral_owner: SessionId(reader.long("ephemeralOwner")?),
            data_length: reader.int("dataLength")?,
            num_children: reader.int("numChildren")?,
            pzxid: Zxid(reader.long("pzxid")?),
        })
    }
}
