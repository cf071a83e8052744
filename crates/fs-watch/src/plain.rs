//! The simple interface: two events on a channel, if paths are all you need.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::error::Error;
use crate::event::Event;
use crate::watcher::Watcher;

/// A socket appeared or disappeared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// A socket is at this path: it was there at the start, or is new. It need not be live yet.
    NewSocket(PathBuf),
    /// The socket at this path is gone, or its server is. If another replaced it, `NewSocket` follows.
    SocketClosed(PathBuf),
}

/// Watches `dir` and sends what appears and disappears, beginning with the sockets that are already there, until the
/// receiver is dropped.
///
/// A full channel makes it wait. Changes meanwhile are not lost: once there is room, it sends the current state. A
/// socket that came and went in the meantime is not reported. If the directory is deleted, its sockets are closed; if
/// it is created again, watching continues.
///
/// If you need to know about replaced sockets, about trouble and its end, or where the first listing ends, use a
/// [`Watcher`].
///
/// # Errors
///
/// The directory cannot be watched: see [`Builder::start`](crate::Builder::start).
///
/// # Cancel safety
///
/// Dropping the future ends the watching. The event that was being sent may be lost.
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
