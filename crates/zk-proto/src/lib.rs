//! The ZooKeeper wire protocol, and the rules of a client session.
//!
//! This crate has everything in a ZooKeeper client that is not a socket, a clock or a task: the records and their
//! encoding ([`jute`]), the handshake, the state machine of a [`session`] over its connections (a protocol for
//! [`packetizer`]), the subscribers of each watch ([`watches`]), when to ping and when to give a connection up
//! ([`Keepalive`]), and which paths are valid ([`path`]). `zk-client` runs it over streams.
//!
//! | on the wire | here |
//! |---|---|
//! | operations | [`OpCode`], the table of all operations: number, first release, [`Request`] and [`Response`] by number |
//! | handshake | [`ConnectRequest`], [`ConnectResponse`], [`Grant`] |
//! | headers | [`RequestHeader`], [`ReplyHeader`], [`Xid`], [`ErrorCode`] |
//! | nodes | [`Create`], [`Create2`], [`CreateContainer`], [`CreateTtl`], [`Delete`], [`Exists`], [`GetData`], [`SetData`], [`GetChildren`], [`GetChildren2`], [`Sync`], … |
//! | several operations at once | [`Multi`], [`MultiRead`], [`MultiReply`] |
//! | addresses that users write | [`ConnectString`], [`Server`] |
//! | access | [`Acl`], [`digest_id`], [`GetAcl`], [`SetAcl`], [`Auth`], [`WhoAmI`] |
//! | watches | [`AddWatch`], [`RemoveWatches`], [`SetWatches2`], [`WatcherEvent`], [`EventType`] |
//!
//! You can encode and decode every record ([`Record::encode`], [`Record::decode`]), so the same types serve a client, a
//! server and a proxy. Decoded records borrow from the frame.
//!
//! ```
//! use packetizer::{Limits, Mux, Output, frame_codec::LengthPrefixed};
//! use std::time::Duration;
//! use zk_proto::{ConnectRequest, ConnectResponse, GetData, Password, Record, Session, SessionId};
//!
//! let mut mux = Mux::new(LengthPrefixed::zookeeper(), Session::default(), Limits::default());
//! mux.request(&ConnectRequest::new_session(Duration::from_secs(10)), "connect").unwrap();
//! // You need not wait for the handshake: this request goes out in the same write.
//! mux.request(&GetData { path: "/config".into(), watch: false }, "get").unwrap();
//! let written = mux.poll_transmit().unwrap();
//! assert!(written.ends_with(b"\0\0\0\x14\0\0\0\x01\0\0\0\x04\0\0\0\x07/config\0"));
//! mux.handle_written(written.len());
//!
//! let granted = ConnectResponse {
//!     protocol_version: 0,
//!     timeout_ms: 4000, // less than requested
//!     session: SessionId(0x1234),
//!     password: Password::new(&b"sixteen  secrets"[..]),
//!     read_only: Some(false),
//! };
//! mux.handle_frame(granted.to_bytes().into()).unwrap();
//! let Some(Output::Answer { waiter: "connect", result: Ok(reply) }) = mux.poll_output() else { panic!("an answer") };
//! let grant = reply.decode::<ConnectRequest>().unwrap().expect("a session was granted");
//! assert_eq!(grant.timeout, Duration::from_secs(4));
//! ```
//!
//! # What this crate is not
//!
//! It opens no connection, reads no clock, and retries nothing. The length prefix of frames comes from
//! `frame_codec::LengthPrefixed::u32_be()`. The operations that servers send each other (−10, 20) are left out.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `proptest` | `testing`: strategies for records, requests, replies and whole conversations |

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod acl;
mod calls;
mod code;
mod connect;
mod connect_string;
mod digest;
mod error;
mod header;
mod ids;
pub mod jute;
mod keepalive;
mod multi;
mod names;
mod node;
mod numbers;
mod op;
mod opcode;
pub mod path;
mod reply;
mod request;
pub mod session;
mod stat;
mod table;
#[cfg(feature = "proptest")]
pub mod testing;
pub mod watches;

pub use crate::{
    acl::{Acl, Permissions},
    calls::Outcome,
    code::ErrorCode,
    connect::{ConnectRequest, ConnectResponse, Grant, Password},
    connect_string::{ConnectString, ConnectStringError, Server},
    digest::digest_id,
    error::Error,
    header::{ReplyHeader, RequestHeader},
    ids::{SessionId, Xid, Xids, Zxid},
    jute::Record,
    keepalive::{Due, Keepalive},
    multi::{Multi, MultiOp, MultiRead, MultiReply, MultiResult},
    names::Names,
    node::Node,
    numbers::{AddWatchMode, EventType, KeeperState, WatcherType},
    op::{Operation, Request, Response},
    opcode::{OpCode, Release, XidRule},
    reply::{
        AclStat, Children, ChildrenStat, ClientInfo, Created, CreatedStat, Data, ErrorResponse, Identities, SaslToken,
        Synced, TotalNumber, WatcherEvent,
    },
    request::{
        ANY_CONFIG, ANY_VERSION, AddWatch, Auth, Check, CheckWatches, CloseSession, Create, Create2, CreateContainer,
        CreateMode, CreateTtl, Delete, Exists, GetAcl, GetAllChildrenNumber, GetChildren, GetChildren2, GetData,
        GetEphemerals, Nothing, Paths, Ping, Reconfig, RemoveWatches, Sasl, SetAcl, SetData, SetWatches, SetWatches2,
        Sync, WhoAmI,
    },
    session::{Ending, Notification, Resume, Session, SessionEvent},
    stat::Stat,
    watches::{WatchId, WatchKind},
};
