//! Connects to exactly the socket that was listed, even if another file has its name by now.

use std::os::unix::net::UnixStream;

use socket_file::{ConnectError, Owner};

use crate::socket::Socket;

/// Connects to the stream socket that was announced as `socket`, if it still has its path and belongs to us or to root.
///
/// The stream is non-blocking, as `tokio::net::UnixStream::from_std` requires; call `set_nonblocking` if you need a
/// blocking one. The call itself never waits for the server: a full queue is [`ConnectError::Busy`]. It does query the
/// filesystem, which may be slow.
///
/// The owner of a file is the user who bound it, which is not always the user who listens. If you need to know that,
/// ask the stream for its peer's credentials.
///
/// # Errors
///
/// Each of [`ConnectError`]. Of a socket that is gone or replaced the [`Removed`](crate::Event::Removed) will follow.
///
/// ```
/// use fs_watch::{Event, Watcher, connect_at};
/// # use std::os::unix::net::UnixListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let _listener = UnixListener::bind(dir.path().join("a.sock"))?;
/// # let mut watcher = Watcher::start(dir.path()).await?;
/// while let Some(event) = watcher.next().await {
///     if let Event::InitApply(socket) | Event::Added(socket) = event {
///         let stream = tokio::net::UnixStream::from_std(connect_at(&socket)?)?;
///         # drop(stream);
///         break;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn connect_at(socket: &Socket) -> Result<UnixStream, ConnectError> {
    connect_at_owned_by(socket, Owner::Trusted)
}

/// Like [`connect_at`], for a socket file with another owner.
///
/// # Errors
///
/// See [`connect_at`].
pub fn connect_at_owned_by(socket: &Socket, owner: Owner) -> Result<UnixStream, ConnectError> {
    socket_file::connect(&socket.path, &socket.facts, owner)
}
