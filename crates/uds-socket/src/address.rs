//! The address of a socket, and its kind.

use std::fmt;
use std::path::PathBuf;

use rustix::net::SocketType;
pub use unix_diag::SocketKind;

/// The address of a socket. It is displayed as `unix:PATH`, `unix:@NAME` or `systemd:NAME`, with unprintable bytes
/// escaped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A path in the filesystem.
    Path(PathBuf),
    /// A name in the abstract namespace of the network namespace, without the leading zero byte.
    Abstract(Vec<u8>),
    /// A socket that the service manager passed under this name.
    Systemd(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "unix:{}", path.to_string_lossy().escape_debug()),
            Self::Abstract(name) => write!(f, "unix:@{}", name.escape_ascii()),
            Self::Systemd(name) => write!(f, "systemd:{}", name.escape_debug()),
        }
    }
}

/// The kind as `socket(2)` takes it.
pub(crate) const fn to_system(kind: SocketKind) -> SocketType {
    match kind {
        SocketKind::Stream => SocketType::STREAM,
        SocketKind::Seqpacket => SocketType::SEQPACKET,
        SocketKind::Datagram => SocketType::DGRAM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_escape_what_a_terminal_would_obey() {
        assert_eq!(Address::Path("/run/\x1b[31m".into()).to_string(), "unix:/run/\\u{1b}[31m");
        assert_eq!(Address::Abstract(b"na\0me\n".to_vec()).to_string(), "unix:@na\\x00me\\n");
        assert_eq!(Address::Systemd("in".into()).to_string(), "systemd:in");
    }
}
