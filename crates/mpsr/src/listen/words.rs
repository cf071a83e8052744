//! Errors of the funnel in the words of this command: what to do here, and with which option.

use anyhow::anyhow;
use mpsr_server::Error;
use uds_actor::{BindError, ConnectError, FileKind};

use crate::words;

/// Why `listen` cannot start.
pub(super) fn start(error: Error) -> anyhow::Error {
    const DOING: &str = "cannot listen";
    match error {
        Error::Bind(error) => {
            let is_directory = matches!(error, BindError::NotASocket { kind: FileKind::Directory, .. });
            let hint = if is_directory { "; for the sockets in a directory, write dir:/PATH" } else { "" };
            anyhow!("{}{hint}", words::bind(DOING, &error))
        }
        error => anyhow::Error::new(error).context(DOING),
    }
}

/// Whether a source has ended with this, or left something behind.
pub(super) const fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Undrained { .. } | Error::WatcherEnded | Error::Accept(_))
}

/// What is wrong while it runs. A socket in a directory is connected to as soon as that is possible; nothing is asked for.
pub(super) fn warning(error: Error) -> String {
    match error {
        Error::Connect(ConnectError::NobodyListening { .. }) => {
            "no process is listening on it; it is connected to when one does".to_owned()
        }
        Error::Connect(ConnectError::QueueFull { .. }) => {
            "its accept queue is full: its server is busy or stuck; it is tried again".to_owned()
        }
        Error::Connect(ConnectError::WrongType { .. }) => {
            "it is not a stream socket, and is not connected to".to_owned()
        }
        Error::Connect(ConnectError::NotThere { .. }) => "it is not there, or was replaced".to_owned(),
        error => format!("{:#}", anyhow::Error::new(error)),
    }
}
