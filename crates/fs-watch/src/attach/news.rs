//! What an attachment tells: what has happened, how handlers have ended, and the account of all of them.

use std::any::Any;
use std::time::Duration;

use tokio::task::JoinError;

use crate::event::Event;
use crate::socket::SocketId;

/// What [`Attached::next`](super::Attached::next) tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<E> {
    /// The watcher said this. For a socket that came or went, what follows from it for handlers comes next.
    Event(Event),
    /// A handler has been started for this socket, the first or another one.
    Started(SocketId),
    /// A handler has ended.
    Ended {
        /// Whose it was.
        id: SocketId,
        /// In which way.
        end: End<E>,
        /// Whether it had been asked to stop, because its socket is gone.
        asked: bool,
        /// When the next one will be started for the same socket, if it stays so long.
        again_in: Option<Duration>,
    },
    /// This socket was gone before a handler could be started: its predecessor's still lived, or a pause was on, or too
    /// many were alive.
    Skipped(SocketId),
}

/// How a handler has ended.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End<E> {
    /// It returned `Ok`.
    Finished,
    /// It returned this error.
    Failed(E),
    /// It panicked, with this message. Nothing else is affected.
    Panicked(String),
    /// It was asked to stop and did not within its time.
    Aborted,
}

/// What has become of all handlers: from [`Attached::shutdown`](super::Attached::shutdown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Account {
    /// How many were started. The sum of those below, but for `skipped`.
    pub started: u64,
    /// Returned `Ok`.
    pub finished: u64,
    /// Returned an error.
    pub failed: u64,
    /// Panicked.
    pub panicked: u64,
    /// Did not stop in time.
    pub aborted: u64,
    /// Sockets that never had one.
    pub skipped: u64,
}

impl<E> End<E> {
    /// Of a task that did not come to its end.
    pub(super) fn unfinished(error: JoinError) -> Self {
        match error.try_into_panic() {
            Ok(panic) => Self::Panicked(message(&*panic)),
            Err(_) => Self::Aborted,
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
