//! The kernel's table of Unix sockets: which socket is bound to which file, and whether it listens.
//!
//! A socket's file outlives its server, and a connection made to find out whether somebody is there is a connection that
//! the server has to accept and to wonder about. The kernel knows without asking anybody (`sock_diag(7)`,
//! `linux/unix_diag.h`), and answers for all sockets at once.
//!
//! ```
//! use std::os::unix::net::UnixListener;
//! use unix_diag::{FileId, Kind, State, Table};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("a.sock");
//! let listener = UnixListener::bind(&path)?;
//! let file = FileId::of(&std::fs::symlink_metadata(&path)?);
//!
//! let table = Table::read()?;
//! let socket = table.get(file).expect("it is served");
//! assert_eq!((socket.kind, socket.state), (Kind::Stream, State::Listening));
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
//! | `listen` | [`State::Listening`], and how many connections wait of how many that may |
//! | the file is renamed, or linked to again | the same: the table goes by inode, not by name |
//! | somebody connects to a bound datagram socket | [`State::Connected`], from then on: it serves as before |
//! | the listener is closed, a connection that it accepted lives | [`State::Connected`]; [`Table::read`] leaves it out |
//! | the server is gone | nothing |
//! | the server is in another network namespace | nothing |
//!
//! So an entry is a proof, and the lack of one is none. It has a second reason: a table that does not fit into one
//! answer of 32 KiB (some 500 sockets) comes in several, and sockets that close in between can hide one that does not: among
//! four thousand, while ten thousand others close in each second, about two of each reading. So who misses one reads a
//! second time ([`Table::read_again`]), or asks for it by the number that an earlier table gave it ([`find`]); and who wants
//! to call a file stale confirms it by a connection. On a filesystem whose `st_dev` is not its superblock's (btrfs,
//! some overlays) nothing is found at all.
//!
//! # What this crate is not
//!
//! * A list of processes: [`Entry::inode`] is the number in `/proc/PID/fd/* -> socket:[number]`, and reading those is left
//!   to whoever may.
//! * A view of abstract or unnamed sockets: they are in the dump, without a file.
//!
//! # Features
//!
//! None. Linux only.

#![forbid(unsafe_code)]

mod dump;
mod entry;
mod error;
mod table;
mod wire;

pub use dump::{Dump, Which, dump, find};
pub use entry::{Backlog, Entry, FileId, Kind, State};
pub use error::Error;
pub use table::Table;
pub use wire::{Message, Messages, parse};
