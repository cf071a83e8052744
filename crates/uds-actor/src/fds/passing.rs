//! An actor whose frames carry descriptors, before it is spawned.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use frame_codec::{Framing, Oversize};
use tokio::net::UnixStream;

use super::{
    carrier::Carrier, control::Control, limits::Limits, receiver::Receiver, sender::Sender, transit::Transit,
    wire::counted,
};
use crate::actor::Actor;

impl<F: Framing + Clone + Send + 'static> Actor<UnixStream, F> {
    /// Lets frames carry descriptors: see [`fds`](crate::fds). Both ends must enable it, because each frame contains
    /// their number.
    pub fn pass_descriptors(self, limits: Limits) -> Passing<F> {
        let transit = Arc::new(Transit::new(limits));
        let carry = |stream| Carrier { stream, transit: Arc::clone(&transit) };
        // Each frame says what comes with it, so no frame may be left out.
        let whole = |limits: frame_codec::Limits| limits.with_oversize(Oversize::Disconnect);
        Passing { actor: self.over(carry, whole, |payload| Bytes::from(counted(0, payload))), transit }
    }
}

/// A connection whose frames carry descriptors, from [`Actor::pass_descriptors`].
#[must_use = "an actor does nothing until it is spawned"]
pub struct Passing<F> {
    actor: Actor<Carrier, F>,
    transit: Arc<Transit>,
}

impl<F: Framing + Clone + Send + 'static> Passing<F> {
    /// Spawns a task that owns the stream on the current runtime, and returns the handles.
    ///
    /// From now on, the kernel lets the peer send descriptors. Until then, sockets of [`Bind`](crate::Bind) and
    /// [`Connect`](crate::Connect) reject them, unless configured otherwise: a peer that sends one earlier gets
    /// `EPERM`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn spawn(self) -> (Sender, Receiver, Control) {
        let Self { actor, transit } = self;
        let (sender, receiver, control) = actor.spawn_with(Arc::clone(&transit));
        let sender = Sender::new(sender, Arc::clone(&transit));
        let receiver = Receiver::new(receiver, Arc::clone(&transit));
        (sender, receiver, Control::new(control, transit))
    }
}

impl<F: fmt::Debug> fmt::Debug for Passing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").field("actor", &self.actor).finish_non_exhaustive()
    }
}
