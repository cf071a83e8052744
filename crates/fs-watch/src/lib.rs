//! Which Unix sockets are in this directory, now and from now on.
//!
//! A manager gives each of its plugins, workers or producers a place to put a socket: a directory. This
//! crate tells the manager which sockets are there, and every coming and going after that, until it stops
//! asking. It is made to be forgotten about: it does not miss one, does not hang, and says so when it
//! cannot see.
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
//!             // Everything that was there is in `here`. Now a second one comes, and the first one goes.
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
//! Who only wants paths in a channel takes [`watch_for_new_sockets`].
//!
//! # How it sees
//!
//! The kernel's file events are taken for *hints*: a name, and "look there". What is true is decided by
//! looking, in a value that does no I/O, the [`Roster`].
//!
//! ```text
//!  Backend ──hint: "name"──► dirty names ──► lstat ──┐
//!  clock ──every 5 s───────► everything ──► list + lstat ──► Roster ──► Added, Ready, Removed ──► Watcher (a Stream)
//!        └─0 … 3 s, 5 s────► the kernel's table of sockets ──┘
//! ```
//!
//! | it happens that … | and then |
//! |---|---|
//! | a socket appears between arming and listing, or twice in a listing | it is announced once |
//! | a listing misses a file that is there (ext4 does, under renames) | nothing: only `lstat` proves an absence |
//! | a listing fails: no permission, no descriptors left | [`Degraded`](Event::Degraded); nothing is removed |
//! | a socket is replaced, even with the same inode number | [`Removed`](Event::Removed), then [`Added`](Event::Added) with the next generation |
//! | a socket is renamed into, out of, or over another | as if made, removed, or replaced |
//! | a server begins to listen, of which no filesystem tells | [`Ready`](Event::Ready), a millisecond later if it is soon after `bind`, else within a second |
//! | a server dies and leaves its file | `Removed` as [stale](Reason::Stale), with the next look |
//! | the kernel's queue overflows | one complete look, then [`Resynced`](Event::Resynced) |
//! | the directory is deleted, made again, moved, mounted over, or a link to it is turned elsewhere | `Degraded` while there is none; its sockets go and those of the new one come |
//! | another is mounted over a single socket, of which nothing tells | it is seen within a minute, or by [`Watcher::sync`] |
//! | it is not there to begin with | an error, or [waited for, or made](Missing) |
//! | a consumer does not read | the watcher waits; nothing piles up but names, and nothing is lost |
//! | a consumer must know that it knows everything | [`Watcher::sync`] |
//! | the source of hints dies or hangs | it is replaced; until then four looks a second |
//! | the filesystem is one that others change (NFS, 9p, FUSE, …) | `Degraded`, and four looks a second |
//! | none of this is reported by the filesystem at all | the look every five seconds finds it; or use [`backend::Polling`] |
//!
//! A socket that comes and goes faster than anybody looks is not announced: there was nothing left to
//! announce.
//!
//! # Who listens
//!
//! A socket's file does not show whether a server listens, nor whether it still runs. The kernel's table of sockets does,
//! for all at once and without a server noticing (the crate `unix-diag`), but only for servers in our own network namespace.
//! About what two readings of it lack, the kernel is asked one by one whether any socket is bound to the file, which no
//! server notices either: see [`Probing`] and [`Liveness`], which has four verdicts and the evidence for each.
//!
//! | the table | the file | verdict |
//! |---|---|---|
//! | listening, or a datagram socket | is not asked about | [`Listening`](Verdict::Listening) |
//! | bound | is not asked about | [`Bound`](Verdict::Bound) |
//! | no longer | nothing is bound to it | [`Stale`](Verdict::Stale) |
//! | no longer, twice in a row | may not be asked about | `Stale` |
//! | never | a socket is bound to it, in another namespace | [`Unknown`](Verdict::Unknown); with [`Probing::TableAndConnect`] a connection tells |
//! | never | nothing is bound to it | `Stale` once it has been watched for two seconds, until then `Unknown` |
//! | never | may not be asked about | `Unknown` |
//!
//! # What it costs
//!
//! One thread for each watcher, and one more and one inotify instance for all watchers of a process. What is written to other
//! files, in the directory or beside it, makes no event. At rest one wake-up in each safety interval, and three in two seconds
//! while a socket is bound that does not listen. Each reads the kernel's table once, asks for the directory's change time and, but for once a minute,
//! lists nothing if that has not moved. Half a kilobyte for each socket. On a filesystem in memory (`/run`, `/dev/shm`) a single name is looked at by the task that waits for
//! it, so that an event comes as soon as from a plain channel. `docs/benchmarks.md` has figures.
//!
//! # What this crate is not
//!
//! * A file watcher: it sees sockets, in one directory, and not what is in them. Symbolic links to sockets
//!   are not followed.
//! * A guarantee that a connection will be accepted: a server that listened a moment ago may be gone. Be ready to be refused.
//! * A client: it connects to what it has announced, with [`connect_at`], and leaves the rest to whoever reads and writes.
//!
//! # Features
//!
//! * `tokio`: `attach`, a task for each socket.
//! * `tower`: `Discover`, endpoints for tower's balancers.
//!
//! Linux only.

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod attach;
mod connect;
pub mod directory;
#[cfg(feature = "tower")]
mod discover;
mod driver;
mod error;
mod event;
mod eyes;
mod filesystem;
mod health;
mod hints;
mod ladder;
mod ledger;
mod missing;
mod outbox;
mod pace;
mod plain;
mod roster;
mod socket;
mod target;
mod watcher;

pub mod backend;

pub use backend::Backend;
pub use connect::{Owner, connect_at, connect_at_owned_by};
#[cfg(feature = "tower")]
pub use discover::Discover;
pub use error::Error;
pub use event::{Event, Reason, Why};
pub use hints::Hints;
pub use missing::Missing;
pub use plain::{SocketEvent, watch_for_new_sockets};
pub use roster::{Change, Listing, Roster, Sighting};
pub use socket::{Generation, Socket, SocketId};
#[doc(inline)]
pub use socket_file::{Answer, DotFiles, Evidence, Facts, Kind, Liveness, Probing, Verdict};
pub use target::{Anchor, Target};
pub use watcher::{Builder, Watcher};
