//! The blocking channel.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{
    Blocking, Channel, Codec, Flush, FlushError, Readiness, RecvError, SendError,
    framed::{Filled, Framed},
};

/// How long to wait.
#[derive(Clone, Copy, Debug)]
struct Patience {
    given: Duration,
    /// `None` means no limit.
    deadline: Option<Instant>,
}

impl Patience {
    const ENDLESS: Self = Self { given: Duration::MAX, deadline: None };

    /// A limit that begins now. A time beyond the range of the clock means no limit.
    fn of(given: Duration) -> Self {
        Self { given, deadline: Instant::now().checked_add(given) }
    }
}

impl<Tx: ?Sized, Rx, C: Codec<Tx, Rx>> Channel<Tx, Rx, Blocking, C> {
    /// Sends a message, and returns when the kernel has all of it.
    ///
    /// While it waits for room, it keeps receiving, up to the limit of the receiving buffer, so that two ends that both
    /// send a lot before they receive do not block each other. A peer that sends more than that and never receives
    /// blocks this call: use [`send_timeout`](Self::send_timeout).
    ///
    /// # Errors
    ///
    /// [`SendError::Encode`], [`SendError::TooLarge`], [`SendError::Finished`]; [`FlushError::Send`] if the peer has
    /// closed or is gone (you can still receive what it sent before). After [`SendError::Stalled`], the message is
    /// queued, and you must not send it again. After any other error that [may be retried](SendError::is_retryable), it
    /// is not queued.
    pub fn send(&mut self, message: &Tx) -> Result<(), SendError> {
        self.send_until(message, Patience::ENDLESS)
    }

    /// The same, with a time limit.
    ///
    /// # Errors
    ///
    /// See [`send`](Self::send). Also [`SendError::TimedOut`] if nothing of the message is queued, and
    /// [`SendError::Unfinished`] if it is queued and you must not send it again.
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
                // First make room by writing what an earlier timeout left in the queue.
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

    /// Writes what is queued: after [`SendError::Unfinished`] or [`SendError::Stalled`], or if the channel comes from
    /// an event loop.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`]; [`FlushError::Wait`] for want of memory in the kernel, after which it can be called again.
    pub fn flush(&mut self) -> Result<(), FlushError> {
        self.coded.framed.flush_until(Patience::ENDLESS).map(drop)
    }

    /// Writes what is queued, and closes our direction (`shutdown(2)`). The peer sees the end of the stream. You can
    /// still receive what it sends.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub fn finish(&mut self) -> Result<(), FlushError> {
        self.coded.framed.finish();
        self.flush()
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decode`], for this message only. [`RecvError::Ended`], [`RecvError::Truncated`],
    /// [`RecvError::Malformed`] and [`RecvError::Receive`] if no more messages will come. Messages that arrived before
    /// are returned first, and later calls return the same error. If the kernel lacks memory,
    /// [`RecvError::Wait`], or a `Receive` that [you can retry](RecvError::is_retryable).
    pub fn recv(&mut self) -> Result<Rx, RecvError> {
        self.recv_until(Patience::ENDLESS)
    }

    /// Waits for the next message, with a time limit.
    ///
    /// An idle wait is one `poll(2)` with the whole time. After part of a message, or after a signal, it waits for the
    /// rest of the time, so a peer that sends single bytes cannot prolong it. Zero returns what is there.
    ///
    /// # Errors
    ///
    /// See [`recv`](Self::recv). Also [`RecvError::TimedOut`], which loses nothing: the beginning of a message stays
    /// buffered.
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
    /// Waits until there may be something to read. Writes what is queued in the meantime, because the peer may be
    /// waiting for it.
    fn wait_for_message(&mut self, patience: Patience) -> Result<(), RecvError> {
        loop {
            let interest = Readiness { readable: true, ..self.interest() };
            let waited = self.wait(interest, patience.deadline).map_err(|source| RecvError::Wait { source })?;
            let Some(ready) = waited else {
                return Err(RecvError::TimedOut { after: patience.given });
            };
            if interest.writable && ready.writable {
                // If this fails, the next call that sends returns the error. We can still receive what the peer sent.
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

    /// Writes some of what is queued, and waits for room if necessary.
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

    /// Waits until the socket accepts more, and reads in the meantime. Returns false if the time is over.
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
