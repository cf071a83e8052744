//! The loop that owns one stream and moves frames between it and a [`Mux`].
//!
//! Handles put requests into the mux directly, under a lock that is held while the request is encoded, and wake the
//! loop. The loop takes everything queued at once, so a burst of calls is one write. Replies are matched under the same
//! lock, handed to their callers outside it, and decoded by the callers.

use std::{
    fmt,
    future::{pending, poll_fn},
    io,
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::Poll,
    time::Instant,
};

use bytes::Bytes;
use frame_codec::{Intake, Pump, PumpEvent};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Sleep, sleep_until},
};

use crate::{
    error::Fault,
    limits::Limits,
    options::{Options, Unsent},
    protocol::{Call, Protocol},
    report::Report,
};

mod detached;
mod handle;
mod pending;
#[cfg(feature = "tower")]
mod service;
mod shared;
mod wire;

pub use detached::Detached;
pub use handle::Handle;
pub use pending::Pending;
#[cfg(feature = "tower")]
pub use service::Service;
use shared::Shared;
use wire::{Piece, Wire};

/// Bytes that may be taken from the multiplexer and not written yet. Bytes that are taken go before everything else,
/// even before later urgent calls.
const TAKEN: usize = 256 << 10;

/// Owns a stream and drives the calls made on its [`Handle`]s.
///
/// The driver has no loop of its own. If you have timers or events, call [`next`](Self::next) in a `select!`; otherwise
/// use [`drive`]. When the driver is dropped, even by a runtime that shuts down, every pending call fails, so no caller
/// hangs. To continue on another connection, call [`detach`](Self::detach) and [`Detached::attach`].
///
/// # Panics
///
/// Calls with a deadline need the runtime's timer: [`next`](Self::next) panics in a runtime that has none.
pub struct Driver<S, P: Protocol> {
    pump: Pump<S, Wire>,
    wire: Wire,
    detached: Detached<P>,
    progress: Progress,
    /// The value of the written-bytes counter when the mux was last told.
    written: u64,
    /// The number of frames that have arrived.
    frames: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// The next deadline.
    due: Option<Instant>,
    write_error: Option<io::Error>,
    unsent: Unsent,
    end: Ending<P::Error>,
    told_hung_up: bool,
}

/// ```text
///   Running ──End found──► Found ──next()──► Told
/// ```
#[derive(Debug)]
enum Ending<E: std::error::Error + 'static> {
    Running,
    Found(End<E>),
    Told,
}

impl<E: std::error::Error + 'static> Ending<E> {
    /// Records how the connection ended, unless that is known already.
    fn note(&mut self, end: End<E>) {
        if matches!(self, Self::Running) {
            *self = Self::Found(end);
        }
    }
}

/// What [`Driver::next`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step<Event, E: std::error::Error + 'static> {
    /// Bytes moved, and the replies among them are with their callers.
    Progress(Progress),
    /// The peer sent something without a request. Replies that came after it wait until you call `next` again, so that
    /// a caller sees both in the order in which the peer sent them.
    Event(Event),
    /// The last handle is gone. Pending calls continue. Returned once.
    HungUp,
    /// Nothing more will come on this connection. Pending calls fail when the driver is dropped or
    /// [disconnected](Driver::disconnect); [`detach`](Driver::detach) can keep those that were not sent.
    End(End<E>),
}

