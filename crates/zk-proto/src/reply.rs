//! The replies and notifications, without their header.

use std::borrow::Cow;

use bytes::BufMut;

use crate::{
    error::Error,
    jute::{Reader, Record, put_buffer, put_int, put_len, put_text},
    stat::Stat,
};

/// The answer to [`Create`](crate::Create).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created<'a> {
    /// The node's path, with its number if it is sequential.
    pub path: Cow<'a, str>,
}

impl<'a> Record<'a> for Created<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_text(out, &self.path);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { path: reader.text("path")? })
    }
}

/// The answer to [`GetData`](crate::GetData). [`Exists`](crate::Exists) and [`SetData`](crate::SetData) are answered with
/// a plain [`Stat`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data<'a> {
    /// What the node holds; null and empty are not the same.
    pub data: Option<&'a [u8]>,
    /// Its history.
    pub stat: Stat,
}

impl<'a> Record<'a> for Data<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_buffer(out, self.data);
        self.stat.encode(out);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { data: reader.buffer("data")?, stat: Stat::decode(reader)? })
    }
}

/// The answer to [`GetChildren`](crate::GetChildren).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Children<'a> {
    /// Names, without the path above them, in no particular order.
    pub names: Vec<Cow<'a, str>>,
}

impl<'a> Record<'a> for Children<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_len(out, self.names.len());
        for name in &self.names {
            put_text(out, name);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { names: reader.vector("children", 4, |reader| reader.text("child"))? })
    }
}

/// A notification: a watched node changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatcherEvent<'a> {
    /// What happened: 1 created, 2 deleted, 3 data changed, 4 children changed.
    pub kind: i32,
    /// The state of the connection: servers send 3, connected.
    pub state: i32,
    /// The node.
    pub path: Cow<'a, str>,
}

impl WatcherEvent<'_> {
    /// An event that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> WatcherEvent<'static> {
        WatcherEvent { kind: self.kind, state: self.state, path: Cow::Owned(self.path.into_owned()) }
    }
}

impl<'a> Record<'a> for WatcherEvent<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.kind);
        put_int(out, self.state);
        put_text(out, &self.path);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { kind: reader.int("type")?, state: reader.int("state")?, path: reader.text("path")? })
    }
}
