//! Connections for a server: admitted, limited, and drained at the end.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;
use super::handle::{DrainHandle, Shared, reaches};
use super::limits::{ConnectionLimits, Slots};
use crate::accept::Accepted;
use crate::error::AcceptError;
use crate::listener::{Draining, Listener};

/// The connections of a [`Listener`], for a server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::io::AsyncReadExt as _;
/// use uds_socket::{Bind, Connect, serve::{ConnectionLimits, Incoming}};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("app.sock");
/// let limits = ConnectionLimits { per_uid: 16, ..ConnectionLimits::default() };
/// let mut incoming = Incoming::new(Bind::path(&path).listen()?, limits);
/// let handle = incoming.drain_handle();
///
/// let client = Connect::path(&path).connect().await?;
/// handle.drain();
/// let mut connection = incoming.accept().await.expect("it was waiting");
/// assert_eq!(connection.peer().pid(), Some(std::process::id()));
/// assert!(incoming.accept().await.is_none());
///
/// drop(client);
/// assert_eq!(connection.read(&mut [0; 1]).await?, 0);
/// drop(connection);
/// handle.closed().await;
/// assert!(handle.failure().is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Incoming {
    source: Source,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Source {
    Listening(Box<Listener>),
    Draining(Box<Draining>),
    Ended,
}

impl Incoming {
    /// The connections of this listener, within these limits.
    #[must_use]
    pub fn new(listener: Listener, limits: ConnectionLimits) -> Self {
        Self { source: Source::Listening(Box::new(listener)), shared: Shared::new(Slots::new(limits)) }
    }

    /// A handle that can end this `Incoming` even after you have moved it.
    #[must_use]
    pub fn drain_handle(&self) -> DrainHandle {
        DrainHandle { shared: Arc::clone(&self.shared) }
    }

    /// The next connection; `None` at the end. [`DrainHandle::failure`] has the reason if the listener broke.
    ///
    /// At the limit, it waits until a connection is dropped. It handles a shortage of descriptors or memory like
    /// [`Listener::accept`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future loses no connection.
    ///
    /// # Panics
    ///
    /// If a pause is needed in a tokio runtime built without time.
    pub async fn accept(&mut self) -> Option<Connection> {
        loop {
            let (accepted, permit) = match &mut self.source {
                Source::Ended => return None,
                Source::Listening(listener) => tokio::select! {
                    biased;
                    () = reaches(&self.shared.drain, |drain| *drain) => {
                        self.stop_listening();
                        continue;
                    }
                    (accepted, permit) = next_within(listener, &self.shared.slots) => {
                        self.shared.stats().listener = listener.stats().clone();
                        (accepted.map(Some), permit)
                    }
                },
                Source::Draining(draining) => {
                    let accepted = draining.next().await;
                    self.shared.stats().listener = draining.stats().clone();
                    (accepted, None)
                }
            };
            let (stream, peer) = match accepted {
                Ok(Some(Accepted::Connection(stream, peer))) => (stream, peer),
                Ok(Some(Accepted::NameLost(loss))) => {
                    self.shared.stats().name_lost = Some(loss);
                    self.shared.name_lost.send_replace(Some(loss));
                    continue;
                }
                // The listener counts these, and makes the pause after a shortage.
                Ok(Some(Accepted::Rejected(_) | Accepted::Trouble(_))) => continue,
                Ok(None) => {
                    self.end(None);
                    continue;
                }
                Err(error) => {
                    self.end(Some(error));
                    continue;
                }
            };
            let Some(slot) = self.shared.slots.take(peer.uid(), permit) else {
                let mut stats = self.shared.stats();
                stats.over_limit += 1;
                stats.last_over_limit = Some(peer);
                continue;
            };
            return Some(Connection::new(stream, peer, slot, &self.shared));
        }
    }

    /// The same as a stream. Its items are always `Ok`.
    #[must_use]
    pub fn into_stream(self) -> IncomingStream {
        IncomingStream { state: StreamState::Idle(Box::new(self)) }
    }

    fn stop_listening(&mut self) {
        if let Source::Listening(listener) = mem::replace(&mut self.source, Source::Ended) {
            self.source = Source::Draining(Box::new(listener.into_draining()));
        }
    }

    fn end(&mut self, failure: Option<AcceptError>) {
        self.source = Source::Ended;
        if let Some(error) = failure {
            self.shared.fail(error);
        }
        self.shared.ended.send_replace(true);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shared.ended.send_replace(true);
    }
}

/// The next event, once there is room for one more connection. The loss of the name is noticed before that, too.
async fn next_within(
    listener: &mut Listener,
    slots: &Slots,
) -> (Result<Accepted<UnixStream>, AcceptError>, Option<OwnedSemaphorePermit>) {
    tokio::select! {
        biased;
        permit = slots.wait() => (listener.next().await, Some(permit)),
        loss = listener.name_lost() => (Ok(Accepted::NameLost(loss)), None),
    }
}

type Accepting = Pin<Box<dyn Future<Output = (Option<Connection>, Box<Incoming>)> + Send>>;

/// [`Incoming`] as a [`Stream`], from [`Incoming::into_stream`].
pub struct IncomingStream {
    state: StreamState,
}

enum StreamState {
    Idle(Box<Incoming>),
    Accepting(Accepting),
    Ended,
}

impl Stream for IncomingStream {
    type Item = Result<Connection, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.state = match mem::replace(&mut self.state, StreamState::Ended) {
                StreamState::Ended => return Poll::Ready(None),
                StreamState::Idle(mut incoming) => {
                    StreamState::Accepting(Box::pin(async move { (incoming.accept().await, incoming) }))
                }
                StreamState::Accepting(mut accepting) => match accepting.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = StreamState::Accepting(accepting);
                        return Poll::Pending;
                    }
                    Poll::Ready((Some(connection), incoming)) => {
                        self.state = StreamState::Idle(incoming);
                        return Poll::Ready(Some(Ok(connection)));
                    }
                    Poll::Ready((None, _)) => StreamState::Ended,
                },
            };
        }
    }
}

impl fmt::Debug for IncomingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingStream").finish_non_exhaustive()
    }
}