/// In which directions bytes moved since the last [`Step::Progress`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Complete frames arrived.
    pub received: bool,
    /// Bytes were handed to the stream.
    pub sent: bool,
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End<E: std::error::Error + 'static> {
    /// The last handle was dropped and every call had its reply.
    #[error("nothing uses the connection any more")]
    HungUp,
    /// The peer closed the connection.
    #[error("the peer closed the connection ({truncated} bytes of an incomplete frame were left)")]
    Closed {
        /// Bytes of an incomplete frame; 0 if the peer closed between frames.
        truncated: usize,
    },
    /// Reading failed.
    #[error("reading failed")]
    ReadFailed {
        /// Why.
        #[source]
        source: io::Error,
        /// Bytes of an incomplete frame.
        truncated: usize,
    },
    /// Writing failed, and no call is waiting for a reply to an earlier write.
    #[error("writing failed")]
    WriteFailed(#[source] io::Error),
    /// The peer broke the framing.
    #[error("the peer broke the framing")]
    Malformed(#[source] frame_codec::DecodeError),
    /// The peer broke the protocol.
    #[error("the peer broke the protocol")]
    Fault(#[source] Fault<E>),
}

impl<S, P> Driver<S, P>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Protocol,
{
    /// A driver for a stream that has not been used yet, and the first handle to it.
    ///
    /// `frames` bounds what the peer may send in one frame; `limits` bounds what callers may request. A request larger
    /// than the largest frame is rejected, whatever `limits` says.
    pub fn new(
        stream: S,
        framing: impl frame_codec::Framing + Send + Sync + 'static,
        frames: frame_codec::Limits,
        protocol: P,
        limits: Limits,
    ) -> (Self, Handle<P>) {
        let (detached, handle) = Detached::new(framing, protocol, limits);
        (detached.attach(stream, frames), handle)
    }

    /// Sets what happens to calls that were not sent if writing fails while reading continues. By default they fail.
    #[must_use]
    pub const fn with_unsent(mut self, unsent: Unsent) -> Self {
        self.unsent = unsent;
        self
    }

    fn begin(stream: S, frames: frame_codec::Limits, detached: Detached<P>) -> Self {
        let wire = {
            let mut mux = detached.shared.lock();
            mux.set_limits(detached.limits.with_max_request(detached.limits.max_request().min(frames.max_frame())));
            mux.handle_connect();
            Wire::new(mux.framing(), frames.max_frame(), P::SKIP)
        };
        // The wire keeps the limit, so that it can skip what is over it.
        let frames = frames.with_max_frame(frame_codec::Limits::LARGEST_MAX_FRAME);
        Self {
            pump: Pump::new(stream, wire.clone(), frames),
            wire,
            detached,
            progress: Progress::default(),
            written: 0,
            frames: 0,
            timer: None,
            due: None,
            write_error: None,
            unsent: Unsent::Fail,
            end: Ending::Running,
            told_hung_up: false,
        }
    }

    /// Moves bytes and gives replies to their callers until there is a step to return.
    ///
    /// After [`Step::End`] it never returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: bytes, replies and events that were taken in are kept for the next call.
    pub async fn next(&mut self) -> Step<P::Event, P::Error> {
        loop {
            if let Some(event) = self.detached.deliver() {
                return Step::Event(event);
            }
            if self.progress != Progress::default() {
                return Step::Progress(std::mem::take(&mut self.progress));
            }
            match std::mem::replace(&mut self.end, Ending::Told) {
                Ending::Running => self.end = Ending::Running,
                Ending::Found(end) => return Step::End(end),
                Ending::Told => pending().await,
            }
            if !self.told_hung_up && self.detached.shared.hung_up.load(Ordering::Acquire) {
                self.told_hung_up = true;
                return Step::HungUp;
            }
            self.collect();
            match self.wait().await {
                Woken::Stream(event) => self.handle(event),
                Woken::Deadline => self.handle_timeout(),
                // A request was queued, the last handle went, or bytes were written. The code above handles all of
                // these.
                Woken::Other => {}
            }
        }
    }

    /// Puts what is queued into the encoder, as long as the stream takes it.
    fn collect(&mut self) {
        let mut mux = self.detached.shared.lock();
        self.due = mux.poll_timeout();
        while self.pump.encoder().pending_bytes() < TAKEN
            && let Some(block) = mux.poll_transmit()
        {
            push(&mut self.pump, block);
        }
    }

    /// Waits for the stream, for a deadline, or for a handle to do something.
    async fn wait(&mut self) -> Woken {
        if !matches!(self.end, Ending::Running) {
            return Woken::Other;
        }
        if let Some(due) = self.due.map(tokio::time::Instant::from_std) {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
        }
        let Self { pump, detached, written, progress, timer, due, .. } = self;
        let shared = &*detached.shared;
        let mut woken = pin!(shared.wake.notified());
        poll_fn(|cx| {
            // The stream first: a reply that has arrived is not late.
            let event = pump.poll_next(cx, Intake::Open);
            let total = pump.encoder().written().bytes;
            if total > *written {
                let more = usize::try_from(total - *written).unwrap_or(usize::MAX);
                *written = total;
                progress.sent = true;
                shared.lock().handle_written(more);
                shared.room.wake_all();
            }
            if let Poll::Ready(event) = event {
                return Poll::Ready(Woken::Stream(event));
            }
            let timer = timer.as_mut().filter(|_| due.is_some());
            if timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Woken::Deadline);
            }
            if progress.sent || woken.as_mut().poll(cx).is_ready() { Poll::Ready(Woken::Other) } else { Poll::Pending }
        })
        .await
    }

    fn handle(&mut self, event: PumpEvent) {
        let Detached { shared, outputs, .. } = &mut self.detached;
        let mut mux = shared.lock();
        match event {
            PumpEvent::Batch(batch) => {
                for frame in batch {
                    let number = self.frames;
                    self.frames += 1;
                    let outcome = match self.wire.piece(number) {
                        None => mux.handle_frame(frame),
                        Some(Piece::Head { len }) => mux.handle_skipped(&frame, len, self.wire.max_frame()),
                        Some(Piece::Rest) => continue,
                    };
                    self.progress.received = true;
                    if let Err(fault) = outcome {
                        self.end.note(End::Fault(fault));
                        break;
                    }
                }
            }
            PumpEvent::WriteFailed(error) => {
                mux.handle_write_closed(self.unsent);
                self.write_error = Some(error);
            }
            PumpEvent::End(frame_codec::End::Eof { truncated }) => {
                self.end.note(End::Closed { truncated: truncated + self.wire.unfinished() });
            }
            PumpEvent::End(frame_codec::End::Failed { error, truncated }) => {
                self.end.note(End::ReadFailed { source: error, truncated: truncated + self.wire.unfinished() });
            }
            PumpEvent::End(frame_codec::End::Malformed { error, .. }) => self.end.note(End::Malformed(error)),
            _ => {} // drained: the written bytes are already noted
        }
        outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        if self.write_error.is_some()
            && mux.in_flight() == 0
            && let Some(error) = self.write_error.take()
        {
            self.end.note(End::WriteFailed(error));
        }
        drop(mux);
        shared.room.wake_all();
    }

    fn handle_timeout(&mut self) {
        let Detached { shared, outputs, .. } = &mut self.detached;
        let mut mux = shared.lock();
        mux.handle_timeout(tokio::time::Instant::now().into_std());
        if let Some(rest) = mux.recall() {
            let encoder = self.pump.encoder();
            let pending = encoder.pending_bytes();
            encoder.consume(pending);
            self.written += pending as u64;
            push(&mut self.pump, rest);
        }
        outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        drop(mux);
        shared.room.wake_all();
    }
}

