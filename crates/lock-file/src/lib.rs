//! A file whose lock says which process manages something: a directory, the name of a socket, a device.
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
//! let refused = Lock::take(&directory, ".manager.lock").expect_err("there is one manager");
//! assert!(matches!(refused, Error::Held { pid: Some(pid) } if pid == std::process::id()));
//!
//! drop(lock); // or the end of the process, however it ends
//! let lock = Lock::take(&directory, ".manager.lock")?;
//! lock.remove(&directory, ".manager.lock")?; // leaves no file behind
//! # Ok(())
//! # }
//! ```
//!
//! The lock is an advisory one (`flock(2)`): it holds among those who ask for it. What makes it one that can be relied on,
//! also in a directory where others may make files (`/tmp`):
//!
//! | danger | answer |
//! |---|---|
//! | a symbolic link leads to somebody's file | it is not followed |
//! | a named pipe keeps whoever opens it waiting | it is opened without waiting, and refused |
//! | another user has made the file, and never releases it | [`Fault::Owner`], unless it is the directory's owner |
//! | the file has a second name, under which it may be held or precious | [`Fault::Links`] |
//! | it is replaced between opening and locking, and two hold two files | looked at again under the lock |
//! | others may open it, and so hold it | its mode is made 0600, whatever the umask |
//! | a child between `fork` and `exec` has it as well | it is unlocked, not just closed |
//! | a process that only examines it keeps one from starting | it shares the lock, and the other is told so ([`Error::Examined`]) |
//! | it is removed, and the next two processes lock two files | it is removed only while it is locked, and compared under the lock with the file of that name |
//! | root has made it in a user's own directory | root gives it to that user; if it could not, that user replaces it |
//! | there is no room for the pid | the pid is for people to read, and is left out |
//!
//! A directory that others may write to without the sticky bit makes all of this worthless; check that before you rely on it.
//!
//! # What this crate is not
//!
//! * A way to wait for a lock: [`Lock::take`] says who has it, and returns.
//! * A lock between threads, which have better ones. Two files opened by one process exclude each other all the same.
//! * Good on network filesystems, where `flock` may mean less.
//!
//! # Features
//!
//! None. Linux only.

#![forbid(unsafe_code)]

mod error;
mod kind;
mod lock;

pub use error::{Error, Fault};
pub use kind::FileKind;
pub use lock::Lock;
