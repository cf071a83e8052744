//! The data of a node, to write.

use std::borrow::Cow;

use bytes::Bytes;

/// Data for a node: bytes, or null.
///
/// ZooKeeper distinguishes null from empty. Byte slices, arrays, strings and vectors convert into this type;
/// [`NULL`](Self::NULL) is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a>(pub(crate) Option<&'a [u8]>);

impl Payload<'_> {
    /// No data.
    pub const NULL: Self = Self(None);

    pub(crate) const fn len(&self) -> usize {
        match self.0 {
            Some(bytes) => bytes.len(),
            None => 0,
        }
    }
}

impl<'a> From<Option<&'a [u8]>> for Payload<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        Self(bytes)
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(Some(bytes))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Payload<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self(Some(bytes))
    }
}

impl<'a> From<&'a Vec<u8>> for Payload<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self(Some(bytes))
    }
}

impl<'a> From<&'a Bytes> for Payload<'a> {
    fn from(bytes: &'a Bytes) -> Self {
        Self(Some(bytes))
    }
}

impl<'a> From<&'a Cow<'_, [u8]>> for Payload<'a> {
    fn from(bytes: &'a Cow<'_, [u8]>) -> Self {
        Self(Some(bytes))
    }
}

/// Data as read, to write it back: null stays null.
impl<'a> From<&'a Option<Bytes>> for Payload<'a> {
    fn from(bytes: &'a Option<Bytes>) -> Self {
        Self(bytes.as_deref())
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self(Some(text.as_bytes()))
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Self(Some(text.as_bytes()))
    }
}

/// The version of a node that a change applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Any version.
    Any,
    /// This version. If the node has another, the server rejects the change with `BadVersion`. −1 is an error, and
    /// nothing is sent, because servers interpret it as any version.
    Is(i32),
}

impl Version {
    /// # Errors
    ///
    /// For −1, which means any version on the wire. Versions wrap, so a node can reach it.
    pub(crate) const fn on_the_wire(self) -> Result<i32, zk_proto::Error> {
        match self {
            Self::Any => Ok(zk_proto::ANY_VERSION),
            Self::Is(zk_proto::ANY_VERSION) => Err(zk_proto::Error::AnyVersion),
            Self::Is(version) => Ok(version),
        }
    }
}
