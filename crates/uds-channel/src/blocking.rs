//! The channel that waits.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{
    Blocking, Channel, Codec, Flush, FlushError, Readiness, RecvError, SendError,
    framed::{Filled, Framed},
};

/// Until when to wait.
#[derive(Clone, Copy, Debug)]
struct Patience {
    given: Duration,
    /// `None` is without end.
    deadline: Option<Instant>,
}

impl Patience {
    const ENDLESS: Self = Self { given: Duration::MAX, deadline: None };

    /// From now on; a time beyond what the clock can count has no end.
    fn of(given: Duration) -> Self {
        Self { given, deadline: Instant::now().checked_add(given) }
    }
}

impl<Tx: ?Sized, Rx, C: Codec<Tx, Rx>> Channel<Tx, Rx, Blocking, C> {
    /// Sends a message: returns when the kernel has all of it.
    ///
    /// While it waits for room it goes on receiving, up to the bound of the receiving buffer, so that two ends that both send a
    /// lot before they receive do not block each other. A peer that sends more than that and never receives blocks this call:
    /// use [`send_timeout`](Self::send_timeout).
    ///
    /// # Errors
    ///
    /// [`SendError::Encode`], [`SendError::TooLarge`], [`SendError::Finished`]; [`FlushError::Send`] if the peer has closed or is gone —
    /// what it sent before can still be received. [`SendError::Stalled`] when it is queued and must not be sent again; other
    /// errors that [may be retried](SendError::is_retryable) are of a message that is not queued.
    pub fn send(&mut self, message: &Tx) -> Result<(), SendError> {
        self.send_until(message, Patience::ENDLESS)
    }

    /// The same, for at most as long as this.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`SendError::TimedOut`] when nothing of it is queued; [`SendError::Unfinished`] when it is and
    /// must not be sent again.
    pub fn send_timeout(&mut self, message: &Tx, timeout: Duration) -> Result<(), SendError> {
        self.send_until(message, Patience::of(timeout))
    }

    fn send_until(&mut self, message: &Tx, patience: Patience) -> Result<(), SendError> {
        self.coded.encode(message)?;
        let sent = loop {
            match self.coded.framed.push(&self.coded.scratch) {
                Ok(()) => {
                    break match self.coded.framed.flush_until(patience) {
                        Ok(Flush::Done) => Ok(()),
                        Ok(Flush::Pending { bytes: left }) => {
                            Err(SendError::Unfinished { after: patience.given, left })
                        }
                        Err(error) => Err(error.once_queued(self.unsent_bytes())),
                    };
                }
                // What an earlier timeout left in the queue has to make room first.
                Err(SendError::Full { .. }) => {
                    if let Err(error) = self.coded.framed.write_some_until(patience) {
                        break Err(error);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.coded.done_encoding();
        sent
    }

    /// Writes what is queued: something is after [`SendError::Unfinished`] and [`SendError::Stalled`], or when the channel comes from
    /// an event loop.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`].
    pub fn flush(&mut self) -> Result<(), FlushError> {
        self.coded.framed.flush_until(Patience::ENDLESS).map(drop)
    }

    /// Writes what is queued and closes our direction (`shutdown(2)`). The peer sees the end of the stream; what it sends
    /// can still be received.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`].
    pub fn finish(&mut self) -> Result<(), FlushError> {
        self.coded.framed.finish();
        self.flush()
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decode`] for this message only. [`RecvError::Ended`], [`RecvError::Truncated`], [`RecvError::Malformed`],
    /// [`RecvError::Receive`] when there will be no more; messages that arrived before are given out first, and asked again
    /// it says the same.
    pub fn recv(&mut self) -> Result<Rx, RecvError> {
        self.recv_until(Patience::ENDLESS)
    }

    /// Waits for the next message, for at most as long as this.
    ///
    /// An idle wait is one `poll(2)` with the whole time; after a part of a message, or a signal, it goes on with what is
    /// left. A peer that drips cannot make it longer. Zero takes what is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`RecvError::TimedOut`], which loses nothing: the beginning of a message stays.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Rx, RecvError> {
        self.recv_until(Patience::of(timeout))
    }

    fn recv_until(&mut self, patience: Patience) -> Result<Rx, RecvError> {
        loop {
            if let Some(message) = self.coded.decode_next()? {
                return Ok(message);
            }
            match self.coded.framed.fill_for_message()? {
                Filled::Bytes | Filled::Over => {}
                Filled::WouldBlock => self.coded.framed.wait_for_message(patience)?,
                Filled::Full => unreachable!("a buffer has room for a message that its limit allows"),
            }
        }
    }
}

impl Framed<OwnedFd> {
    /// Waits until there may be something to read. What is queued goes out meanwhile: the peer may be waiting for it.
    fn wait_for_message(&mut self, patience: Patience) -> Result<(), RecvError> {
        loop {
            let interest = Readiness { readable: true, ..self.interest() };
            let waited = self.wait(interest, patience.deadline).map_err(|source| RecvError::Wait { source })?;
            let Some(ready) = waited else {
                return Err(RecvError::TimedOut { after: patience.given });
            };
            if interest.writable && ready.writable {
                // If it fails, the next call that sends returns the error. What the peer sent can still be received.
                let _ = self.write();
            }
            if ready.readable {
                return Ok(());
            }
        }
    }

    fn flush_until(&mut self, patience: Patience) -> Result<Flush, FlushError> {
        while let Flush::Pending { bytes } = self.write()? {
            if !self.wait_for_room(patience)? {
                return Ok(Flush::Pending { bytes });
            }
        }
        Ok(Flush::Done)
    }

    /// Writes some of what is queued, waiting for it if need be.
    fn write_some_until(&mut self, patience: Patience) -> Result<(), SendError> {
        let before = self.unsent().len();
        while let Flush::Pending { bytes } = self.write()?
            && bytes == before
        {
            if !self.wait_for_room(patience)? {
                return Err(SendError::TimedOut { after: patience.given });
            }
        }
        Ok(())
    }

    /// Waits until the socket takes something, and reads meanwhile; false when the time is over.
    fn wait_for_room(&mut self, patience: Patience) -> Result<bool, FlushError> {
        let interest = Readiness { writable: true, ..self.interest() };
        let failed = |source| FlushError::Wait { source };
        let Some(ready) = self.wait(interest, patience.deadline).map_err(failed)? else { return Ok(false) };
        if interest.readable && ready.readable {
            self.fill_meanwhile()?;
        }
        Ok(true)
    }
}
