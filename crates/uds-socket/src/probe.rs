//! Whether a socket's file has a server, found out without disturbing one.

use std::path::Path;

use rustix::io::Errno;
use socket_file::{Found, Liveness};

use crate::address::{Address, SocketKind};
use crate::connect::diagnose;
use crate::error::{Error, Result};
use crate::path::check;

/// Says whether the socket at `path` has a server.
///
/// Asks the kernel what is bound to the file, which no server notices. A connection, closed at once, is tried last and only
/// if nothing seems to be bound. See [`SocketFile::probe`](socket_file::SocketFile::probe).
///
/// # Errors
/// [`Error::NotThere`], [`Error::NotASocket`] (a symbolic link is none), [`Error::InvalidPath`],
/// [`Error::PathTooLong`]; [`Error::Connect`] when it cannot be told, as with a socket that we may not write to.
pub fn probe(path: impl AsRef<Path>) -> Result<Liveness> {
    let path = path.as_ref();
    check(path)?;
    match Found::open(path) {
        Ok(Found::Socket(socket)) => {
            socket.probe(path).map_err(|source| Error::Connect { address: Address::Path(path.to_owned()), source })
        }
        Ok(Found::Other(kind)) => Err(Error::NotASocket { path: path.to_owned(), kind }),
        Err(error) => Err(diagnose(path, SocketKind::Stream, Errno::from_io_error(&error).unwrap_or(Errno::IO))),
    }
}
