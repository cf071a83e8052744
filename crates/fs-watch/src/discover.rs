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
/// A stream of `Change::Insert` for each socket on which somebody [listens](crate::Event::Ready), and of `Change::Remove`
/// when it is gone, or its server is. The key is the
/// [`SocketId`], so that no key is ever used twice, and the `Remove` of a socket comes before the `Insert` of the one
/// that has replaced it.
///
/// It ends, after an [`Error::Stopped`], only if the watching thread has ended by itself (see [`Watcher::next`]). What
/// the watcher says about trouble is not passed on: endpoints that cannot be seen for a while stay. Dropping it stops the
/// watcher.
#[must_use = "a stream does nothing unless polled"]
pub struct Discover<F> {
    /// None when its end has been told.
    watcher: Option<Watcher>,
    make: F,
    inserted: HashSet<SocketId>,
}

impl Watcher {
    /// Makes a service for each socket, for whoever takes a `tower::discover::Discover`, such as
    /// `tower::balance::p2c::Balance`.
    ///
    /// `make` is called while the stream is polled and should not wait for anything: let the service connect when it is
    /// asked whether it is ready, or when it is first called.
    ///
    /// A watcher that does not [probe](crate::Builder::probing) never tells that somebody listens, and gives no endpoint.
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
