//! The contenders: a way to send, a way to receive, and a name.

use serde::{Deserialize, Serialize};

use crate::runtime::Flavour;

/// How messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Produce {
    /// `uds_actor::Sender::send`, a payload lent.
    Actor,
    /// `uds_actor::Sender::send_shared`, a payload given.
    ActorShared,
    /// `FramedWrite::feed` straight from the loop that makes the messages.
    Feed,
    /// A channel, and a task that feeds from it.
    FeedTask,
    /// Like `Feed`, with 64 KiB buffered instead of 8.
    FeedTuned,
    /// Copied into a batch of 64 KiB, one `write` a batch.
    Batches,
    /// One `writev` a message.
    Vectored,
    /// One `write` a message.
    Naive,
    /// `zmq_send` on a PUSH socket.
    Zmq,
    /// `omq_tokio::Socket::send` on a PUSH socket.
    Omq,
}

/// How messages are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Receive {
    /// `uds_actor::Receiver::recv_batch`, each frame lent.
    Actor,
    /// The same, each frame taken as `Bytes` and kept for a while: the last 64, or 128 KiB of them.
    ActorOwned,
    /// `mpsr_server::Funnel::recv`.
    Funnel,
    /// A task per connection: `FramedRead::next`, and one channel send per message.
    Framed,
    /// The same with a read buffer of 64 KiB instead of 8.
    FramedTuned,
    /// `read` of 64 KiB at a time, frames cut out in place.
    Batches,
    /// `read` of exactly the rest of the frame.
    Exact,
    /// `zmq_recv` on a PULL socket.
    Zmq,
    /// `omq_tokio::Socket::recv` on a PULL socket.
    Omq,
}

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) produce: Produce,
    pub(crate) receive: Receive,
    pub(crate) flavour: Flavour,
    /// The payload sizes it is for, in bytes.
    pub(crate) from: usize,
}

impl Contender {
    pub(crate) const fn new(name: &'static str, produce: Produce, receive: Receive) -> Self {
        Self { name, produce, receive, flavour: Flavour::CurrentThread, from: 0 }
    }

    /// With two worker threads.
    pub(crate) const fn threaded(mut self) -> Self {
        self.flavour = Flavour::MultiThread;
        self
    }

    /// Only for payloads of this many bytes or more.
    pub(crate) const fn from(mut self, bytes: usize) -> Self {
        self.from = bytes;
        self
    }

    /// Why it cannot run in this build, if it cannot.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        if matches!(self.produce, Produce::Zmq) && !cfg!(feature = "zmq") {
            return Some("built without libzmq: apt-get install libzmq3-dev pkg-config");
        }
        if matches!(self.produce, Produce::Omq) && !cfg!(feature = "omq") {
            return Some("built without omq-tokio, which needs Rust 1.93");
        }
        None
    }
}
