//! An async ZooKeeper client.
//!
//! ```text
//!   clones of Client          one task                        server
//!   ┌───────────┐      ┌──────────────────────┐
//!   │ get("/a") ├─┐    │ Driver (packetizer)  │   one write   ┌────────┐
//!   └───────────┘ ├───►│  Session  (zk-proto) ├──────────────►│        │
//!   ┌───────────┐ │    │  Keepalive           │               │        │
//!   │ set("/b") ├─┘    │                      │◄──────────────┤        │
//!   └───────────┘      └──────────────────────┘   replies     └────────┘
//!     order is fixed      reads while it writes
//! ```
//!
//! - **Order at the call.** A request is queued when you call its method. It does not matter which future is polled first, or
//!   whether it is polled at all. Dropping a future does not affect other requests.
//! - **Pipelined.** No request waits for the reply to an earlier one. Everything queued goes out in one write.
//! - **Guarded against a bad server.** Pings keep an idle session alive. The client gives up on a server that is silent for two
//!   thirds of the session timeout. Replies that match no request, frames that are too long and bodies that make no sense are
//!   errors with a name.
//! - **Bounded.** [`Options`] limits the pending requests, the bytes that wait and the size of a reply.
//!
//! ```no_run
//! use zk_client::{Acl, Client, CreateMode, Version};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> zk_client::Result<()> {
//! let zk = Client::connect("127.0.0.1:2181").await?;
//!
//! // Three requests, one round trip; the server executes them in this order.
//! let created = zk.create("/greeting", "hello", CreateMode::Ephemeral, Acl::OPEN);
//! let changed = zk.set("/greeting", "hello again", Version::Is(0));
//! let read = zk.get("/greeting");
//! created.await?;
//! changed.await?;
//! assert_eq!(read.await?.bytes(), b"hello again");
//!
//! let report = zk.close().await; // the ephemeral node goes with the session
//! println!("{:?} after {} answers", report.ending, report.requests.answered);
//! # Ok(())
//! # }
//! ```
//!
//! # When something fails
//!
//! | question | method |
//! |---|---|
//! | which error did the server report? | [`Error::code`]: `Some(ErrorCode::NoNode)`, … |
//! | may the request have been executed anyway? | [`Error::maybe_executed`] |
//! | can I simply try again? | [`Error::is_retryable`] |
//! | is this client still usable? | [`Error::client_usable`] |
//!
//! A missing node is a normal reply to [`Client::exists`] and an error for every other operation.
//!
//! # What this crate is not
//!
//! It does not reconnect: when its connection is lost, every pending request fails and the client has ended
//! ([`Client::closed`] returns the reason). Reconnecting within a session, watches, transactions, authentication, encryption, a chroot and recipes such as locks are
//! not here yet. For the wire alone, see `zk-proto`.

#![forbid(unsafe_code)]

mod address;
mod client;
mod connector;
mod error;
mod handshake;
mod options;
mod payload;
mod pending;
mod task;

pub use packetizer::Report as Requests;
pub use zk_proto::{Acl, CreateMode, ErrorCode, Names, Node, Permissions, SessionId, Stat, Zxid};

pub use crate::{
    client::Client,
    connector::{Connector, InMemory, Incoming, Tcp, Unix},
    error::{Attempt, Ending, Error, Failure, Report, Result},
    options::Options,
    payload::{Payload, Version},
    pending::Pending,
};
