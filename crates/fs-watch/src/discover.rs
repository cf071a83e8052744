//! The sockets of a directory as endpoints for tower's load balancers.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tower::discover::Change;

use crate::error::Error;
use crate::event::Event;
use crate::socket::{Socket, SocketId};
use crate::watcher::Watcher;

/// A `tower::discover::Discover`: from [`Watcher::into_discover`].
///
/// A stream of `Change::Insert` for each socket with a server that [listens](crate::Event::Ready), and of
/// `Change::Remove` when the socket or its server is gone. The key is the [`SocketId`], so no key is ever reused, and
/// the `Remove` of a socket comes before the `Insert` of the one that replaced it.
///
/// It ends, after an [`Error::Stopped`], only if the watching thread has ended by itself (see [`Watcher::next`]). The
/// watcher's reports of trouble are not passed on: endpoints that cannot be seen for a while stay. Dropping it stops
/// the watcher.
#[must_use = "a stream does nothing unless polled"]
pub struct Discover<F> {
    /// None once its end has been reported.
    watcher: Option<Watcher>,
    make: F,
    inserted: HashSet<SocketId>,
}

impl Watcher {
    /// Makes a service for each socket, for consumers of a `tower::discover::Discover`, such as
    /// `tower::balance::p2c::Balance`.
    ///
    /// `make` is called while the stream is polled and should not wait for anything: let the service connect when it is
    /// polled for readiness, or when it is first called.
    ///
    /// If the watcher does not [probe](crate::Builder::probing), it never reports that a server listens, and you get no
    /// endpoint.
    pub fn into_discover<F, S>(self, make: F) -> Discover<F>
    where
        F: FnMut(Socket) -> S,
    {
        Discover { watcher: Some(self), make, inserted: HashSet::new() }
    }
}

impl<F, S> Stream for Discover<F>
where
    F: FnMut(Socket) -> S,
{
    type Item = Result<Change<SocketId, S>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(watcher) = &mut this.watcher else { return Poll::Ready(None) };
        loop {
            let change = match std::task::ready!(Pin::new(&mut *watcher).poll_next(context)) {
                Some(Event::Ready(socket)) => {
                    this.inserted.insert(socket.id());
                    Ok(Change::Insert(socket.id(), (this.make)(socket)))
                }
                Some(Event::Removed { id, .. }) if this.inserted.remove(&id) => Ok(Change::Remove(id)),
                Some(_) => continue,
                None => {
                    let dir = watcher.dir().to_owned();
                    this.watcher = None;
                    Err(Error::Stopped { dir })
                }
            };
            return Poll::Ready(Some(change));
        }
    }
}

/// `make` is only ever called.
impl<F> Unpin for Discover<F> {}

impl<F> fmt::Debug for Discover<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discover").field("watcher", &self.watcher).finish_non_exhaustive()
    }
}
