//! The loop that owns one stream and moves frames between it and a [`Mux`].
//!
//! Handles put requests into the mux directly, under a lock held for the length of an encode, and wake the loop; the loop
//! takes everything queued at once, so a burst of calls is one write. Replies are matched under the same lock and handed
//! to their callers outside of it.

use std::{
    collections::VecDeque,
    fmt,
    future::{pending, poll_fn},
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
};

use frame_codec::{Framing, Intake, Pump, PumpEvent};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    error::Fault,
    limits::Limits,
    mux::{Account, Mux, Output, OutputOf},
    protocol::{Call, Protocol},
};

mod handle;

use handle::{Answers, Room, Shared};
pub use handle::{Handle, Pending};

/// Owns a stream and drives the calls made on its [`Handle`]s.
///
/// It is a loop turned inside out: whoever has timers or events of its own to look after calls [`next`](Self::next) in a
/// `select!`; whoever has none calls [`drive`]. When the driver is dropped — also by a runtime that shuts down — every
/// call that still waits fails, so no caller hangs.
pub struct Driver<S, F, P: Protocol> {
    pump: Pump<S, F>,
    shared: Arc<Shared<P>>,
    /// What arrived and was not given out yet, in the order of arrival.
    outputs: VecDeque<OutputOf<P, Answers<P>>>,
    progress: Progress,
    /// Counters of the encoder as of the last look.
    seen: frame_codec::Written,
    write_error: Option<io::Error>,
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
    /// Notes how the connection ended, unless that is known already.
    fn note(&mut self, end: End<E>) {
        if matches!(self, Self::Running) {
            *self = Self::Found(end);
        }
    }
}

/// What [`Driver::next`] has to say.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step<Event, E: std::error::Error + 'static> {
    /// Bytes moved, and the replies among them are with their callers.
    Progress(Progress),
    /// The peer said something unasked. Replies that came after it wait until `next` is called again, so that a caller
    /// sees both in the order in which the peer sent them.
    Event(Event),
    /// The last handle is gone. Calls that were made go on; told once.
    HungUp,
    /// Nothing more will come. Calls that wait fail when the driver is dropped, or told to
    /// [`disconnect`](Driver::disconnect).
    End(End<E>),
}

