//! Serve with other libraries: axum, tonic, hyper.
//!
//! [`Incoming`] turns a [`Listener`](crate::Listener) into what these servers accept. It adds what none of them has for
//! a Unix socket: a limit on connections in total and per user, the identity of each peer, a graceful end, and the
//! reason if the listener breaks.
//!
//! | server | feature | how |
//! |---|---|---|
//! | axum | `axum` | `axum::serve(incoming, app)`; a handler takes `ConnectInfo<Peer>` |
//! | tonic | `tonic` | `Server::serve_with_incoming(service, incoming.into_stream())`; a handler finds a `Peer` in the request's extensions |
//! | hyper | `hyper` | [`hyper::serve`](self::hyper) with a hyper service; or your own loop over [`Incoming::accept`] |
//!
//! Clients of tonic and of hyper connect through `Connector` (feature `hyper`).
//!
//! # The end
//!
//! ```text
//!   DrainHandle::drain ──► the name is removed, new connections are refused
//!                     ──► the server gets the connections that were waiting
//!                     ──► DrainHandle::ended resolves: the server stops accepting and finishes the requests it has
//! ```
//!
//! Pass [`DrainHandle::ended`] to the server as its shutdown signal. It also resolves if the listener is broken, which
//! axum's trait for listeners cannot report. [`DrainHandle::failure`] then has the reason, so that the program can exit
//! with an error and be restarted.

#[cfg(feature = "axum")]
mod axum;
mod connection;
mod handle;
#[cfg(feature = "hyper")]
pub mod hyper;
mod incoming;
mod limits;
#[cfg(feature = "tonic")]
mod tonic;

pub use self::{
    connection::Connection,
    handle::DrainHandle,
    incoming::{Incoming, IncomingStream},
    limits::{ConnectionLimits, ServeStats},
};
