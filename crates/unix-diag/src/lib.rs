//! The kernel's table of Unix sockets: which socket is bound to which file, and whether it listens.
//!
//! A socket's file outlives its server. You could connect to find out whether a server is there, but the server would have to
//! accept that connection and deal with it. The kernel can tell for all sockets at once, and no server notices
//! (`sock_diag(7)`, `linux/unix_diag.h`).
//!
//! ```
//! use std::os::unix::net::UnixListener;
//! use unix_diag::{FileId, SocketKind, State, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("a.sock");
//! let listener = UnixListener::bind(&path)?;
//! let file = FileId::of(&std::fs::symlink_metadata(&path)?);
//!
//! let table = Table::read()?;
//! let socket = table.get(file).expect("it is served");
//! assert_eq!((socket.kind, socket.state), (Some(SocketKind::Stream), State::Listening));
//!
//! drop(listener); // the file is still there
//! assert!(Table::read()?.get(file).is_none());
//! # Ok(())
//! # }
//! ```
//!
//! | what happens | what the table has |
//! |---|---|
//! | `bind` | [`State::Unconnected`] |
//! | `listen` | [`State::Listening`], the number of waiting connections and its limit |
//! | the file is renamed, or linked to again | the same as before: the table uses inodes, not names |
//! | a client connects to a bound datagram socket | [`State::Connected`] from then on; the socket works as before |
//! | the listener is closed, but a connection that it accepted is open | [`State::Connected`]; [`Table::read`] leaves it out |
//! | the server is gone | nothing |
//! | the server is in another network namespace | nothing |
//!
//! So an entry is a proof, but a missing entry is not. There is a second reason for that. A table that does not fit
//! into one answer of 32 KiB (some 500 sockets) comes in several, and sockets that close in between can hide one that
//! does not: of four thousand sockets, each reading misses about two while ten thousand others close every second. If a
//! socket is missing, read a second time ([`Table::read_again`]), or query it by the number that an earlier table gave
//! it ([`find`]). Before you call a file stale, try to connect. On a filesystem with a `st_dev` that differs from its
//! superblock's (btrfs, some overlays), the table finds nothing at all.
//!
//! # What this crate is not
//!
//! * A list of processes: [`Entry::inode`] is the number in `/proc/PID/fd/* -> socket:[number]`; this crate does not read those.
//! * A view of abstract or unnamed sockets: they are in the dump, without a file.
//!
//! # Features
//!
//! None. Linux only.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod dump;
mod entry;
mod error;
mod table;
mod wire;

pub use dump::{Dump, dump, find};
pub use entry::{Backlog, Entry, FileId, SocketKind, State, Which};
pub use error::Error;
pub use table::Table;
pub use wire::{Message, Messages, parse};
