//! The commands, each as a short play with peers that are plain programs.

use serde::{Deserialize, Serialize};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scenario {
    /// Listens on a path; a peer connects and sends three lines.
    ListenPath,
    /// The same on an abstract name.
    ListenAbstract,
    /// The same on a socket that is passed to it.
    ListenSystemd,
    /// Receives from a peer that listens in a directory.
    ListenDirectory,
    /// Sends three messages to a peer.
    Send,
    /// Offers three messages, and a peer connects.
    SendBind,
    /// Watches a peer's socket come, be ready, and go.
    Watch,
    /// Lists a socket that a peer serves and one that its server left behind.
    Ls,
    /// Removes the one that was left behind, and only that.
    Sweep,
}

impl Scenario {
    pub(crate) const ALL: [Self; 9] = [
        Self::ListenPath,
        Self::ListenAbstract,
        Self::ListenSystemd,
        Self::ListenDirectory,
        Self::Send,
        Self::SendBind,
        Self::Watch,
        Self::Ls,
        Self::Sweep,
    ];

    /// The head of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ListenPath => "listen unix:PATH",
            Self::ListenAbstract => "listen unix:@NAME",
            Self::ListenSystemd => "listen systemd:NAME",
            Self::ListenDirectory => "listen dir:PATH",
            Self::Send => "send",
            Self::SendBind => "send --bind",
            Self::Watch => "watch",
            Self::Ls => "ls",
            Self::Sweep => "sweep",
        }
    }
}
