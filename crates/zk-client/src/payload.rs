//! What a node shall hold.

/// Data for a node: bytes, or null.
///
/// ZooKeeper keeps null and empty apart. Byte slices, arrays, strings and vectors convert into it; [`NULL`](Self::NULL) is
/// the other thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a>(pub(crate) Option<&'a [u8]>);

impl Payload<'_> {
    /// No data at all.
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

/// Which version of a node a change applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// Whatever it is by then.
    Any,
    /// This one; if the node has another, the change is refused with `BadVersion`.
    Is(i32),
}

impl Version {
    pub(crate) const fn on_the_wire(self) -> i32 {
        match self {
            Self::Any => zk_proto::ANY_VERSION,
            Self::Is(version) => version,
        }
    }
}
