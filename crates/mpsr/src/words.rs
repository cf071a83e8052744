//! Errors of the libraries as messages of the commands: what to do, and with which option.

use std::{error::Error as _, io, path::Path};

use anyhow::anyhow;
use fs_watch::SocketKind;
use rustix::io::Errno;
use uds_actor::{Address, BindError, ConnectError, FileKind, NameLoss, Peer};

use crate::address::directory_of;

/// A socket cannot be bound. `doing` says what the command could not do, such as `cannot listen`.
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
        BindError::Examine { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => anyhow!(
            "{doing}: {error}: {source}; only its owner and root can find that out: remove it yourself if no process serves it"
        ),
        BindError::Bind { address: Address::Path(path), source, .. } if is_denied(source) => {
            anyhow!("{doing}: this process may not make files in {:?}: {source}", directory_of(path))
        }
        BindError::Bind { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => anyhow!(
            "{doing}: {error}: {source}; if the file is a mount point, mount the directory that holds the socket instead"
        ),
        error => match error.source() {
            Some(source) => anyhow!("{doing}: {error}: {source}"),
            None => anyhow!("{doing}: {error}"),
        },
    }
}

/// No connection to a receiver. `has_waited` says whether --wait was given.
pub(crate) fn connect(error: ConnectError, has_waited: bool) -> anyhow::Error {
    match error {
        ConnectError::NotThere { .. } | ConnectError::NotListening { .. } | ConnectError::QueueFull { .. }
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

/// A directory, or a path in it, cannot be read. The command does not wait for it to appear.
pub(crate) fn directory(doing: &str, error: fs_watch::directory::Error) -> anyhow::Error {
    match error {
        fs_watch::directory::Error::Missing { dir } => anyhow!("{doing}: there is no {dir:?}"),
        fs_watch::directory::Error::Unreadable { dir, source } => unreadable(doing, &dir, &source),
        error => anyhow::Error::new(error).context(doing.to_owned()),
    }
}

/// The same for a watcher, which can be told to wait for a directory that does not exist yet.
pub(crate) fn watch(doing: &str, error: fs_watch::Error) -> anyhow::Error {
    match error {
        fs_watch::Error::Unreadable { dir, source } => unreadable(doing, &dir, &source),
        error => anyhow::Error::new(error).context(doing.to_owned()),
    }
}

fn unreadable(doing: &str, dir: &Path, source: &io::Error) -> anyhow::Error {
    let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
    let hint = if is_denied { "; this process must be allowed to read and to search it" } else { "" };
    anyhow!("{doing}: {dir:?} cannot be read: {source}{hint}")
}

/// Of a socket's file, or of one that is watched.
pub(crate) fn kind_of_socket(kind: Option<SocketKind>) -> String {
    kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_string())
}

/// Whether the permissions of a directory are the reason, rather than a missing privilege.
fn is_denied(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::ACCESS)
}

/// The file of a socket that we bound no longer leads to it. `seeker` says who looks for it there.
pub(crate) fn name_lost(address: &str, loss: NameLoss, seeker: &str, is_taken_again: bool) -> String {
    let what = if loss == NameLoss::Replaced { "replaced by another" } else { "removed" };
    let hint = if is_taken_again { "" } else { " (--rebind takes the name again)" };
    format!("mpsr: {address}: its file was {what}, so that no {seeker} finds it{hint}")
}

/// The file leads to the socket again.
pub(crate) fn rebound(address: &str) -> String {
    format!("mpsr: {address}: it has its name again")
}

/// A process that connected to it is not admitted.
pub(crate) fn rejected(address: &str, peer: Option<&Peer>) -> String {
    let who = peer.map_or_else(|| "a process that the kernel does not name".to_owned(), Peer::to_string);
    format!("mpsr: rejected {who} on {address}: not admitted")
}

/// `1 message`, `2 messages`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
