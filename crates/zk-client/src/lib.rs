//! An async ZooKeeper client that keeps its session through everything short of expiry.
//!
//! ```no_run
//! use zk_client::{Acl, Client, CreateMode, Version, WatchEvent, WatchMode};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> zk_client::Result<()> {
//! let zk = Client::connect("zk1:2181,zk2:2181,zk3:2181").await?;
//!
//! // Every change of the node from now on, even if the connection is lost in between.
//! let mut watch = zk.watch("/greeting", WatchMode::Node).await?;
//!
//! // Five requests, one round trip; the server executes them in this order.
//! let before = zk.exists("/greeting");
//! let created = zk.create("/greeting", "hello", CreateMode::Persistent, Acl::OPEN);
//! let read = zk.get("/greeting");
//! let changed = zk.set("/greeting", "hello again", Version::Is(0));
//! let deleted = zk.delete("/greeting", Version::Any);
//! assert_eq!(before.await?, None);
//! println!("created {}", created.await?);
//! assert_eq!(read.await?.bytes(), b"hello");
//! assert_eq!(changed.await?.version, 1);
//! deleted.await?;
//!
//! // The events came before the replies to the writes that caused them.
//! while let Some(event) = watch.next().await {
//!     match event {
//!         WatchEvent::Node(event) => println!("{} was changed: {:?}", event.path, event.change),
//!         WatchEvent::Resync => println!("there was no connection for a while: read again"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What happens when a connection is lost
//!
//! ```text
//!   Connected ──► Suspended ──► Resumed ──► …  ──► Ended(Closed | Expired | AuthFailed)
//!                  requests that were sent fail: they may have been executed, and are never sent again
//!                  requests that were not sent wait, or fail if the client fails fast
//!                                identities are proved and watches are set again, then requests go out
//! ```
//!
//! - The client tries every address of every server, each with a separate time limit, and with a head start of 250 ms
//!   over the next one. It resolves names again in each round.
//! - The session is over when the server says so, or when no server has granted it again for 4/3 of its timeout. A
//!   [`Client`] is one session. [`Renewing`] makes a new one and says which sessions were replaced.
//! - [`Client::events`] yields all of this in order. [`Client::detach`] leaves a session for another process to
//!   [resume](Builder::resume).
//!
//! # Watches
//!
//! | you want | call | you get |
//! |---|---|---|
//! | the next change of what you read | [`get_and_watch`](Client::get_and_watch), [`exists_and_watch`](Client::exists_and_watch), [`children_and_watch`](Client::children_and_watch) | a [`Watch`]: a future of one event |
//! | every change of a node or a tree | [`watch`](Client::watch) | [`Watches`]: a stream, which yields [`Resync`](WatchEvent::Resync) where events may be missing |
//! | the current state of a node | [`watch_stat`](Client::watch_stat) | a [`StatStream`] of `Option<Stat>` |
//!
//! All of them outlive connections. When the reply to a request is ready, every event that the server sent before it is
//! in its stream. The server has one watch for each path and kind, however many users it has in the client. Dropping
//! one of them does not affect the others.
//!
//! # When something fails
//!
//! | question | method |
//! |---|---|
//! | what did the server say? | [`Error::code`]: `Some(ErrorCode::NoNode)`, … |
//! | may the server have executed it even so? | [`Error::maybe_executed`] |
//! | can I simply try again? | [`Error::is_retryable`] |
//! | can I go on using this client? | [`Error::client_usable`] |
//!
//! For [`Client::exists`], a node that does not exist is an answer. For everything else, it is an error.
//!
//! # How it works
//!
//! ```text
//!   clones of Client          one task                        servers
//!   ┌───────────┐      ┌──────────────────────┐
//!   │ get("/a") ├─┐    │ Driver (packetizer)  │   one write   ┌────────┐
//!   └───────────┘ ├───►│  Session  (zk-proto) ├──────────────►│        │
//!   ┌───────────┐ │    │                      │               │        │
//!   │ set("/b") ├─┘    │                      │◄──────────────┤        │
//!   └───────────┘      └──────────────────────┘    replies,   └────────┘
//!     order is fixed     reads while it writes      events
//! ```
//!
//! Requests are queued when you call their method; it does not matter which future you poll first, or whether you poll
//! it. No request waits for the reply to the one before. Every queue is bounded: see [`Builder`].
//!
//! # What this crate is not
//!
//! It has no TLS and no SASL yet (use a [`Connector`] for encrypted streams), it does not leave a read-only server by
//! itself when a read-write server is back, and it has no recipes such as locks. For the wire protocol alone, see `zk-proto`. `docs/zookeeper.md` in the repository
//! lists operations, guarantees, deviations and the versions that we tested.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `tracing` | a span for each request (`operation`, `path`, `xid`; its reply with `latency_us`), an event for each change of the session |

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod builder;
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
mod renewing;
mod servers;
mod settings;
mod sink;
mod stat_stream;
mod task;
mod trace;
mod transaction;
mod watch;

pub use packetizer::Report as Requests;
pub use zk_proto::{
    Acl, ClientInfo, ConnectString, ConnectStringError, ErrorCode, Names, Node, Permissions, Resume, Server, SessionId,
    Stat, Zxid, digest_id, session::Expiry,
};

pub use crate::{
    builder::Builder,
    client::{AclVersion, Client, Read, ReadReply, Reconfiguration},
    connector::{Connector, InMemory, Incoming, Tcp, Unix},
    create::{CreateMode, Created, Sequence},
    ending::{Ending, Report},
    error::{Attempt, Error, Failure, Result},
    events::{SessionEvent, SessionEvents},
    payload::{Payload, Version},
    pending::Pending,
    renewing::{RenewalEvent, RenewalEvents, Renewing},
    sink::{Change, NodeEvent, WatchEvent},
    stat_stream::StatStream,
    transaction::{Done, Transaction},
    watch::{Watch, WatchMode, Watches},
};
