//! Bind, publish, accept, drain and connect Unix sockets; know who is at the other end, and admit by it.
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
//! | to | take |
//! |---|---|
//! | offer a path | [`Bind`] and its [`Listener`] or [`BoundDatagram`]: locked, bound under its final name, watched, drained at the end |
//! | reach a path | [`Connect`]: waits for a server up to a deadline, says what is in the way |
//! | know who is there | [`Peer`] and [`Admit`]: from the kernel, without name-service look-ups |
//! | find out whether a path is served | [`probe()`] |
//! | serve with axum, tonic or hyper | [`serve::Incoming`]: limits, the peer's identity, an orderly end |
//! | exchange packets | [`Seqpacket`] connections and datagrams, see [`packet`] |
//!
//! # What this crate is not
//!
//! It does not frame messages and owns no connection (`uds-actor`, `uds-channel`), and knows nothing of directories that sockets
//! appear in (`fs-watch`). It is for Linux.
//!
//! # Features
//!
//! - `axum`: `axum::serve::Listener` for [`serve::Incoming`], and [`Peer`] as what a handler learns about a connection.
//! - `hyper`: `serve::hyper`, a server loop over hyper and a connector for its client.
//! - `tonic`: connections for tonic's server; includes `hyper` for the connector of its client.

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
mod overflow;
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
    error::{Error, PathFault, Result},
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
