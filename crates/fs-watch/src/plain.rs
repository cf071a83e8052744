//! The plain view: two events into a channel, for whom a path is all there is to a socket.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::event::Event;
use crate::watcher::Watcher;

/// A socket came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A socket is at this path: found there at the start, or new. Nobody need be listening yet.
    NewSocket(PathBuf),
    /// The socket at this path is gone, or its server is. If another took its place, `NewSocket` follows.
    SocketClosed(PathBuf),
}

/// Watches `dir` and sends what comes and goes, the sockets already there first, until the receiver is
/// dropped.
///
/// A full channel makes it wait, and what happens to the directory meanwhile is not lost: once there is
/// room, what has become of it is sent. A socket that came and went in the meantime is not mentioned. If
/// the directory is deleted, its sockets are closed; if it is made again, watching goes on.
///
/// For paths that were replaced, trouble and its end, or a listing with an end to it, take a [`Watcher`].
///
/// # Errors
///
/// The directory cannot be watched: see [`Builder::start`](crate::Builder::start).
///
/// # Cancel safety
///
/// Dropping the future ends the watching; an event whose turn it was may be lost with it.
pub async fn watch_for_new_sockets(dir: impl Into<PathBuf>, sender: mpsc::Sender<SocketEvent>) -> Result<(), Error> {
    let mut watcher = Watcher::start(dir).await?;
    let outcome = loop {
        let event = tokio::select! {
            event = watcher.next() => event,
            () = sender.closed() => break Ok(()),
        };
        let event = match event {
            Some(Event::InitApply(socket) | Event::Added(socket)) => SocketEvent::NewSocket(socket.path),
            Some(Event::Removed { id, .. }) => SocketEvent::SocketClosed(id.path),
            Some(Event::Init | Event::InitDone | Event::Ready(_) | Event::Degraded(_) | Event::Resynced) => continue,
            None => {
                break Err(Error::Stopped { dir: watcher.dir().to_owned() });
            }
        };
        if sender.send(event).await.is_err() {
            break Ok(());
        }
    };
    watcher.shutdown().await;
    outcome
}
