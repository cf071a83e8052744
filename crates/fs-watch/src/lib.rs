//! Which Unix sockets are in this directory, now and from now on.
//!
//! A manager gives each of its plugins, workers or producers a place for a socket: a directory. This crate tells the
//! manager which sockets are there, and reports every change from then on. It is built to run unattended: it misses no
//! socket that stays, it does not hang, and it tells you when it cannot see changes.
//!
//! ```
//! use fs_watch::{Event, Watcher};
//! # use std::os::unix::net::UnixListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let _early = UnixListener::bind(dir.path().join("early.sock"))?;
//!
//! let mut watcher = Watcher::start(dir.path()).await?;
//! let mut here = std::collections::BTreeSet::new();
//! while let Some(event) = watcher.next().await {
//!     match event {
//!         Event::InitApply(socket) | Event::Added(socket) => {
//!             here.insert(socket.path);
//!         }
//!         Event::Removed { id, .. } => {
//!             here.remove(&id.path);
//!             break;
//!         }
//!         Event::InitDone => {
//!             // `here` now has everything that was there. Add a second socket and remove the first.
//!             let _late = UnixListener::bind(dir.path().join("late.sock"))?;
//!             std::fs::remove_file(dir.path().join("early.sock"))?;
//!         }
//!         _ => {}
//!     }
//! }
//! watcher.shutdown().await;
//! # assert!(here.len() <= 1);
//! # Ok(())
//! # }
//! ```
//!
//! If paths on a channel are all you need, use [`watch_for_new_sockets`].
//!
//! # How it works
//!
//! The kernel's file events are only *hints*: something may have changed at this name. The watcher then scans, and the
//! [`Roster`], a value that does no I/O, decides what has changed.
//!
//! ```text
//!  Backend ──hint: "name"──► dirty names ──► lstat ──┐
//!  clock ──every 5 s───────► everything ──► list + lstat ──► Roster ──► Added, Ready, Removed ──► Watcher (a Stream)
//!        └─0 … 3 s, 5 s────► the kernel's table of sockets ──┘
//! ```
//!
//! | what happens | what you see |
//! |---|---|
//! | a socket appears between arming and listing, or twice in a listing | it is announced once |
//! | a listing misses a file that is there (ext4 does, under renames) | nothing: only `lstat` proves that a file is gone |
//! | a listing fails: no permission, no descriptors left | [`Degraded`](Event::Degraded); no socket is removed |
//! | a socket is replaced, even with the same inode number | [`Removed`](Event::Removed), then [`Added`](Event::Added) with the next generation |
//! | a socket is renamed into, out of, or over another | the same as if it was created, removed, or replaced |
//! | a server begins to listen, which no filesystem reports | [`Ready`](Event::Ready): a millisecond later if `listen` soon follows `bind`, otherwise within a second |
//! | a server dies and leaves its file | `Removed` as [stale](Reason::Stale), after the next scan |
//! | the kernel's queue overflows | one complete scan, then [`Resynced`](Event::Resynced) |
//! | the directory is deleted, made again, moved, mounted over, or a link to it changes | `Degraded` while there is none; its sockets are removed and those of the new one added |
//! | another file is mounted over a single socket, which nothing reports | you see it within a minute, or after [`Watcher::sync`] |
//! | the directory does not exist at first | an error, or the watcher [waits for it or makes it](Missing) |
//! | you do not read events | the watcher pauses; only names pile up, and no final state is lost |
//! | you must know that you have seen everything | [`Watcher::sync`] |
//! | the source of hints dies or hangs | it is replaced; until then there are four scans a second |
//! | other machines can change the filesystem (NFS, 9p, FUSE, …) | `Degraded`, and four scans a second |
//! | the filesystem reports no changes at all | the scan every five seconds finds them; or use [`backend::Polling`] |
//!
//! A socket that comes and goes between two scans is not announced: there is nothing left to announce.
//!
//! # Which sockets are live
//!
//! A socket's file does not show whether a server listens, nor whether it is still running. The kernel's table of sockets
//! does, for all files at once and without a server noticing (the crate `unix-diag`), but only for servers in our own network
//! namespace. If a file is missing from two readings of the table, the watcher asks the kernel whether any socket is bound
//! to that file, which no server notices either. See [`Probing`] and [`Liveness`], which gives one of four verdicts and the
//! evidence for it.
//!
//! | the table says | the lookup of the file says | verdict |
//! |---|---|---|
//! | listening, or a datagram socket | (not needed) | [`Listening`](Verdict::Listening) |
//! | bound | (not needed) | [`Bound`](Verdict::Bound) |
//! | it was there before, and is gone | nothing is bound to it | [`Stale`](Verdict::Stale) |
//! | it was there before, and is gone, twice in a row | (not permitted) | `Stale` |
//! | it was never there | a socket is bound to it, in another namespace | [`Unknown`](Verdict::Unknown); with [`Probing::TableAndConnect`] a connection decides |
//! | it was never there | nothing is bound to it | `Stale` once the file has been watched for two seconds, until then `Unknown` |
//! | it was never there | (not permitted) | `Unknown` |
//!
//! # What it costs
//!
//! Each watcher has one thread; all watchers of a process share one more thread and one inotify instance. Writes to other files,
//! in the directory or beside it, make no event. At rest a watcher wakes once in each safety interval, and three times in two
//! seconds while a bound socket does not listen yet. Each time it reads the kernel's table once and checks the directory's
//! change time. If that has not changed, it lists the directory only once a minute. It holds half a kilobyte for each socket. On
//! a filesystem in memory (`/run`, `/dev/shm`), the task that waits for events looks at single names itself, so an event
//! arrives as fast as through a plain channel. `docs/benchmarks.md` has figures.
//!
//! # What this crate is not
//!
//! * A file watcher: it sees only sockets, in one directory, and not what is in them. It does not follow symbolic links to
//!   sockets.
//! * A guarantee that a connection will be accepted: a server that listened a moment ago may be gone. Be ready for `ECONNREFUSED`.
//! * A client: [`connect_at`] connects to a socket that was announced; reading and writing is up to you.
//!
//! # Features
//!
//! * `tokio`: `attach` runs a task for each socket.
//!
//! Linux only.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "tokio")]
pub mod attach;
mod connect;
pub mod directory;
mod driver;
mod error;
mod event;
mod eyes;
mod health;
mod hints;
mod ledger;
mod missing;
mod outbox;
mod pace;
mod plain;
mod probes;
mod roster;
mod socket;
mod target;
mod watcher;

pub mod backend;

pub use backend::Backend;
pub use connect::{connect_at, connect_at_owned_by};
pub use error::Error;
pub use event::{Event, Reason, Why};
pub use hints::Hints;
pub use missing::Missing;
pub use plain::{SocketEvent, watch_for_new_sockets};
pub use roster::{Change, Listing, Roster, Sighting};
pub use socket::{Generation, Socket, SocketId};
#[doc(inline)]
pub use socket_file::{Answer, ConnectError, DotFiles, Evidence, Facts, Liveness, Owner, Probing, SocketKind, Verdict};
pub use target::{Anchor, Target};
pub use watcher::{Builder, Watcher};
