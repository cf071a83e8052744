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

/// What is left of a [`Driver`] between two connections: the calls that were made and not sent, the protocol's state, and
/// what the [`Handle`]s hold on to.
///
/// When it is dropped, every call that waits fails, and so does every later one.
pub struct Detached<P: Protocol> {
    pub(super) shared: Arc<Shared<P>>,
    /// What arrived and was not given out yet, in the order of arrival.
    pub(super) outputs: VecDeque<Output<P, Answers<P>>>,
    /// As its maker wanted them, whatever a connection allows.
    pub(super) limits: Limits,
}

impl<P: Protocol> Detached<P> {
    /// Calls without a connection yet, and the first handle to make some. They are kept until there is one.
    pub fn new(framing: impl Framing + Send + Sync + 'static, protocol: P, limits: Limits) -> (Self, Handle<P>) {
        let mut mux = Mux::new(framing, protocol, limits);
        mux.handle_disconnect(Unsent::Keep);
        let shared = Arc::new(Shared::new(mux));
        (Self { shared: Arc::clone(&shared), outputs: VecDeque::new(), limits }, Handle::new(shared))
    }

    /// Goes on with a stream on which nothing was said yet. `frames` bounds what the peer may send in one frame.
    pub fn attach<S: AsyncRead + AsyncWrite + Unpin>(self, stream: S, frames: frame_codec::Limits) -> Driver<S, P> {
        Driver::begin(stream, frames, self)
    }

    /// Changes the protocol's state; see [`Handle::with_protocol_mut`].
    pub fn with_protocol_mut<T>(&self, change: impl FnOnce(&mut P) -> T) -> T {
        change(self.shared.lock().protocol_mut())
    }

    /// Says anew what becomes of the calls that wait: with [`Unsent::Fail`] they fail now, and later ones at once.
    pub fn set_unsent(&mut self, unsent: Unsent) {
        self.end(unsent);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest, because the deadline of a call passes.
    pub fn poll_timeout(&self) -> Option<std::time::Instant> {
        self.shared.lock().poll_timeout()
    }

    /// Fails the calls whose deadline has passed; without a connection, this is for the owner to do.
    pub fn handle_timeout(&mut self, now: std::time::Instant) {
        {
            let mut mux = self.shared.lock();
            mux.handle_timeout(now);
            self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        }
        while self.deliver().is_some() {}
        self.shared.room.wake_all();
    }

    /// Waits until a handle has made a call, or the last handle is gone; it can return without either.
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

    /// What became of the calls so far.
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

    /// Ends the connection, if there is one, and tells every caller whose call is over.
    pub(super) fn end(&mut self, unsent: Unsent) {
        {
            let mut mux = self.shared.lock();
            mux.handle_disconnect(unsent);
            self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        }
        // Events that were not asked for any more have no taker.
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
