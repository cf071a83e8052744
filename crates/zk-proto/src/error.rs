//! What can be wrong with bytes that claim to be ZooKeeper's, and with a request that cannot be made into such bytes.

/// A record that cannot be read, or a request that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a field.
    #[error("{field}: {needed} bytes are needed and {left} are left")]
    Truncated {
        /// The field, as `zookeeper.jute` calls it.
        field: &'static str,
        /// Bytes the field takes, as far as is known.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length that is negative and not −1.
    #[error("{field}: a length of {len}")]
    NegativeLength {
        /// The field.
        field: &'static str,
        /// What was sent.
        len: i32,
    },
    /// A list claims more elements than the bytes that are left can hold.
    #[error("{field}: a list of {count} elements in {left} bytes")]
    Count {
        /// The field.
        field: &'static str,
        /// What was sent.
        count: i32,
        /// Bytes that are left.
        left: usize,
    },
    /// A field is null that cannot be.
    #[error("{field} is null")]
    Null {
        /// The field.
        field: &'static str,
    },
    /// Text that is neither UTF-8 nor what Java makes of it.
    #[error("{field} is not text: byte {at} is not UTF-8")]
    Text {
        /// The field.
        field: &'static str,
        /// Offset of the first bad byte in the text.
        at: usize,
    },
    /// An operation that cannot stand where it does, or that is not known.
    #[error("operation {code} is not known, or not allowed here")]
    Operation {
        /// Its number.
        code: i32,
    },
    /// Something came after the server had said that there is no such session, or had rejected the connection.
    #[error("a frame of {len} bytes came after the session had been rejected")]
    AfterRefusal {
        /// Bytes of the frame.
        len: usize,
    },
    /// A request that would change nothing, so it is not sent: no watch of this connection has to be removed.
    #[error("there is nothing to ask of the server")]
    NothingToSend,
    /// Version −1 was asked for as if it were one: on the wire it matches any. Versions do come to it, by wrapping.
    #[error("version -1 matches any version, so a request cannot ask for that one alone")]
    AnyVersion,
    /// A path no server takes.
    #[error("the path {path:?} is not valid: {reason}")]
    Path {
        /// The path as given.
        path: Box<str>,
        /// Why.
        reason: PathError,
    },
}

impl Error {
    /// Whether the other side caused it.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::NegativeLength { .. }
            | Self::Count { .. }
            | Self::Null { .. }
            | Self::Text { .. }
            | Self::Operation { .. }
            | Self::AfterRefusal { .. } => true,
            Self::NothingToSend | Self::AnyVersion | Self::Path { .. } => false,
        }
    }
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Not absolute.
    #[error("it does not begin with '/'")]
    Relative,
    /// A slash at the end of anything but the root.
    #[error("it ends with '/'")]
    TrailingSlash,
    /// Two slashes in a row.
    #[error("it has an empty component")]
    EmptyComponent,
    /// `.` or `..`
    #[error("it has a component '.' or '..'")]
    RelativeComponent,
    /// A control character, a surrogate, a private-use character, or one above U+FFFF.
    #[error("it has the character {0:?}")]
    Character(char),
}
