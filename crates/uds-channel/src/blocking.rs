//! The channel that waits.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use super::{
    Blocking, Channel, Codec, Error, Flush, Readiness,
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
    /// [`Error::Encode`], [`Error::TooLarge`], [`Error::Finished`]; [`Error::Send`] if the peer has closed or is gone —
    /// what it sent before can still be received. [`Error::Stalled`] when it is queued and must not be sent again; other
    /// errors that [may be retried](Error::is_retryable) are of a message that is not queued.
    pub fn send(&mut self, message: &Tx) -> Result<(), Error> {
        self.send_until(message, Patience::ENDLESS)
    }

    /// The same, for at most as long as this.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); [`Error::TimedOut`] when nothing of it is queued; [`Error::Unfinished`] when it is and
    /// must not be sent again.
    pub fn send_timeout(&mut self, message: &Tx, timeout: Duration) -> Result<(), Error> {
        self.send_until(message, Patience::of(timeout))
    }

    fn send_until(&mut self, message: &Tx, patience: Patience) -> Result<(), Error> {
        self.coded.encode(message)?;
        let sent = loop {
            match self.coded.framed.push(&self.coded.scratch) {
                Ok(()) => {
                    let flushed = self.coded.framed.flush_until(patience);
                    break flushed.map_err(|error| error.once_queued(self.unsent_bytes()));
                }
                // What an earlier timeout left in the queue has to make room first.
                Err(Error::Full { .. }) => {
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

    /// Writes what is queued: something is after [`Error::Unfinished`] and [`Error::Stalled`], or when the channel comes from
    /// an event loop.
    ///
    /// # Errors
    ///
    /// [`Error::Send`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.coded.framed.flush_until(Patience::ENDLESS)
    }

    /// Writes what is queued and closes our direction (`shutdown(2)`). The peer sees the end of the stream; what it sends
    /// can still be received.
    ///
    /// # Errors
    ///
    /// [`Error::Send`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.coded.framed.finish();
        self.flush()
    }

    /// Waits for the next message.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] for this message only. [`Error::Ended`], [`Error::Cut`], [`Error::Malformed`],
    /// [`Error::Receive`] when there will be no more; messages that arrived before are given out first, and asked again
    /// it says the same.
    pub fn recv(&mut self) -> Result<Rx, Error> {
        self.recv_until(Patience::ENDLESS)
    }

    /// Waits for the next message, for at most as long as this.
    ///
    /// An idle wait is one `poll(2)` with the whole time; after a part of a message, or a signal, it goes on with what is
    /// left. A peer that drips cannot make it longer. Zero takes what is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`Error::TimedOut`], which loses nothing: the beginning of a message stays.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Rx, Error> {
        self.recv_until(Patience::of(timeout))
    }

    fn recv_until(&mut self, patience: Patience) -> Result<Rx, Error> {
        loop {
            if let Some(message) = self.coded.decode_next()? {
                return Ok(message);
            }
            match self.coded.framed.fill()? {
                Filled::Bytes | Filled::Over => {}
                Filled::WouldBlock => self.coded.framed.wait_for_message(patience)?,
                Filled::Full => unreachable!("a buffer has room for a message that its limit allows"),
            }
        }
    }
}

impl Framed<OwnedFd> {
    /// Waits until there may be something to read. What is queued goes out meanwhile: the peer may be waiting for it.
    fn wait_for_message(&mut self, patience: Patience) -> Result<(), Error> {
        loop {
            let interest = Readiness { readable: true, ..self.interest() };
            let Some(ready) = self.wait(interest, patience.deadline)? else {
                return Err(Error::TimedOut { after: patience.given });
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

    fn flush_until(&mut self, patience: Patience) -> Result<(), Error> {
        while let Flush::Pending { bytes } = self.write()? {
            if !self.wait_for_room(patience)? {
                return Err(Error::Unfinished { after: patience.given, left: bytes });
            }
        }
        Ok(())
    }

    /// Writes some of what is queued, waiting for it if need be.
    fn write_some_until(&mut self, patience: Patience) -> Result<(), Error> {
        let before = self.unsent().len();
        while let Flush::Pending { bytes } = self.write()?
            && bytes == before
        {
            if !self.wait_for_room(patience)? {
                return Err(Error::TimedOut { after: patience.given });
            }
        }
        Ok(())
    }

    /// Waits until the socket takes something, and reads meanwhile; false when the time is over.
    fn wait_for_room(&mut self, patience: Patience) -> Result<bool, Error> {
        let interest = Readiness { writable: true, ..self.interest() };
        let Some(ready) = self.wait(interest, patience.deadline)? else { return Ok(false) };
        if interest.readable && ready.readable {
            self.fill()?;
        }
        Ok(true)
    }
}
