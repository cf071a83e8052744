//! The channel for an event loop.

use super::{Channel, Codec, Flush, FlushError, NonBlocking, Readiness, RecvError, SendError, framed::Filled};

/// ```text
///   loop:   wait for `interest()` on `as_fd()`           epoll, mio, poll: edge- or level-triggered
///           `on_readiness(what was found)`               moves bytes in both directions
///           `while let Some(message) = try_recv()? { }`  until `None`: only then is the socket drained
/// ```
impl<Tx: ?Sized, Rx, C: Codec<Tx, Rx>> Channel<Tx, Rx, NonBlocking, C> {
    /// Queues a message; nothing is written. [`run`](Self::run) and the like write.
    ///
    /// # Errors
    ///
    /// [`SendError::Encode`], [`SendError::TooLarge`], [`SendError::Full`], [`SendError::Finished`], [`FlushError::Send`]; nothing is queued.
    pub fn queue(&mut self, message: &Tx) -> Result<(), SendError> {
        self.coded.queue(message)
    }

    /// Queues a message and writes what the socket takes, and says what is left.
    ///
    /// # Errors
    ///
    /// As [`queue`](Self::queue) if nothing is queued. [`FlushError::Send`] may also mean that it is and cannot be written;
    /// the channel sends nothing more then. After [`SendError::Stalled`] it is queued, and must not be sent again.
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

    /// Closes our direction (`shutdown(2)`) as soon as what is queued is written; says what is left. Receiving goes on.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`].
    pub fn finish(&mut self) -> Result<Flush, FlushError> {
        self.coded.framed.finish();
        self.coded.framed.write()
    }

    /// Takes the next message, from the buffer or else from the socket; `None` if none has arrived completely.
    ///
    /// With an edge-triggered loop, call it until it says `None`: only then was the socket found empty.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decode`] for this message only. [`RecvError::Ended`], [`RecvError::Truncated`], [`RecvError::Malformed`],
    /// [`RecvError::Receive`] when there will be no more; messages that arrived before are given out first, and asked again
    /// it says the same.
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

    /// Does what the event loop found possible: reads until the socket is empty or the buffer full, and writes until the
    /// queue is empty or the socket full. Says what is left of the queue.
    ///
    /// A hang-up is no reason not to read: what the peer sent before it is still there, and [`try_recv`](Self::try_recv)
    /// gives it out before it tells the end.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`] when nothing can be written any more. How reading ended is told by [`try_recv`](Self::try_recv),
    /// except for a shortage of memory, [`FlushError::Wait`], after which it may be tried again.
    pub fn on_readiness(&mut self, ready: Readiness) -> Result<Flush, FlushError> {
        let mut filled = Ok(Filled::Bytes);
        while ready.readable && matches!(filled, Ok(Filled::Bytes)) {
            filled = self.coded.framed.fill_meanwhile();
        }
        let flush = if ready.writable { self.coded.framed.write()? } else { self.left() };
        filled?;
        Ok(flush)
    }

    /// The same for both directions, for a loop that knows only that something happened.
    ///
    /// # Errors
    ///
    /// As [`on_readiness`](Self::on_readiness).
    pub fn run(&mut self) -> Result<Flush, FlushError> {
        self.on_readiness(Readiness::BOTH)
    }

    /// What to wait for: reading while there is room for more, writing while something is queued. Ask again after every
    /// call that moved something.
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