/// In which directions bytes moved since the last [`Step::Progress`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Whole frames arrived.
    pub received: bool,
    /// Bytes were handed to the stream.
    pub sent: bool,
}

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum End<E: std::error::Error + 'static> {
    /// The last handle was dropped and every call had its reply.
    #[error("nobody uses the connection any more")]
    HungUp,
    /// The peer closed the connection.
    #[error("the peer closed the connection ({truncated} bytes of an incomplete frame were left)")]
    Closed {
        /// Bytes of a frame that was not complete; 0 when the peer closed between frames.
        truncated: usize,
    },
    /// Reading failed.
    #[error("reading failed")]
    ReadFailed {
        /// Why.
        #[source]
        source: io::Error,
        /// Bytes of a frame that was not complete.
        truncated: usize,
    },
    /// Writing failed, and no call waits for a reply to what was written before.
    #[error("writing failed")]
    WriteFailed(#[source] io::Error),
    /// The peer broke the framing.
    #[error("the peer broke the framing")]
    Malformed(#[source] frame_codec::Error),
    /// The peer broke the order of replies.
    #[error("the peer broke the protocol")]
    Fault(#[source] Fault<E>),
    /// A request was encoded that the framing cannot carry: a mistake of this side.
    #[error("a request does not fit the framing")]
    Unsendable(#[source] frame_codec::Error),
}

impl<S, F, P> Driver<S, F, P>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Framing + Clone,
    P: Protocol,
{
    /// A driver for a stream on which nothing was said yet, and the first handle to it.
    ///
    /// `frames` bounds what the peer may send in one frame; `limits` bounds what callers may ask. A request larger than
    /// a frame may be is refused, whatever `limits` says.
    pub fn new(stream: S, framing: F, frames: frame_codec::Limits, protocol: P, limits: Limits) -> (Self, Handle<P>) {
        let limits = limits.with_max_request(limits.max_request().min(frames.max_frame()));
        let shared = Arc::new(Shared::new(Mux::new(protocol, limits)));
        let driver = Self {
            pump: Pump::new(stream, framing, frames),
            shared: Arc::clone(&shared),
            outputs: VecDeque::new(),
            progress: Progress::default(),
            seen: frame_codec::Written::default(),
            write_error: None,
            end: Ending::Running,
            told_hung_up: false,
        };
        (driver, Handle::new(shared))
    }
}

impl<S, F, P> Driver<S, F, P>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Framing,
    P: Protocol,
{
    /// Moves bytes and gives replies to their callers, until there is something to tell.
    ///
    /// After [`Step::End`] it never returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: bytes, replies and events that were taken in are kept for the next call.
    pub async fn next(&mut self) -> Step<P::Event, P::Error> {
        loop {
            if let Some(event) = self.deliver() {
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
            if !self.told_hung_up && self.shared.hung_up.load(Ordering::Acquire) {
                self.told_hung_up = true;
                return Step::HungUp;
            }
            self.collect();
            // Woken without an event: a request was queued, or the last handle went.
            if let Some(event) = self.wait().await {
                self.handle(event);
            }
        }
    }

    /// Gives answers to their callers, up to the first event.
    fn deliver(&mut self) -> Option<P::Event> {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Event(event) => return Some(event),
                // A caller that has gone does not want its answer any more.
                Output::Answer { waiter, result } => drop(waiter.send(result)),
            }
        }
        None
    }

    /// Puts everything queued into the encoder.
    fn collect(&mut self) {
        let mut mux = self.shared.lock();
        while let Some(frame) = mux.poll_transmit() {
            if let Err(error) = self.pump.encoder().push(frame) {
                self.end.note(End::Unsendable(error));
                mux.handle_write_closed();
            }
        }
    }

    /// Waits for the stream, or for a handle to do something.
    async fn wait(&mut self) -> Option<PumpEvent> {
        if !matches!(self.end, Ending::Running) {
            return None;
        }
        let mut woken = pin!(self.shared.wake.notified());
        poll_fn(|cx| match self.pump.poll_next(cx, Intake::Open) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => {
                self.pump.release();
                woken.as_mut().poll(cx).map(|()| None)
            }
        })
        .await
    }

    fn handle(&mut self, event: PumpEvent) {
        let mut mux = self.shared.lock();
        Self::note_written(&mut self.pump, &mut self.seen, &mut self.progress, &mut mux);
        match event {
            PumpEvent::Batch(batch) => {
                self.progress.received = true;
                if let Some(fault) = batch.iter().find_map(|frame| mux.handle_frame(frame).err()) {
                    self.end.note(End::Fault(fault));
                }
            }
            PumpEvent::WriteFailed(error) => {
                mux.handle_write_closed();
                self.write_error = Some(error);
            }
            PumpEvent::End(frame_codec::End::Eof { truncated }) => self.end.note(End::Closed { truncated }),
            PumpEvent::End(frame_codec::End::Failed { error, truncated }) => {
                self.end.note(End::ReadFailed { source: error, truncated });
            }
            PumpEvent::End(frame_codec::End::Malformed { error, .. }) => self.end.note(End::Malformed(error)),
            _ => {} // drained: the account has seen to it
        }
        self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        if mux.waiting() == 0
            && let Some(error) = self.write_error.take()
        {
            self.end.note(End::WriteFailed(error));
        }
    }
}

impl<S, F, P: Protocol> Driver<S, F, P> {
    /// Tells the mux which requests the stream has taken to their last byte.
    fn note_written(
        pump: &mut Pump<S, F>,
        seen: &mut frame_codec::Written,
        progress: &mut Progress,
        mux: &mut Mux<P, Answers<P>>,
    ) {
        let written = pump.encoder().written();
        let frames = written.frames - seen.frames;
        mux.handle_sent(usize::try_from(frames).unwrap_or(usize::MAX));
        progress.sent |= written.bytes > seen.bytes;
        *seen = written;
    }

    /// Makes a call of the driver's own — a ping, say. Unlike a [`Handle`], this keeps nobody from hanging up, and it
    /// is admitted although the limits are reached: what keeps a connection going must not wait for what goes over it.
    pub fn call<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.shared, call, Room::Reserved, false)
    }

    /// Makes the last call; see [`Handle::call_last`].
    pub fn call_last<C: Call<Protocol = P>>(&self, call: &C) -> Pending<P, C::Reply> {
        Shared::queue(&self.shared, call, Room::Reserved, true)
    }

    /// What became of the calls so far.
    pub fn account(&self) -> Account {
        self.shared.lock().account()
    }

    /// Fails every call that waits, and every later one. Dropping the driver does the same.
    pub fn disconnect(&mut self) {
        {
            let mut mux = self.shared.lock();
            Self::note_written(&mut self.pump, &mut self.seen, &mut self.progress, &mut mux);
            mux.handle_disconnect();
            self.outputs.extend(std::iter::from_fn(|| mux.poll_output()));
        }
        for output in self.outputs.drain(..) {
            if let Output::Answer { waiter, result } = output {
                // A caller that has gone does not want its answer any more.
                drop(waiter.send(result));
            }
        }
    }

    /// The stream, for asking it things.
    pub const fn stream(&self) -> &S {
        self.pump.stream()
    }
}

impl<S, F, P: Protocol> Drop for Driver<S, F, P> {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl<S, F, P: Protocol> fmt::Debug for Driver<S, F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("mux", &*self.shared.lock()).field("end", &self.end).finish_non_exhaustive()
    }
}

/// Drives a connection to its end, giving events to `on_event` between the replies they came between.
///
/// It ends when the connection does; or when the last handle is gone and every call has its reply.
///
/// # Cancel safety
///
/// Dropping the future drops the connection: every call that waits fails.
pub async fn drive<S, F, P>(mut driver: Driver<S, F, P>, mut on_event: impl FnMut(P::Event)) -> End<P::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Framing,
    P: Protocol,
{
    let mut hung_up = false;
    loop {
        if hung_up && driver.shared.lock().waiting() == 0 {
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
