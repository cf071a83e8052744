//! Many producers, one receiver: fair, bounded, accounted.
//!
//! ```text
//!   connects ───▶ unix:/run/app/in.sock ──┐
//!   connects ───▶                         │   one actor each,      ┌────────┐
//!                                         ├── bounded in bytes ───▶│ Funnel │──▶ recv() ─▶ Delivery { producer, batch }
//!   offers ◀──── /run/app/sockets/a.sock ─┤   taking turns         └───┬────┘
//!   offers ◀──── /run/app/sockets/b.sock ─┘                            └──▶ finished() ─▶ Report
//! ```
//!
//! Producers need no special protocol: whatever writes lines, or frames of any kind, to a Unix socket is one — `socat`,
//! `nc -U`, a shell script. They connect to a listener of the funnel, or they listen themselves in a directory that the
//! funnel watches. Who they are comes from the kernel, and stands on every batch.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! use frame_codec::Delimited;
//! use mpsr_server::Funnel;
//! use uds_actor::{Actor, Bind, Connect};
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("in.sock");
//! let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await?;
//!
//! let stream = Connect::path(&path).connect().await?;
//! let (sender, _receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
//! sender.send(b"hello").await?;
//! sender.finish().await?;
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
//! # What is promised
//!
//! In order per connection. Nothing that was received is lost while the receiver lives; at a [shutdown](Handle::shutdown)
//! the accept queue and every connection are drained first. What a producer wrote and the kernel still held when the
//! receiver died is gone: that is for acknowledged delivery, which is another level. The [`Report`] accounts for the rest.
//!
//! # What this crate is not
//!
//! It sends nothing back, stores nothing, and knows nothing of other machines.
//!
//! # Features
//!
//! - `dir` (default): receive from every socket that appears in a directory, by `fs-watch`.

#![forbid(unsafe_code)]

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
mod members;
mod membership;
mod producer;
mod report;
mod schedule;
mod site;
mod stop;

pub use crate::{
    builder::Builder,
    error::Error,
    event::{Delivery, Event, Place},
    funnel::Funnel,
    limits::Limits,
    membership::{Endpoint, Membership},
    producer::{Producer, ProducerId, Via},
    report::{Parting, ProducerReport, Report},
    stop::Handle,
};
