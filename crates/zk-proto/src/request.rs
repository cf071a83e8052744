//! The requests, without their header.

use std::borrow::Cow;

use bytes::BufMut;

use crate::{
    acl::Acl,
    error::Error,
    jute::{Reader, Record, put_boolean, put_buffer, put_int, put_len, put_text},
};

/// The version that matches any.
pub const ANY_VERSION: i32 = -1;

/// What kind of node to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Ends with the session that created it.
    Ephemeral,
    /// Stays until it is deleted; the server appends ten digits to the name, each time a greater number.
    PersistentSequential,
    /// Ends with the session that created it; the server appends ten digits to the name, each time a greater number.
    EphemeralSequential,
}

impl CreateMode {
    /// The flags on the wire.
    #[must_use]
    pub const fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
        }
    }

    /// The mode with these flags, if it is one of these.
    #[must_use]
    pub const fn from_flags(flags: i32) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            _ => return None,
        })
    }

    /// Whether the server appends a number to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        match self {
            Self::PersistentSequential | Self::EphemeralSequential => true,
            Self::Persistent | Self::Ephemeral => false,
        }
    }
}

/// Creates a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create<'a> {
    /// Where; a sequential node's path gets a number appended.
    pub path: Cow<'a, str>,
    /// What it holds; null and empty are not the same.
    pub data: Option<&'a [u8]>,
    /// Who may do what with it; servers refuse an empty list.
    pub acl: Cow<'a, [Acl<'a>]>,
    /// The flags of a [`CreateMode`].
    pub flags: i32,
}

impl<'a> Record<'a> for Create<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_text(out, &self.path);
        put_buffer(out, self.data);
        put_len(out, self.acl.len());
        for entry in self.acl.iter() {
            entry.encode(out);
        }
        put_int(out, self.flags);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            path: reader.text("path")?,
            data: reader.buffer("data")?,
            acl: Cow::Owned(reader.vector("acl", Acl::SMALLEST, Acl::decode)?),
            flags: reader.int("flags")?,
        })
    }
}

/// Deletes a node that has no children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete<'a> {
    /// Which.
    pub path: Cow<'a, str>,
    /// Its version, or [`ANY_VERSION`].
    pub version: i32,
}

impl<'a> Record<'a> for Delete<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_text(out, &self.path);
        put_int(out, self.version);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { path: reader.text("path")?, version: reader.int("version")? })
    }
}

/// Writes a node's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetData<'a> {
    /// Which.
    pub path: Cow<'a, str>,
    /// What it shall hold; null and empty are not the same.
    pub data: Option<&'a [u8]>,
    /// Its version before, or [`ANY_VERSION`].
    pub version: i32,
}

impl<'a> Record<'a> for SetData<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_text(out, &self.path);
        put_buffer(out, self.data);
        put_int(out, self.version);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { path: reader.text("path")?, data: reader.buffer("data")?, version: reader.int("version")? })
    }
}

/// The requests that read one node, and may leave a watch on it: they differ in what they are called.
macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name<'a> {
            /// Which.
            pub path: Cow<'a, str>,
            /// Whether to be told of the next change.
            pub watch: bool,
        }

        impl<'a> Record<'a> for $name<'a> {
            fn encode(&self, out: &mut impl BufMut) {
                put_text(out, &self.path);
                put_boolean(out, self.watch);
            }

            fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
                Ok(Self { path: reader.text("path")?, watch: reader.boolean("watch")? })
            }
        }
    )+};
}

reads! {
    /// Asks whether a node exists.
    Exists;
    /// Reads a node's data.
    GetData;
    /// Lists the names of a node's children.
    GetChildren;
}

/// Says that the client is alive. It has no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping;

/// Ends the session. It has no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseSession;

impl<'a> Record<'a> for Ping {
    fn encode(&self, _out: &mut impl BufMut) {}

    fn decode(_reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self)
    }
}

impl<'a> Record<'a> for CloseSession {
    fn encode(&self, _out: &mut impl BufMut) {}

    fn decode(_reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self)
    }
}
