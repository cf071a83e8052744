//! An actor whose frames carry descriptors, before it is spawned.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use frame_codec::Framing;
use tokio::net::UnixStream;

use super::{Limits, Receiver, Sender, books::Books, carrier::Carrier, counted};
use crate::{Actor, Control};

/// A connection whose frames carry descriptors, from [`Actor::pass_descriptors`].
#[must_use = "an actor does nothing until it is spawned"]
pub struct Passing<F> {
    actor: Actor<Carrier, F>,
    books: Arc<Books>,
}

impl<F: Framing + Clone + Send + 'static> Passing<F> {
    pub(crate) fn new(actor: Actor<UnixStream, F>, limits: Limits) -> Self {
        let books = Arc::new(Books::new(limits));
        let carry = |stream| Carrier { stream, books: Arc::clone(&books) };
        Self { actor: actor.over(carry, |payload| Bytes::from(counted(0, payload))), books }
    }

    /// Hands the stream to a task of the current runtime and gives out the handles.
    ///
    /// From here on the kernel lets the peer send descriptors. Where that was refused before — on what
    /// [`Bind`](crate::Bind) and [`Connect`](crate::Connect) make, unless they are told otherwise — a peer that was faster was
    /// told `EPERM`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn spawn(self) -> (Sender, Receiver, Control) {
        let (sender, receiver, control) = self.actor.spawn();
        (Sender::new(sender, Arc::clone(&self.books)), Receiver::new(receiver, self.books), control)
    }
}

impl<F: fmt::Debug> fmt::Debug for Passing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").field("actor", &self.actor).finish_non_exhaustive()
    }
}
