//! Errors of the funnel in the words of this command: what to do here, and with which option.

use std::io;

use anyhow::anyhow;
use mpsr_server::Error;
use uds_actor::{Error as Socket, FileKind};

/// Why `listen` cannot start.
pub(super) fn start(error: Error) -> anyhow::Error {
    if let Error::Socket(Socket::ForeignFilesystem { path, filesystem }) = &error {
        return anyhow!(
            "cannot listen: {path:?} exists and seems stale, but on this filesystem ({filesystem}) its server may be hidden \
             from this kernel; remove it yourself, or pass --any-filesystem"
        );
    }
    let hint = match &error {
        Error::Socket(Socket::NotASocket { kind: FileKind::Directory, .. }) => {
            "; for the sockets in a directory, write dir:/PATH"
        }
        Error::Socket(Socket::Bind { source, .. }) if source.kind() == io::ErrorKind::ResourceBusy => {
            "; if the file is a mount point, mount the directory that holds the socket instead"
        }
        Error::Socket(Socket::SharedDirectory { .. }) => ", or pass --shared-directory if you trust them",
        _ => "",
    };
    anyhow!("cannot listen: {:#}{hint}", anyhow::Error::new(error))
}

/// Whether a source has ended with this, or left something behind.
pub(super) const fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Undrained { .. } | Error::WatcherEnded | Error::Socket(Socket::Accept { .. }))
}

/// What is wrong while it runs. A socket in a directory is connected to as soon as that is possible; nothing is asked for.
pub(super) fn warning(error: Error) -> String {
    match error {
        Error::Socket(Socket::NobodyListening { .. }) => {
            "no process is listening on it; it is connected to when one does".to_owned()
        }
        Error::Socket(Socket::QueueFull { .. }) => {
            "its accept queue is full: its server is busy or stuck; it is tried again".to_owned()
        }
        error => format!("{:#}", anyhow::Error::new(error)),
    }
}
