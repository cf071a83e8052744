//! Calls as a [`tower::Service`].

use std::{
    fmt,
    task::{Context, Poll},
};

use super::{handle::Handle, pending::Pending, shared::Shared};
use crate::{
    error::Error,
    options::Options,
    protocol::{Call, ErrorOf, Protocol},
};

/// A [`Handle`] for tower's middleware: any [`Call`] of the protocol is a request.
///
/// [`poll_ready`](tower::Service::poll_ready) waits while [`max_calls`](crate::Limits::max_calls) or
/// [`max_outbox`](crate::Limits::max_outbox) is reached, and reserves a place, so that the call that follows is not
/// rejected for lack of room. Calls made on plain handles do not respect reservations.
pub struct Service<P: Protocol> {
    handle: Handle<P>,
    options: Options,
    reserved: bool,
}

impl<P: Protocol> Service<P> {
    /// Calls through `handle`, each with these options. A deadline in them is one point in time for all calls; tower
    /// has its own timeouts.
    pub const fn new(handle: Handle<P>, options: Options) -> Self {
        Self { handle, options, reserved: false }
    }
}

impl<P: Protocol> From<Handle<P>> for Service<P> {
    fn from(handle: Handle<P>) -> Self {
        Self::new(handle, Options::new())
    }
}

impl<P: Protocol, C: Call<Protocol = P>> tower::Service<C> for Service<P> {
    type Response = C::Reply;
    type Error = Error<ErrorOf<P>>;
    type Future = Pending<P, C::Reply>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.reserved {
            return Poll::Ready(Ok(()));
        }
        let shared = self.handle.shared();
        // Registered first, so that room which appears in between is not missed.
        shared.room.wait(cx.waker());
        self.reserved = shared.lock().try_reserve();
        if self.reserved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, call: C) -> Self::Future {
        let mut options = self.options;
        let shared = self.handle.shared();
        if std::mem::take(&mut self.reserved) {
            shared.lock().release_reserved();
            options = options.beyond_limits();
        }
        Shared::queue(shared, &call, options, false)
    }
}

/// A clone has no reservation of its own.
impl<P: Protocol> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), options: self.options, reserved: false }
    }
}

impl<P: Protocol> Drop for Service<P> {
    fn drop(&mut self) {
        if self.reserved {
            let shared = self.handle.shared();
            shared.lock().release_reserved();
            shared.room.wake_all();
        }
    }
}

impl<P: Protocol> fmt::Debug for Service<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("handle", &self.handle)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}