/// Why the driver continues.
enum Woken {
    Stream(PumpEvent),
    Deadline,
    Other,
}

/// Hands framed bytes to the encoder.
fn push<S: AsyncRead + AsyncWrite + Unpin>(pump: &mut Pump<S, Wire>, mut block: Bytes) {
    while !block.is_empty() {
        let piece = block.split_to(block.len().min(frame_codec::Limits::LARGEST_MAX_FRAME));
        pump.encoder()
            .push_shared(piece)
            .expect("bytes without an envelope, within the largest limit, are always taken");
    }
}

impl<S, P: Protocol> Driver<S, P> {
    /// Makes a call of the driver's own, such as a ping. Unlike a call on a [`Handle`], it is admitted even at the
    /// limits: traffic on a connection must not keep out the calls that keep it alive.
    pub fn call<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        self.call_with(call, Options::new())
    }

    /// Like [`call`](Self::call), with a place in the order and a deadline.
    pub fn call_with<C: Call<Protocol = P>>(&self, call: &C, options: Options) -> Pending<P, C::Reply> {
        Shared::queue(&self.detached.shared, call, options.beyond_limits(), false)
    }

    /// Makes the last call; see [`Handle::call_last`].
    pub fn call_last<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.detached.shared, call, Options::new().beyond_limits(), true)
    }

    /// Changes the protocol's state; see [`Handle::with_protocol_mut`].
    pub fn with_protocol_mut<T>(&self, change: impl FnOnce(&mut P) -> T) -> T {
        change(self.detached.shared.lock().protocol_mut())
    }

    /// What has happened to the calls so far.
    pub fn report(&self) -> Report {
        self.detached.shared.lock().report()
    }

    /// Fails every pending call and every later one. Dropping the driver does the same.
    pub fn disconnect(&mut self) {
        self.detached.end(Unsent::Fail);
    }

    /// Ends this connection: the stream is dropped, calls that were sent fail, and `unsent` decides about the others.
    /// Handles stay, and so does everything else that does not belong to the connection.
    pub fn detach(mut self, unsent: Unsent) -> Detached<P> {
        self.detached.end(unsent);
        self.detached
    }

    /// Bytes read from the stream so far, including those of incomplete frames.
    pub const fn bytes_read(&self) -> u64 {
        self.pump.bytes_read()
    }

    /// Releases memory that holds nothing. Call it when nothing has moved on the connection for a while.
    pub fn release(&mut self) {
        self.pump.release();
    }

    /// The stream, for queries.
    pub const fn stream(&self) -> &S {
        self.pump.stream()
    }
}

impl<S, P: Protocol> fmt::Debug for Driver<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("calls", &self.detached).field("end", &self.end).finish_non_exhaustive()
    }
}

/// Drives a connection to its end, and passes events to `on_event` in the order in which they came between replies.
///
/// It ends when the connection ends, or when the last handle is gone and every call has its reply.
///
/// # Cancel safety
///
/// Dropping the future drops the connection, and every pending call fails.
pub async fn drive<S, P>(mut driver: Driver<S, P>, mut on_event: impl FnMut(P::Event)) -> End<P::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: Protocol,
{
    let mut hung_up = false;
    loop {
        if hung_up && driver.detached.shared.lock().waiting() == 0 {
            return End::HungUp;
        }
        match driver.next().await {
            Step::Event(event) => on_event(event),
            Step::HungUp => hung_up = true,
            Step::End(end) => return end,
            Step::Progress(_) => {}
        }
    }
}
