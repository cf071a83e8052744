//! One Unix socket file: which file it is, who owns it, and whether a process listens on it.
//!
//! | to | use |
//! |---|---|
//! | describe a socket file and recognise it later | [`Facts`], [`Facts::is_same_file`] |
//! | find out whether a socket is bound to the file, without its server noticing | [`ask`] with [`Question::Lookup`] |
//! | find out whether a process listens, by connecting | [`ask`] with [`Question::Connect`] |
//! | draw a conclusion from the kernel's table and such an answer | [`Liveness`] |
//! | do all of that for one file that you hold open | [`SocketFile::probe`] |
//! | connect to exactly that file, if it belongs to a user that you accept | [`connect`] |
//! | remove its name, and the name of no other file | [`Directory::remove`] |
//! | get the names beside a socket: that of its lock, and that to which it is moved before it is removed | [`names`] |
//! | know whether a filesystem may hide a server from this kernel | [`Filesystem`] |
//! | know whether a mount shows a directory elsewhere | [`is_backing_side`] |
//! | decide whether to consider names that begin with a dot | [`DotFiles`] |
//! | know whether the id of an owner identifies one user | [`overflow`] |
//!
//! ```
//! use socket_file::{Answer, Facts, SocketKind, Question, ask};
//!
//! # fn main() -> std::io::Result<()> {
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("a.sock");
//! let listener = std::os::unix::net::UnixListener::bind(&path)?;
//! let facts = Facts::of(&std::fs::symlink_metadata(&path)?);
//! assert_eq!(ask(&path, &facts, Question::Lookup), (Answer::Bound, None));
//! assert_eq!(ask(&path, &facts, Question::Connect), (Answer::Accepted, Some(SocketKind::Stream)));
//! drop(listener);
//! assert_eq!(ask(&path, &facts, Question::Lookup), (Answer::Unbound, None));
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate is not
//!
//! It does not bind sockets (`uds-socket` does) and does not list or watch directories (`fs-watch` does). It needs no runtime.
//! Linux only.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod backing;
mod connect;
mod directory;
mod dot_files;
mod facts;
mod file;
mod filesystem;
mod knock;
mod liveness;
pub mod names;
pub mod overflow;
mod question;
mod remove;

pub use crate::{
    backing::is_backing_side,
    connect::{ConnectError, Owner, connect},
    directory::{Directory, Found},
    dot_files::DotFiles,
    facts::{Facts, Identity, timestamp},
    file::{SocketFile, is_conclusive},
    filesystem::Filesystem,
    knock::{ask, ask_file},
    liveness::{Evidence, GRACE, Liveness, Verdict},
    question::{Answer, Probing, Question},
    remove::Removal,
};
pub use unix_diag::SocketKind;
