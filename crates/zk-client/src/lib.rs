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
//! - **Order at the call.** A request is queued when its method is called. Which future is polled first does not matter,
//!   and neither does whether it is polled: a dropped one disturbs nobody.
//! - **Pipelined.** Nothing waits for the answer before it. Everything queued goes out in one write.
//! - **Never silent, never fooled.** Pings keep an idle session alive; a server that says nothing for two thirds of the
//!   session timeout is given up. Answers that do not match, frames that are too long and bodies that make no sense are
//!   errors that say so.
//! - **Bounded.** Requests that wait, bytes that wait, the size of an answer: see [`Builder`].
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
//! | question | asked by |
//! |---|---|
//! | what did the server say? | [`Error::code`]: `Some(ErrorCode::NoNode)`, … |
//! | may it have been executed all the same? | [`Error::maybe_executed`] |
//! | may I simply try again? | [`Error::is_retryable`] |
//! | can I go on with this client? | [`Error::client_usable`] |
//!
//! That a node does not exist is an answer to [`Client::exists`], and an error to everything else.
//!
//! # What this crate is not
//!
//! A client that comes back: when its connection is lost, this one fails what waits and is over ([`Client::closed`] tells).
//! Reconnecting within a session, watches, transactions, authentication, encryption, a chroot and recipes such as locks are
//! not here yet. For the wire alone, see `zk-proto`.

#![forbid(unsafe_code)]

mod builder;
mod chroot;
mod client;
mod connector;
mod create;
mod ending;
mod error;
mod events;
mod link;
mod payload;
mod pending;
mod queue;
mod servers;
mod stat_stream;
mod task;
mod transaction;
mod watch;

pub use packetizer::Report as Requests;
pub use zk_proto::{
    Acl, ClientInfo, ErrorCode, Names, Node, Permissions, Resume, SessionId, Stat, Zxid, session::Expiry,
};

pub use crate::{
    builder::Builder,
    client::{AclVersion, Client, Read, ReadReply},
    connector::{Connector, InMemory, Incoming, Tcp, Unix},
    create::{CreateMode, Created, Sequence},
    ending::{Ending, Report},
    error::{Attempt, Error, Failure, Result},
    events::{SessionEvent, SessionEvents},
    payload::{Payload, Version},
    pending::Pending,
    stat_stream::StatStream,
    transaction::{Done, Transaction},
    watch::{Change, NodeEvent, Watch, WatchEvent, WatchMode, Watches},
};
