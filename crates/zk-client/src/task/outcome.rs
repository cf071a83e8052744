//! How a connection ends, and the value of a future at this moment.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use tokio::task::unconstrained;

use crate::{ending::Ending, error::Failure};

/// What follows a connection.
pub(super) enum Outcome {
    /// Another connection: this one is lost.
    Lost(Failure),
    /// Nothing: the session is over.
    Over(Ending),
}

/// The value of a future if it is ready now, regardless of how much of its budget the task has used.
pub(super) fn arrived<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(unconstrained(future)).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
