//! What a listener lacks although it can listen.

use std::fmt;
use std::io;

/// A missing feature, and its consequence; from [`Listener::warnings`](crate::Listener::warnings) and
/// [`Admit::warnings`](crate::Admit::warnings). Display is one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum Warning {
    /// The kernel does not report the supplementary groups of a peer (`SO_PEERGROUPS`): of the admitted groups, only a
    /// peer's primary group counts.
    NoPeerGroups,
    /// This process runs as the uid that stands for every user without an id in this user namespace. Its own processes
    /// cannot be distinguished from theirs, so none of them is admitted unless you name that uid.
    OverflowUser {
        /// The uid.
        uid: u32,
    },
    /// The loss of the name is noticed within a second instead of immediately.
    NoNameEvents {
        /// Why the kernel provides no events (`inotify(7)`).
        source: io::Error,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPeerGroups => f.write_str(
                "this kernel does not tell the supplementary groups of a peer (SO_PEERGROUPS): groups are admitted by \
                 primary group only",
            ),
            Self::OverflowUser { uid } => write!(
                f,
                "uid {uid}, as which this process runs, is every user's who has none in this user namespace: none is \
                 admitted by it unless it is named"
            ),
            Self::NoNameEvents { source } => {
                write!(f, "the socket's file is checked only once a second, because it cannot be watched: {source}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_one_line_each() {
        for warning in [
            Warning::NoPeerGroups,
            Warning::OverflowUser { uid: 65_534 },
            Warning::NoNameEvents { source: io::ErrorKind::PermissionDenied.into() },
        ] {
            let text = warning.to_string();
            assert!(!text.contains('\n') && !text.contains("  "), "{text:?}");
        }
    }
}
