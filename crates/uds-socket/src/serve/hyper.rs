//! A server loop over hyper, and a connector for clients of hyper and tonic.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Incoming as Received};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::UnixStream;
use tower_service::Service;

use super::Incoming;
use crate::connect::Connect;
use crate::error::{AcceptError, ConnectError};
use crate::peer::Peer;

/// Serves HTTP/1 and HTTP/2 on the connections of `incoming` until there are no more, then finishes the requests in
/// progress.
///
/// `service_for` makes the service for one connection, and gets its peer's identity. Each connection has its own task.
///
/// # Errors
///
/// The reason, if the listener broke. Requests in progress are finished in that case, too.
///
/// # Cancel safety
///
/// Dropping the future closes the listener. The tasks of the connections continue.
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
pub async fn serve<S, B>(
    mut incoming: Incoming,
    mut service_for: impl FnMut(&Peer) -> S,
) -> Result<(), Arc<AcceptError>>
where
    S: hyper::service::Service<Request<Received>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let handle = incoming.drain_handle();
    let builder = Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    while let Some(connection) = incoming.accept().await {
        let service = service_for(connection.peer());
        let watcher = connections.watcher();
        let builder = builder.clone();
        tokio::spawn(async move {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(connection), service);
            // The client sees an error on its connection, and it is no reason to stop.
            let _ = watcher.watch(connection.into_owned()).await;
        });
    }
    drop(incoming);
    handle.ended().await;
    connections.shutdown().await;
    handle.failure().map_or(Ok(()), Err)
}

/// Connects clients of hyper (`hyper_util::client::legacy`) and tonic (`Endpoint::connect_with_connector`) to one
/// socket.
///
/// The address and the deadline are those of the [`Connect`]. The host of the client's URI is not used, so write any,
/// such as `http://localhost/`; the server sees the URI's path.
#[derive(Debug, Clone)]
pub struct Connector {
    connect: Connect,
}

impl Connector {
    /// Connects like `connect`.
    #[must_use]
    pub const fn new(connect: Connect) -> Self {
        Self { connect }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connect = self.connect.clone();
        Box::pin(async move { connect.connect().await.map(TokioIo::new) })
    }
}
