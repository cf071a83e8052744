//! The socket with its two buffers: frames without types, and no waiting.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    time::Instant,
};

use frame_codec::{Framing as _, LengthPrefixed, Scan};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, Shutdown, send, shutdown},
};
use uds_socket::Rights;

use super::{
    Buffers, Flush, FlushError, Readiness, RecvError, SendError,
    buffer::{Buffer, Room},
    error::passes,
};

/// Length of the length prefix in bytes.
const HEAD: usize = 8;

pub(super) struct Framed<S> {
    socket: S,
    framing: LengthPrefixed,
    inbox: Buffer,
    outbox: Buffer,
    reading: Reading,
    writing: Writing,
    /// How often the channel waited, for tests.
    #[cfg(test)]
    pub(super) polls: std::cell::Cell<u32>,
    /// Which call fails next with a lack of memory, for tests.
    #[cfg(test)]
    pub(super) shortage: std::cell::Cell<Option<Call>>,
}

/// Calls in which the kernel may lack memory.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Send,
    Poll,
}

/// ```text
///   Open ──end of stream──▶ Ended
///     ├────reset──────────▶ Failed
///     └────bad length─────▶ Broken
/// ```
/// Messages that arrived before are still returned. After them, every call returns the reason.
#[derive(Debug)]
enum Reading {
    Open,
    Ended,
    Failed(Errno),
    Broken(frame_codec::DecodeError),
}

/// ```text
///   Open ──finish──▶ Finishing ──all written, shut down──▶ Finished
///     └─failed write─▶ Failed ◀─┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    Finishing,
    Finished,
    Failed(Errno),
}

/// The result of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Bytes,
    WouldBlock,
    /// The buffer has no room, and the kernel keeps the rest.
    Full,
    /// No more data will come.
    Over,
}

