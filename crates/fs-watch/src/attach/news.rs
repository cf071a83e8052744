//! What an attachment reports: what has happened, how handlers have ended, and the totals.

use std::any::Any;
use std::time::Duration;

use tokio::task::JoinError;

use crate::event::Event;
use crate::socket::SocketId;

/// What [`Attached::next`](super::Attached::next) returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum News<E> {
    /// An event of the watcher. If a socket appeared or disappeared, the news of its handler follow.
    Event(Event),
    /// A handler has been started for this socket, for the first time or again.
    Started(SocketId),
    /// A handler has [registered](super::Registration::register) what its socket is sent to with, for the first time
    /// since it was started.
    Registered(SocketId),
    /// A handler has ended.
    Ended {
        /// The socket of the handler.
        id: SocketId,
        /// How it ended.
        end: End<E>,
        /// Whether it had been asked to stop, because its socket is gone.
        asked: bool,
        /// When it will be started again for the same socket, if the socket stays so long.
        again_in: Option<Duration>,
    },
    /// This socket was gone before its handler could be started: the handler of its predecessor was still running, a
    /// pause was in effect, or too many handlers were running.
    Skipped(SocketId),
}

/// How a handler ended.
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

/// The totals of all handlers, from [`Attached::shutdown`](super::Attached::shutdown).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many were started: the sum of the fields below except `skipped`.
    pub started: u64,
    /// Returned `Ok`.
    pub finished: u64,
    /// Returned an error.
    pub failed: u64,
    /// Panicked.
    pub panicked: u64,
    /// Did not stop in time.
    pub aborted: u64,
    /// Sockets that never had a handler.
    pub skipped: u64,
}

impl<E> End<E> {
    /// For a task that did not complete.
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
