//! The calls of a protocol while there is no connection.

use std::{collections::VecDeque, fmt, sync::Arc};

use frame_codec::Framing;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Driver,
    handle::{Answers, Handle, Shared},
};
use crate::{
    limits::Limits,
    mux::{Mux, Output},
    options::Unsent,
    protocol::Protocol,
    report::Report,
};

/// A [`Driver`] without its connection: the calls that were made and not sent, the protocol's state, and what the
/// [`Handle`]s share.
///
/// When it is dropped, every pending call fails, and so does every later one.
pub struct Detached<P: Protocol> {
    pub(super) shared: Arc<Shared<P>>,
    /// What arrived and was not delivered yet, in the order of arrival.
    pub(super) outputs: VecDeque<Output<P, Answers<P>>>,
    /// As you set them, regardless of the limits of a connection.
    pub(super) limits: Limits,
}

impl<P: Protocol> Detached<P> {
    /// A protocol without a connection yet, and the first handle to make calls with. Calls are kept until there is a
    /// connection.
    pub fn new(framing: impl Framing + Send + Sync + 'static, protocol: P, limits: Limits) -> (Self, Handle<P>) {
        let mut mux = Mux::new(framing, protocol, limits);
        mux.handle_disconnect(Unsent::Keep);
        let shared = Arc::new(Shared::new(mux));
        (Self { shared: Arc::clone(&shared), outputs: VecDeque::new(), limits }, Handle::new(shared))
    }

    /// Continues on a stream that has not been used yet. `frames` bounds what the peer may send in one frame.
    pub fn attach<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, frames: frame_codec::Limits) -> Driver<S, P> {
        Driver::begin(stream, frames, self)
    }

    /// Changes the protocol's state; see [`Handle::with_protocol_mut`].
    pub fn with_protocol_mut<T>(&self, change: impl FnOnce(&mut P) -> T) -> T {
        change(self.shared.lock().protocol_mut())
    }

    /// Changes what happens to pending calls: with [`Unsent::Fail`] they fail now, and later ones fail at once.
    pub fn set_unsent(&mut self, unsent: Unsent) {
        self.end(unsent);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, because the deadline of a call passes.
    pub fn poll_timeout(&self) -> Option<std::time::Instant> {
        self.shared.lock().poll_timeout()
    }

    /// Fails the calls that have passed their deadline. Without a connection, you must do this yourself.
    pub fn handle_timeout(&mut self, now: std::time::Instant) {
        {
            let mut mux = self.shared.lock();
            mux.handle_timeout(now);
            self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        }
        while self.deliver().is_some() {}
        self.shared.room.wake_all();
    }

    /// Waits until a handle has made a call, or the last handle is gone. It can also return without either.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// Whether the last handle is gone.
    pub fn is_hung_up(&self) -> bool {
        self.shared.hung_up.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Calls that wait.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting()
    }

    /// What has happened to the calls so far.
    pub fn report(&self) -> Report {
        self.shared.lock().report()
    }

    /// Gives answers to their callers, up to the first event.
    pub(super) fn deliver(&mut self) -> Option<P::Event> {
        while let Some(output) = self.outputs.pop_front() {
            if let Some(event) = Shared::deliver(output) {
                return Some(event);
            }
        }
        None
    }

    /// Ends the connection, if there is one, and tells every caller with a call that has ended.
    pub(super) fn end(&mut self, unsent: Unsent) {
        {
            let mut mux = self.shared.lock();
            mux.handle_disconnect(unsent);
            self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        }
        // Events that answer no request have no receiver any more.
        while self.deliver().is_some() {}
        self.shared.room.wake_all();
    }
}

impl<P: Protocol> Drop for Detached<P> {
    fn drop(&mut self) {
        self.end(Unsent::Fail);
    }
}

impl<P: Protocol> fmt::Debug for Detached<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Detached").field(&*self.shared.lock()).finish()
    }
}
