//! A node's history as a stream.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use zk_proto::Stat;

use crate::{
    client::Client,
    error::{Error, Result},
    watch::Watch,
};

impl Client {
    /// Follows whether a node exists, and its history. The stream begins with the current state and yields each later
    /// state as it is when it is read. It may merge changes in quick succession, but always yields the last one.
    pub fn watch_stat(&self, path: &str) -> StatStream {
        StatStream::new(self.clone(), path)
    }
}

/// The existence and history of a node, now and whenever they change: see [`Client::watch_stat`].
///
/// It outlives connections. It ends when the session ends, or when the server does not permit reading the node;
/// [`error`](Self::error) says which.
#[must_use = "a stream does nothing unless it is read"]
pub struct StatStream {
    client: Client,
    path: String,
    state: State,
    told: Option<Option<Stat>>,
}

type Asking = Pin<Box<dyn Future<Output = Result<(Option<Stat>, Watch)>> + Send>>;

enum State {
    Asking(Asking),
    Watching(Watch),
    Ended(Error),
}

impl StatStream {
    pub(crate) fn new(client: Client, path: &str) -> Self {
        let state = State::Asking(Box::pin(client.exists_and_watch(path)));
        Self { client, path: path.to_owned(), state, told: None }
    }

    /// The next state: `Some(None)` if the node does not exist, `None` at the end of the stream.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no change is lost.
    pub async fn next(&mut self) -> Option<Option<Stat>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Why the stream ended, if it has.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        match &self.state {
            State::Ended(error) => Some(error),
            State::Asking(_) | State::Watching(_) => None,
        }
    }

    fn ask(&mut self) {
        self.state = State::Asking(Box::pin(self.client.exists_and_watch(&self.path)));
    }
}

impl Stream for StatStream {
    type Item = Option<Stat>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Option<Stat>>> {
        loop {
            match &mut self.state {
                State::Asking(asking) => match ready!(asking.as_mut().poll(cx)) {
                    Ok((stat, watch)) => {
                        self.state = State::Watching(watch);
                        if self.told.replace(stat) != Some(stat) {
                            return Poll::Ready(Some(stat));
                        }
                    }
                    // It is safe to repeat the read, which goes out on the next connection.
                    Err(Error::ConnectionLost { .. }) if self.client.can_reconnect() => self.ask(),
                    Err(error) => self.state = State::Ended(error),
                },
                State::Watching(watch) => match ready!(Pin::new(watch).poll(cx)) {
                    Ok(_) => self.ask(),
                    Err(error) => self.state = State::Ended(error),
                },
                State::Ended(_) => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for StatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatStream").field("path", &self.path).field("told", &self.told).finish_non_exhaustive()
    }
}
