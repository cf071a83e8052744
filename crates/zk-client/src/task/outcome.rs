//! How a connection ends, and what a future has to say at this moment.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use tokio::task::unconstrained;

use crate::{ending::Ending, error::Failure};

/// What comes after a connection.
pub(super) enum Outcome {
    /// The next one: this one is lost.
    Lost(Failure),
    /// Nothing: the session is over.
    Over(Ending),
}

/// What a future has to say now, however much the task has done since it was polled.
pub(super) fn arrived<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(unconstrained(future)).poll(&mut cx) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
