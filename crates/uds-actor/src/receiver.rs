//! The handle that receives frames.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use frame_codec::Batch;
use futures_core::Stream;

use crate::{count::Count, inbox::Inbox, requests::Handles};

/// Receives messages one by one, or in batches.
///
/// | you need | call | each message is |
/// |---|---|---|
/// | one message at a time | [`recv`](Self::recv) | lent, until the next call |
/// | one message at a time, to keep or to pass on | [`recv_shared`](Self::recv_shared) | a `Bytes` that shares the memory it was read into |
/// | everything that is there | [`recv_batch`](Self::recv_batch), `Stream` | lent by the batch or given to you, as you iterate |
///
/// None of them copies a message, and you may mix them: messages come in order, each one once.
///
/// If you drop the receiver, unread data stays in the kernel. Messages that were read and not taken count as lost.
///
/// # Limits
///
/// The memory of received messages is limited in bytes while it is in use
/// ([`Actor::inbox_bytes`](crate::Actor::inbox_bytes)). Messages that you keep count, too, and each of them keeps its
/// whole batch alive. At the limit nothing more is read, and the kernel makes the peer wait.
#[derive(Debug)]
pub struct Receiver {
    inbox: Arc<Inbox>,
    handles: Arc<Handles>,
    current: Current,
}

/// The batch from which single messages are taken.
#[derive(Debug, Default)]
struct Current {
    batch: Batch,
    /// The index of the next message.
    next: usize,
    /// The messages that are not taken yet.
    left: Count,
}

impl Receiver {
    pub(crate) fn new(inbox: Arc<Inbox>, handles: Arc<Handles>) -> Self {
        Self { inbox, handles, current: Current::default() }
    }

    /// Waits for the next message and lends it; `None` when nothing will follow.
    /// [`Control::finished`](crate::Control::finished) reports why the connection ended.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::net::UnixStream;
    /// use uds_actor::{Actor, Delimited};
    ///
    /// # let (here, there) = UnixStream::pair()?;
    /// # let (sender, _, _control) = Actor::new(there, Delimited::lines()).spawn();
    /// # sender.send(b"add 2").await?;
    /// # sender.send(b"quit").await?;
    /// # sender.send(b"add 3").await?;
    /// let (_sender, mut receiver, _control) = Actor::new(here, Delimited::lines()).spawn();
    /// let mut added = 0;
    /// while let Some(message) = receiver.recv().await {
    ///     match message {
    ///         b"quit" => break,
    ///         _ => added += 1,
    ///     }
    /// }
    /// assert_eq!(added, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken no message.
    pub async fn recv(&mut self) -> Option<&[u8]> {
        let index = poll_fn(|cx| self.poll_next_index(cx)).await?;
        self.current.batch.get(index)
    }

    /// Waits for the next message and returns it as an owned value; `None` when nothing will follow.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken no message.
    pub async fn recv_shared(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_recv_shared(cx)).await
    }

    /// The same for hand-written futures: `Pending` means that the task will be woken when there is a message.
    pub fn poll_recv_shared(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(index) = ready!(self.poll_next_index(cx)) else { return Poll::Ready(None) };
        Poll::Ready(self.current.batch.share_frame(index))
    }

    /// Waits for the next batch; `None` when nothing will follow. [`Control::finished`](crate::Control::finished)
    /// reports why the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv_batch(&mut self) -> Option<Batch> {
        poll_fn(|cx| self.poll_recv_batch(cx)).await
    }

    /// The same for hand-written futures: `Pending` means that the task will be woken when there is a batch.
    pub fn poll_recv_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        let Current { batch, next, left } = std::mem::take(&mut self.current);
        if left.frames > 0 {
            self.inbox.set_at_hand(Count::default());
            return Poll::Ready(Some(batch.without_first(next)));
        }
        // Release the memory before asking for more.
        drop(batch);
        self.inbox.poll_take(cx)
    }

    /// Takes the next message, which is then at this index of the current batch.
    #[inline]
    fn poll_next_index(&mut self, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        while self.current.left.frames == 0 {
            let Some(batch) = ready!(self.poll_recv_batch(cx)) else { return Poll::Ready(None) };
            self.current = Current { next: 0, left: Count::of(&batch), batch };
        }
        let index = self.current.next;
        let len = self.current.batch.get(index).map_or(0, <[u8]>::len);
        self.current.next += 1;
        self.current.left = self.current.left - Count { frames: 1, bytes: len as u64 };
        self.inbox.set_at_hand(self.current.left);
        Poll::Ready(Some(index))
    }

    /// Records that this much of what was taken could not be delivered.
    pub(crate) fn retract(&self, count: Count) {
        self.inbox.retract(count);
    }
}

impl Stream for Receiver {
    type Item = Batch;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Batch>> {
        self.poll_recv_batch(cx)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.inbox.drop_receiver(self.current.left);
        self.handles.0.ring();
    }
}
