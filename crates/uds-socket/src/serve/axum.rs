//! `axum::serve` over an [`Incoming`].

use std::future::pending;
use std::io;
use std::os::unix::net::UnixStream;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};

use super::{Connection, Incoming};
use crate::peer::Peer;

/// For `axum::serve(incoming, app)`. The "address" is the peer, because client sockets seldom have a name.
///
/// axum cannot be told that a listener is broken. In that case `accept` waits forever, and
/// [`DrainHandle::ended`](super::DrainHandle::ended), passed to `with_graceful_shutdown`, ends the server.
impl Listener for Incoming {
    type Io = Connection;
    type Addr = Peer;

    async fn accept(&mut self) -> (Connection, Peer) {
        match Self::accept(self).await {
            Some(connection) => {
                let peer = connection.peer().clone();
                (connection, peer)
            }
            None => pending().await,
        }
    }

    /// This process, as its peers see it.
    fn local_addr(&self) -> io::Result<Peer> {
        let (here, _there) = UnixStream::pair()?;
        Peer::of(&here).map_err(io::Error::other)
    }
}

/// For `into_make_service_with_connect_info::<Peer>()`: handlers take `ConnectInfo<Peer>`.
impl Connected<IncomingStream<'_, Incoming>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Incoming>) -> Self {
        stream.remote_addr().clone()
    }
}
