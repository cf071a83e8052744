//! A lock on a file says which process manages something: a directory, the name of a socket, a device.
//!
//! ```
//! use std::fs::File;
//! use lock_file::{Error, Lock};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let directory = File::open(dir.path())?;
//! let lock = Lock::take(&directory, ".manager.lock")?;
//!
//! let error = Lock::take(&directory, ".manager.lock").expect_err("it is held");
//! assert!(matches!(error, Error::Held { pid: Some(pid) } if pid == std::process::id()));
//!
//! drop(lock); // or the end of the process, however it ends
//! let lock = Lock::take(&directory, ".manager.lock")?;
//! lock.remove(&directory, ".manager.lock")?; // leaves no file behind
//! # Ok(())
//! # }
//! ```
//!
//! The lock is advisory (`flock(2)`): it binds only processes that also ask for it. The crate makes it reliable even in a
//! directory where other users may create files (`/tmp`):
//!
//! | danger | answer |
//! |---|---|
//! | a symbolic link leads to another user's file | the link is not followed |
//! | opening a named pipe would block | it is opened without blocking, and rejected |
//! | another user created the file and never unlocks it | [`Fault::Owner`], unless that user owns the directory |
//! | the file has a second name, under which another program may lock it or need its contents | [`Fault::Links`] |
//! | the file is replaced between opening and locking, so that two processes lock two files | the name is checked again under the lock |
//! | other users may open it, and so lock it | its mode is set to 0600, whatever the umask |
//! | a child process between `fork` and `exec` has the descriptor, too | the file is unlocked, not just closed |
//! | a process that only examines the lock keeps another from taking it | it shares the lock, and the other gets [`Error::Examined`] |
//! | the file is removed, and the next two processes lock two files | it is removed only while it is locked, and a locked file is compared with the one that has the name |
//! | root creates it in a user's own directory | root gives it to that user; if root could not, that user may replace it |
//! | the disk is full and the pid cannot be written | the pid is for people to read, so it is left out |
//!
//! None of this helps in a directory that others may write to and that lacks the sticky bit. Check the directory first.
//!
//! # What this crate is not
//!
//! * A way to wait for a lock: [`Lock::take`] returns at once and says which process holds it.
//! * A lock between threads; use a mutex. (Two locks that one process takes do exclude each other.)
//! * Reliable on network filesystems, where `flock` may mean less.
//!
//! # Features
//!
//! None. Linux only.

#![forbid(unsafe_code)]

/// The README's code, compiled as it is printed.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod error;
mod kind;
mod lock;

pub use error::{Error, Fault};
pub use kind::FileKind;
pub use lock::Lock;
