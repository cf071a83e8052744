//! Whether a socket file has a server, without disturbing it.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use socket_file::{Found, Liveness};

use crate::denied::{denied, missing};
use crate::error::ProbeError;
use crate::path::check;

/// Finds out whether the socket at `path` has a server.
///
/// It asks the kernel what is bound to the file, which no server notices. Only if nothing seems to be bound, it tries a
/// connection at the end, and closes it immediately. See [`SocketFile::probe`](socket_file::SocketFile::probe).
///
/// # Errors
/// [`ProbeError::NotThere`], [`ProbeError::NotASocket`] (also for a symbolic link), [`ProbeError::Address`],
/// [`ProbeError::Denied`]; [`ProbeError::Failed`] if the system gives no answer, for example for a socket that we may
/// not write to.
pub fn probe(path: impl AsRef<Path>) -> Result<Liveness, ProbeError> {
    let path = path.as_ref();
    check(path)?;
    match Found::open(path) {
        Ok(Found::Socket(socket)) => {
            socket.probe(path).map_err(|source| ProbeError::Failed { path: path.to_owned(), source })
        }
        Ok(Found::Other(kind)) => Err(ProbeError::NotASocket { path: path.to_owned(), kind }),
        Err(source) => Err(in_the_way(path, source)),
    }
}

/// Why the file cannot be opened.
fn in_the_way(path: &Path, source: io::Error) -> ProbeError {
    let path = path.to_owned();
    match Errno::from_io_error(&source) {
        Some(Errno::NOENT) => ProbeError::NotThere { missing: missing(&path).unwrap_or_else(|| path.clone()), path },
        Some(Errno::ACCESS) => match denied(&path) {
            Some(denied) => denied.into(),
            None => ProbeError::Failed { path, source },
        },
        _ => ProbeError::Failed { path, source },
    }
}
