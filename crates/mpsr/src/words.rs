//! Errors of the libraries in the words of the commands: what to do, with which option.

use std::{error::Error as _, io};

use anyhow::anyhow;
use uds_actor::{BindError, ConnectError, FileKind};

/// A socket cannot be bound. `doing` is what the command cannot do then: `cannot listen`.
pub(crate) fn bind(doing: &str, error: &BindError) -> anyhow::Error {
    match error {
        BindError::ForeignFilesystem { path, filesystem } => anyhow!(
            "{doing}: {path:?} exists and seems stale, but on this filesystem ({filesystem}) its server may be hidden from \
             this kernel; remove it yourself, or pass --any-filesystem"
        ),
        BindError::NoDirectory { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            anyhow!("{doing}: {error}")
        }
        BindError::NotPassed { name, passed } if passed.is_empty() => {
            anyhow!("{doing}: no socket {name:?} was passed by the service manager, nor any other")
        }
        BindError::SharedDirectory { .. } => anyhow!("{doing}: {error}, or pass --shared-directory if you trust them"),
        BindError::Bind { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => anyhow!(
            "{doing}: {error}: {source}; if the file is a mount point, mount the directory that holds the socket instead"
        ),
        error => match error.source() {
            Some(source) => anyhow!("{doing}: {error}: {source}"),
            None => anyhow!("{doing}: {error}"),
        },
    }
}

/// A receiver cannot be connected to. `has_waited` says whether --wait was given.
pub(crate) fn connect(error: ConnectError, has_waited: bool) -> anyhow::Error {
    match error {
        ConnectError::NotThere { .. } | ConnectError::NobodyListening { .. } | ConnectError::QueueFull { .. }
            if !has_waited =>
        {
            anyhow!("cannot send: {error} with --wait TIME")
        }
        ConnectError::NotASocket { path, kind: FileKind::Directory } => {
            anyhow!("cannot send: {path:?} is a directory; name one of the sockets in it")
        }
        ConnectError::NotASocket { path, kind } => anyhow!("cannot send: {path:?} is {kind}, not a socket"),
        ConnectError::WrongType { address, .. } => {
            anyhow!("cannot send: {address} is not a stream socket, and send can use no other kind")
        }
        error => anyhow::Error::new(error).context("cannot send"),
    }
}

/// A directory, or a path in it, cannot be looked at by a command that does not wait for it to come into being.
pub(crate) fn directory(doing: &str, error: fs_watch::directory::Error) -> anyhow::Error {
    match error {
        fs_watch::directory::Error::Missing { dir } => anyhow!("{doing}: there is no {dir:?}"),
        error => anyhow::Error::new(error).context(doing.to_owned()),
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
