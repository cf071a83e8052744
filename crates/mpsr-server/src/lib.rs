//! Many producers, one receiver: fair, bounded, with a report of every message.
//!
//! ```text
//!   connects ───▶ unix:/run/app/in.sock ──┐
//!   connects ───▶                         │   one actor each,      ┌────────┐
//!                                         ├── bounded in bytes ───▶│ Funnel │──▶ recv() ─▶ Delivery { producer, batch }
//!   offers ◀──── /run/app/sockets/a.sock ─┤   served in rounds     └───┬────┘
//!   offers ◀──── /run/app/sockets/b.sock ─┘                            └──▶ finished() ─▶ Report
//! ```
//!
//! Producers need no special protocol: any program that writes lines, or other frames, to a Unix socket is a producer, such as
//! `socat`, `nc -U` or a shell script. Producers connect to a listener of the funnel, or listen themselves in a directory that
//! the funnel watches. Every batch comes with its producer's identity, which the kernel provides.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! use mpsr_server::{Bind, Connect, Delimited, Funnel};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("in.sock");
//! // let path = "/run/app/in.sock";
//! let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await?;
//!
//! # use tokio::io::AsyncWriteExt as _;
//! let mut producer = Connect::path(&path).connect().await?;
//! producer.write_all(b"hello\n").await?;
//!
//! let delivery = funnel.recv().await.expect("a producer sent something");
//! assert_eq!(delivery.batch().get(0), Some(&b"hello"[..]));
//! assert_eq!(delivery.producer().peer.pid(), Some(std::process::id()));
//!
//! funnel.handle().shutdown(Duration::from_secs(1));
//! while let Some(_rest) = funnel.recv().await {}
//! let report = funnel.finished().await;
//! assert_eq!((report.delivered.frames, report.lost.frames), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - The messages of a connection arrive in order.
//! - While the receiver runs, no received message is lost. A [shutdown](Handle::shutdown) first drains the accept queue and
//!   every connection.
//! - The [`Report`] covers every message that was received.
//!
//! If the receiver dies, bytes that a producer had written and that the kernel still held are gone. Only acknowledged delivery
//! can prevent that, and this crate does not have it.
//!
//! # What this crate is not
//!
//! It sends nothing back, stores nothing, and works on one machine only.
//!
//! # Features
//!
//! - `dir` (default): receive from producers that offer a socket, with `fs-watch`: from every socket that appears in a
//!   directory, and from the members that a stream names.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(all(doctest, feature = "dir"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod accept;
mod admission;
mod builder;
mod connection;
mod connections;
#[cfg(feature = "dir")]
mod directory;
mod error;
mod event;
mod funnel;
mod limits;
#[cfg(feature = "dir")]
mod members;
#[cfg(feature = "dir")]
mod membership;
mod message;
mod producer;
mod report;
mod schedule;
mod site;
mod stop;

#[cfg(feature = "dir")]
pub use crate::membership::{Endpoint, Membership};
pub use crate::{
    builder::Builder,
    error::Error,
    event::{Delivery, Event, Place},
    funnel::Funnel,
    limits::Limits,
    message::Message,
    producer::{Producer, ProducerId, Via},
    report::{Parting, ProducerReport, Report},
    stop::Handle,
};
#[doc(inline)]
pub use frame_codec::{
    Batch, ByteOrder, Delimited, Fixed, Framing, LengthPrefixed, Netstring, OctetCount, Oversize, Raw, Syslog,
    Unterminated, UntilEof, Varint, Whole,
};
#[doc(inline)]
pub use uds_actor::{Address, Admit, Bind, Connect, Count, Mode, NameLoss, Peer};
