//! The channel for an event loop.

use super::{Channel, Codec, Flush, FlushError, NonBlocking, Readiness, RecvError, SendError, framed::Filled};

/// ```text
///   loop:   wait for `interest()` on `as_fd()`           epoll, mio, poll: edge- or level-triggered
///           `on_readiness(what was found)`               moves bytes in both directions
///           `while let Some(message) = try_recv()? { }`  until `None`: only then is the socket drained
/// ```
impl<Tx: ?Sized, Rx, C: Codec<Tx, Rx>> Channel<Tx, Rx, NonBlocking, C> {
    /// Queues a message without writing. [`run`](Self::run) and similar calls write.
    ///
    /// # Errors
    ///
    /// [`SendError::Encode`], [`SendError::TooLarge`], [`SendError::Full`], [`SendError::Finished`],
    /// [`FlushError::Send`]. Nothing is queued.
    pub fn queue(&mut self, message: &Tx) -> Result<(), SendError> {
        self.coded.queue(message)
    }

    /// Queues a message, writes what the socket accepts, and returns what is left.
    ///
    /// # Errors
    ///
    /// See [`queue`](Self::queue), if nothing is queued. [`FlushError::Send`] may also mean that the message is queued
    /// and cannot be written; then the channel sends nothing more. After [`SendError::Stalled`], it is queued, and you
    /// must not send it again.
    pub fn try_send(&mut self, message: &Tx) -> Result<Flush, SendError> {
        match self.queue(message) {
            Err(SendError::Full { .. }) => {
                let _ = self.coded.framed.write()?;
                self.queue(message)?;
            }
            queued => queued?,
        }
        self.coded.framed.write().map_err(|error| error.once_queued(self.unsent_bytes()))
    }

    /// Closes our direction (`shutdown(2)`) as soon as what is queued is written, and returns what is left. You can
    /// still receive.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`], which for want of memory in the kernel [may be retried](FlushError::is_retryable).
    pub fn finish(&mut self) -> Result<Flush, FlushError> {
        self.coded.framed.finish();
        self.coded.framed.write()
    }

    /// Takes the next message from the buffer, or else from the socket; `None` if no message has arrived completely.
    ///
    /// With an edge-triggered loop, call it until it returns `None`: only then was the socket empty.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decode`], for this message only. [`RecvError::Ended`], [`RecvError::Truncated`],
    /// [`RecvError::Malformed`] and [`RecvError::Receive`] if no more messages will come. Messages that arrived before
    /// are returned first, and later calls return the same error. If the kernel lacks memory,
    /// a `Receive` that [you can retry](RecvError::is_retryable).
    pub fn try_recv(&mut self) -> Result<Option<Rx>, RecvError> {
        loop {
            if let Some(message) = self.coded.decode_next()? {
                return Ok(Some(message));
            }
            match self.coded.framed.fill_for_message()? {
                Filled::Bytes | Filled::Over => {}
                Filled::WouldBlock => return Ok(None),
                Filled::Full => unreachable!("a buffer has room for a message that its limit allows"),
            }
        }
    }

    /// Does what the event loop found possible: reads until the socket is empty or the buffer full, and writes until
    /// the queue is empty or the socket full. Returns what is left of the queue.
    ///
    /// Read even after a hang-up: what the peer sent before it is still there, and [`try_recv`](Self::try_recv) returns
    /// it before it reports the end.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`] if nothing can be written any more. [`try_recv`](Self::try_recv) reports how reading ended,
    /// except for a lack of memory, [`FlushError::Wait`], after which you may try again.
    pub fn on_readiness(&mut self, ready: Readiness) -> Result<Flush, FlushError> {
        let mut filled = Ok(Filled::Bytes);
        while ready.readable && matches!(filled, Ok(Filled::Bytes)) {
            filled = self.coded.framed.fill_meanwhile();
        }
        let flush = if ready.writable { self.coded.framed.write()? } else { self.left() };
        filled?;
        Ok(flush)
    }

    /// The same for both directions, for a loop that knows only that an event occurred.
    ///
    /// # Errors
    ///
    /// See [`on_readiness`](Self::on_readiness).
    pub fn run(&mut self) -> Result<Flush, FlushError> {
        self.on_readiness(Readiness::BOTH)
    }

    /// What to wait for: reading while there is room, and writing while something is queued. Call this again after
    /// every call that moved something.
    #[must_use]
    pub fn interest(&self) -> Readiness {
        self.coded.framed.interest()
    }

    fn left(&self) -> Flush {
        match self.coded.framed.unsent().len() {
            0 => Flush::Done,
            bytes => Flush::Pending { bytes },
        }
    }
}