impl<S: AsFd> Framed<S> {
    pub(super) fn new(socket: S, buffers: Buffers) -> Self {
        uds_socket::set_rights(socket.as_fd(), Rights::Rejected);
        Self {
            socket,
            framing: LengthPrefixed::sozu(),
            inbox: Buffer::new(buffers.receive),
            outbox: Buffer::new(buffers.send),
            reading: Reading::Open,
            writing: Writing::Open,
            #[cfg(test)]
            polls: std::cell::Cell::default(),
            #[cfg(test)]
            shortage: std::cell::Cell::default(),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    pub(super) fn unread(&self) -> &[u8] {
        self.inbox.unread()
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.outbox.unread()
    }

    /// How much memory to keep for encoding.
    pub(super) const fn scratch_size(&self) -> usize {
        self.outbox.capacity().initial()
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.inbox.memory() + self.outbox.memory()
    }

    // Receiving.

    /// Passes the next complete message to `read`; `None` if it has not arrived. The message is consumed, whatever
    /// `read` returns.
    pub(super) fn next<T>(&mut self, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, RecvError> {
        if let Reading::Broken(error) = &self.reading {
            return Err(RecvError::Malformed { source: error.clone() });
        }
        let unread = self.inbox.unread();
        match self.scan() {
            Ok(Scan::Frame { payload, end }) => {
                let outcome = read(unread.get(payload).unwrap_or_default());
                self.inbox.consume(end);
                Ok(Some(outcome))
            }
            Ok(Scan::More { at_least, .. }) => match &self.reading {
                Reading::Open => Ok(None),
                Reading::Ended if unread.is_empty() => Err(RecvError::Ended),
                Reading::Ended => Err(RecvError::Truncated { have: unread.len(), need: at_least }),
                Reading::Failed(errno) => Err(RecvError::Receive { source: (*errno).into() }),
                Reading::Broken(error) => Err(RecvError::Malformed { source: error.clone() }),
            },
            Err(error) => {
                self.reading = Reading::Broken(error.clone());
                Err(RecvError::Malformed { source: error })
            }
        }
    }

    /// Reads once, without waiting. [`next`](Self::next) reports the end of the stream after what came before it. An
    /// error means a lack of memory, after which reading can continue.
    pub(super) fn fill(&mut self) -> io::Result<Filled> {
        if !matches!(self.reading, Reading::Open) {
            return Ok(Filled::Over);
        }
        if !self.has_room() {
            return Ok(Filled::Full);
        }
        loop {
            match self.inbox.receive(self.socket.as_fd()) {
                Ok(0) => {
                    self.reading = Reading::Ended;
                    return Ok(Filled::Over);
                }
                Ok(_) => return Ok(Filled::Bytes),
                Err(Errno::AGAIN) => return Ok(Filled::WouldBlock),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let source = io::Error::from(errno);
                    if passes(&source) {
                        return Err(source);
                    }
                    self.reading = Reading::Failed(errno);
                    return Ok(Filled::Over);
                }
            }
        }
    }

    /// The same, with the error of a call that receives.
    pub(super) fn fill_for_message(&mut self) -> Result<Filled, RecvError> {
        self.fill().map_err(|source| RecvError::Receive { source })
    }

    /// The same, with the error of a call that writes.
    pub(super) fn fill_meanwhile(&mut self) -> Result<Filled, FlushError> {
        self.fill().map_err(|source| FlushError::Wait { source })
    }

    /// Whether more may be read. There is always room for the rest of an incomplete message.
    fn has_room(&self) -> bool {
        let room = match self.scan() {
            Ok(Scan::More { .. }) => Room::Needed,
            Ok(Scan::Frame { .. }) | Err(_) => Room::Welcome,
        };
        self.inbox.has_room(room)
    }

    fn scan(&self) -> Result<Scan, frame_codec::DecodeError> {
        self.framing.scan(self.inbox.unread(), 0, self.inbox.capacity().max() - HEAD)
    }

    // Sending.

    /// The error that every message would cause now, if there is one.
    pub(super) fn check_sendable(&self) -> Result<(), SendError> {
        match self.writing {
            Writing::Open => Ok(()),
            Writing::Finishing | Writing::Finished => Err(SendError::Finished),
            Writing::Failed(errno) => Err(self.send_failed(errno).into()),
        }
    }

    /// Whether a message of this length can be sent at all.
    pub(super) const fn check_len(&self, len: usize) -> Result<(), SendError> {
        let max = self.outbox.capacity().max() - HEAD;
        if len > max { Err(SendError::TooLarge { len, max }) } else { Ok(()) }
    }

    /// Queues a message whose length was checked.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), SendError> {
        let envelope = self.framing.envelope(payload).expect("eight bytes hold any length that memory holds");
        if self.outbox.append(&[envelope.head.as_ref(), payload]) {
            return Ok(());
        }
        Err(SendError::Full { queued: self.outbox.unread().len(), max: self.outbox.capacity().max() })
    }

    /// Closes our direction when everything is written.
    pub(super) fn finish(&mut self) {
        if self.writing == Writing::Open {
            self.writing = Writing::Finishing;
        }
    }

    /// Writes as much as the socket accepts, without waiting.
    pub(super) fn write(&mut self) -> Result<Flush, FlushError> {
        if let Writing::Failed(errno) = self.writing {
            return Err(self.send_failed(errno));
        }
        while !self.outbox.unread().is_empty() {
            #[cfg(test)]
            if self.is_short_for(Call::Send) {
                return Err(self.writing_failed(Errno::NOBUFS));
            }
            match send(&self.socket, self.outbox.unread(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(count) => self.outbox.consume(count),
                Err(Errno::AGAIN) => return Ok(Flush::Pending { bytes: self.outbox.unread().len() }),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.writing_failed(errno)),
            }
        }
        if self.writing == Writing::Finishing {
            shutdown(&self.socket, Shutdown::Write).map_err(|errno| self.writing_failed(errno))?;
            self.writing = Writing::Finished;
        }
        Ok(Flush::Done)
    }

    fn writing_failed(&mut self, errno: Errno) -> FlushError {
        if !passes(&errno.into()) {
            self.writing = Writing::Failed(errno);
        }
        self.send_failed(errno)
    }

    fn send_failed(&self, errno: Errno) -> FlushError {
        FlushError::Send { left: self.outbox.unread().len(), source: errno.into() }
    }

    #[cfg(test)]
    fn is_short_for(&self, call: Call) -> bool {
        self.shortage.get() == Some(call) && self.shortage.take().is_some()
    }

    // Waiting.

    /// The directions in which we can do something when the socket is ready.
    pub(super) fn interest(&self) -> Readiness {
        let has_to_write = !self.outbox.unread().is_empty() || self.writing == Writing::Finishing;
        Readiness {
            readable: matches!(self.reading, Reading::Open) && self.has_room(),
            writable: has_to_write && !matches!(self.writing, Writing::Failed(_)),
        }
    }

    /// Waits for one of these directions or the deadline; `None` at the deadline. Errors and hang-ups count as both
    /// directions.
    pub(super) fn wait(&self, interest: Readiness, deadline: Option<Instant>) -> io::Result<Option<Readiness>> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, interest.readable);
        flags.set(PollFlags::OUT, interest.writable);
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            // If the kernel cannot represent the time, there is no limit.
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut sockets = [PollFd::new(&self.socket, flags)];
            #[cfg(test)]
            {
                self.polls.set(self.polls.get() + 1);
                if self.is_short_for(Call::Poll) {
                    return Err(Errno::NOMEM.into());
                }
            }
            match poll(&mut sockets, timeout.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    let [socket] = sockets;
                    let ready = socket.revents();
                    let ended = ready.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
                    return Ok(Some(Readiness {
                        readable: ended || ready.contains(PollFlags::IN),
                        writable: ended || ready.contains(PollFlags::OUT),
                    }));
                }
                // A signal was handled. `poll` never resumes after one (signal(7)), and the deadline has not changed.
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Framed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framed")
            .field("socket", &self.socket)
            .field("unread", &self.inbox.unread().len())
            .field("unsent", &self.outbox.unread().len())
            .field("reading", &self.reading)
            .field("writing", &self.writing)
            .finish_non_exhaustive()
    }
}
