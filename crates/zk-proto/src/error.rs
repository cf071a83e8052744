//! Errors in records that are read, and in requests that cannot be encoded.

/// A record that cannot be read, or a request that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end inside a field.
    #[error("{field}: {needed} bytes are needed and {left} are left")]
    Truncated {
        /// The field, by its name in `zookeeper.jute`.
        field: &'static str,
        /// Bytes that the field needs, as far as is known.
        needed: usize,
        /// Bytes that remain.
        left: usize,
    },
    /// A length is negative, and not −1 (null).
    #[error("{field}: a length of {len}")]
    NegativeLength {
        /// The field.
        field: &'static str,
        /// The length as sent.
        len: i32,
    },
    /// A list claims more elements than the remaining bytes can hold.
    #[error("{field}: a list of {count} elements in {left} bytes")]
    Count {
        /// The field.
        field: &'static str,
        /// The count as sent.
        count: i32,
        /// Bytes that remain.
        left: usize,
    },
    /// A field is null that must not be.
    #[error("{field} is null")]
    Null {
        /// The field.
        field: &'static str,
    },
    /// The text is neither UTF-8 nor Java's variant of it.
    #[error("{field} is not text: byte {at} is not UTF-8")]
    Text {
        /// The field.
        field: &'static str,
        /// Offset of the first bad byte in the text.
        at: usize,
    },
    /// The operation is unknown, or not allowed in this place.
    #[error("operation {code} is not known, or not allowed here")]
    Operation {
        /// Its number.
        code: i32,
    },
    /// A frame arrived after the server had said that the session does not exist, or had rejected the connection.
    #[error("a frame of {len} bytes came after the session had been rejected")]
    AfterRejection {
        /// Length of the frame in bytes.
        len: usize,
    },
    /// The request is not sent, because it would change nothing: there is no watch of this connection to remove.
    #[error("there is nothing to ask of the server")]
    NothingToSend,
    /// The request names version −1 as an expected version. On the wire, −1 matches any version. Version counters can
    /// reach it by wrapping.
    #[error("version -1 matches any version, so a request cannot ask for that one alone")]
    AnyVersion,
    /// Servers reject this path.
    #[error("the path {path:?} is not valid: {reason}")]
    Path {
        /// The path as given.
        path: Box<str>,
        /// Why.
        reason: PathError,
    },
}

impl Error {
    /// Whether the peer sent something invalid, as opposed to the caller.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::NegativeLength { .. }
            | Self::Count { .. }
            | Self::Null { .. }
            | Self::Text { .. }
            | Self::Operation { .. }
            | Self::AfterRejection { .. } => true,
            Self::NothingToSend | Self::AnyVersion | Self::Path { .. } => false,
        }
    }
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not absolute.
    #[error("it does not begin with '/'")]
    Relative,
    /// It ends with a slash and is not the root.
    #[error("it ends with '/'")]
    TrailingSlash,
    /// It contains two slashes in a row.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("it has a component '.' or '..'")]
    RelativeComponent,
    /// It contains a control character, a surrogate, a private-use character, or a character above U+FFFF.
    #[error("it has the character {0:?}")]
    Character(char),
}
