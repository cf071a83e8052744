//! Bind, publish, accept, drain and connect Unix sockets; identify the peer, and admit only the users you choose.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! use uds_socket::{Bind, Connect};
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("in.sock");
//! let mut listener = Bind::path(&path).listen()?;
//!
//! let mut client = Connect::path(&path).connect().await?;
//! client.write_all(b"hello").await?;
//! drop(client);
//!
//! let (mut server, peer) = listener.accept().await?;
//! assert_eq!(peer.pid(), Some(std::process::id()));
//! let mut text = String::new();
//! server.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! | to | use |
//! |---|---|
//! | offer a path | [`Bind`] and its [`Listener`] or [`BoundDatagram`]: it locks the path, binds it under its final name, watches the name, and drains the queue at the end |
//! | reach a path | [`Connect`]: it waits for a server up to a deadline, and says which directory is in the way |
//! | identify a peer | [`Peer`] and [`Admit`]: from the kernel, without name-service lookups |
//! | find out whether a path is served | [`probe()`] |
//! | serve with axum, tonic or hyper | [`serve::Incoming`]: limits, the peer's identity, a graceful shutdown |
//! | exchange packets | [`Seqpacket`] connections and datagrams, see [`packet`] |
//! | do all this without a runtime | [`Bind::listen_blocking`] and [`BlockingListener`], with `default-features = false` |
//!
//! # What this crate is not
//!
//! It does not split bytes into messages and does not own connections (`uds-actor` and `uds-channel` do). It does not
//! watch directories in which sockets appear (`fs-watch` does). Linux only.
//!
//! # Features
//!
//! - `tokio` (default): listeners, connections and packet sockets for tokio. Without it, every call blocks.
//! - `axum`: `axum::serve::Listener` for [`serve::Incoming`], and [`Peer`] as the connection info of a handler.
//! - `hyper`: `serve::hyper`, a server loop over hyper and a connector for its client.
//! - `tonic`: connections for tonic's server; includes `hyper` for the connector of its client.

/// The README's code, compiled as it is printed.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod abstract_name;
mod accept;
mod address;
mod admit;
mod backoff;
mod bind;
mod blocking;
mod connect;
mod denied;
mod error;
#[cfg(feature = "tokio")]
mod listener;
mod mode;
mod name_watch;
#[cfg(feature = "tokio")]
pub mod packet;
mod path;
mod peer;
mod probe;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(feature = "tokio")]
pub mod serve;
mod sys;
mod warning;

pub use crate::{
    accept::{AcceptStats, Acceptable, Accepted},
    address::{Address, SocketKind},
    admit::Admit,
    backoff::{Backoff, chance},
    bind::{
        Bind,
        publish::{NameLoss, Withdrawal},
    },
    blocking::{BlockingDraining, BlockingListener},
    connect::Connect,
    error::{
        AcceptError, AddressError, BindError, ConnectError, Denied, InvalidMode, NoRuntime, PathFault, PeerError,
        ProbeError,
    },
    mode::Mode,
    peer::Peer,
    probe::probe,
    sys::{Rights, set_rights, want_no_identities},
    warning::Warning,
};
#[cfg(feature = "tokio")]
pub use crate::{
    listener::{Draining, Listener, SeqpacketListener},
    packet::{BoundDatagram, Seqpacket},
};
#[doc(inline)]
pub use lock_file::{Fault as LockFault, FileKind};
#[doc(inline)]
pub use socket_file::{Answer, Evidence, Liveness, Verdict};
