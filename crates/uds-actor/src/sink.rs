//! The sending handle as a `Sink`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_sink::Sink;

use crate::{
    error::{SendError, TrySendError},
    sender::Sender,
    waiters::Ticket,
};

/// A [`Sender`] as a [`Sink`], for combinators that need one.
///
/// It holds at most one message that is accepted and not queued yet; [`into_unqueued`](Self::into_unqueued) gives it back,
/// also when the connection is [closed](SendError::Closed). One that the framing cannot carry is dropped with that error, and
/// counted in [`Report::rejected`](crate::Report::rejected). Closing the sink is [`Sender::finish`].
#[derive(Debug)]
pub struct SendSink {
    sender: Sender,
    accepted: Option<Bytes>,
    /// Where the queue ended when a flush was begun.
    mark: Option<u64>,
    ticket: Ticket,
}

impl Sender {
    /// The same handle as a `Sink`.
    #[must_use]
    pub const fn into_sink(self) -> SendSink {
        SendSink { sender: self, accepted: None, mark: None, ticket: Ticket::new() }
    }
}

impl SendSink {
    /// Takes the message back that was accepted and not queued, if there is one.
    #[must_use]
    pub fn into_unqueued(mut self) -> Option<Bytes> {
        self.accepted.take()
    }

    fn poll_queue(&mut self, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
        let Some(message) = &self.accepted else { return Poll::Ready(Ok(())) };
        let outcome = ready!(self.sender.poll_send_shared(cx, &mut self.ticket, message));
        if outcome != Err(SendError::Closed) {
            self.accepted = None;
        }
        Poll::Ready(outcome)
    }
}

impl Sink<Bytes> for SendSink {
    type Error = TrySendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TrySendError>> {
        self.poll_queue(cx).map_err(Into::into)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Bytes) -> Result<(), TrySendError> {
        if self.accepted.is_some() {
            return Err(TrySendError::Full);
        }
        self.accepted = Some(message);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TrySendError>> {
        ready!(self.poll_queue(cx))?;
        let end = self.sender.mark();
        let mark = *self.mark.get_or_insert(end);
        let Self { sender, ticket, .. } = &mut *self;
        let written = ready!(sender.poll_written(cx, ticket, mark));
        self.mark = None;
        Poll::Ready(written.map_err(Into::into))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), TrySendError>> {
        ready!(self.poll_queue(cx))?;
        self.sender.begin_finish();
        self.poll_flush(cx)
    }
}

impl Drop for SendSink {
    fn drop(&mut self) {
        self.sender.forget(&self.ticket);
    }
}
