//! An actor over a stream, before it is spawned.

use std::{fmt, time::Duration};

use bytes::Bytes;
use frame_codec::{Framing, Limits};

use crate::{
    control::Control,
    outlet::Overflow,
    receiver::Receiver,
    sender::Sender,
    settings::{Settings, Sign},
    setup,
    stream::{ancillary::Ancillary, driver::StreamDriver, frames::Frames},
    transport::Transport,
};

/// A connection that a task will own. Set its limits, then [`spawn`](Self::spawn) it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use frame_codec::Delimited;
/// use tokio::net::UnixStream;
/// use uds_actor::Actor;
///
/// let (here, there) = UnixStream::pair()?;
/// let (sender, _receiver, control) = Actor::new(here, Delimited::lines()).outbox_bytes(64 << 10).spawn();
/// let (_, mut receiver, _there) = Actor::new(there, Delimited::lines()).spawn();
///
/// sender.send(b"hello").await?;
/// let batch = receiver.recv_batch().await.expect("a line was sent");
/// assert_eq!(batch.get(0), Some(&b"hello"[..]));
///
/// let report = control.close(Duration::from_secs(1)).await;
/// assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (1, 0));
/// # Ok(())
/// # }
/// ```
#[must_use = "an actor does nothing until it is spawned"]
pub struct Actor<T, F> {
    stream: T,
    framing: F,
    limits: Limits,
    settings: Settings,
}

impl<T: Transport, F: Framing + Clone + Send + 'static> Actor<T, F> {
    /// The default limit of the outbox: 1 MiB.
    pub const DEFAULT_OUTBOX_BYTES: usize = Settings::OUTBOX_BYTES;
    /// The default limit of the inbox: 1 MiB.
    pub const DEFAULT_INBOX_BYTES: usize = Settings::INBOX_BYTES;
    /// The default time for which an abandoned connection may continue to write: 5 seconds.
    pub const DEFAULT_LINGER: Duration = Settings::LINGER;

    /// An actor for this stream, with the default limits.
    pub fn new(stream: T, framing: F) -> Self {
        Self { stream, framing, limits: Limits::default(), settings: Settings::default() }
    }

    /// The limits of single frames, in both directions.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How much may be queued for writing, in bytes including framing; at most 2 GiB. At the limit, [`Sender::send`]
    /// waits.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.outbox_bytes = bytes;
        self
    }

    /// How much memory received frames may hold, in bytes. At the limit, nothing more is read. One read may exceed it,
    /// so 0 bytes means one read at a time.
    pub fn inbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.inbox_bytes = bytes;
        self
    }

    /// How long the connection may continue to write what is queued after the last handle was dropped, unless a
    /// deadline was set before.
    pub fn linger(mut self, time: Duration) -> Self {
        self.settings.linger = time;
        self
    }

    /// What [`Sender::send`] does when the outbox is full. By default, it waits.
    pub fn on_full(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Ends the connection when the peer has sent no byte for this long. Off by default. The timer is paused while we
    /// are not reading, because the inbox is full or the receiver is gone.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle_timeout = Some(time);
        self
    }

    /// Ends the connection when the peer accepts nothing for this long while data waits to be written. Off by default.
    /// The kernel frees its buffer in blocks of up to about 36 KiB, so a peer that needs longer than this to read one
    /// block counts as stalled. (For a stream that is not a Unix socket, or that passes descriptors, progress means
    /// that it reports room for more.)
    pub fn stall_timeout(mut self, time: Duration) -> Self {
        self.settings.stall_timeout = Some(time);
        self
    }

    /// Sends the result of `frame` when nothing else has been sent for this long, so that the peer's idle timeout does
    /// not end the connection. The actor's task calls it, so it must not block.
    pub fn keep_alive(mut self, every: Duration, frame: impl Fn() -> Bytes + Send + 'static) -> Self {
        self.settings.keep_alive = Some((every, Box::new(frame)));
        self
    }

    /// Spawns a task that owns the stream on the current runtime, and returns the handles.
    ///
    /// The task ends after [`Control::close`] or [`Control::abort`], when the connection breaks, when both directions
    /// have ended, or when every handle is dropped. If we no longer read from a peer and it goes away, the task notices
    /// within 5 seconds, even if nothing is sent.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn spawn(self) -> (Sender, Receiver, Control) {
        self.spawn_with(())
    }

    /// Spawns the actor with data that accompanies the bytes.
    pub(crate) fn spawn_with(self, ancillary: impl Ancillary) -> (Sender, Receiver, Control) {
        let Self { stream, framing, limits, settings } = self;
        let stream = stream.into_stream();
        let peer = T::peer(&stream);
        let frames = Frames::new(framing.clone(), limits, settings.outbox_bytes, T::writer(&stream));
        let driver = StreamDriver::<T, F, _>::new(stream, framing, limits, ancillary);
        setup::spawn(driver, frames, peer, settings)
    }
}

impl<T, F> Actor<T, F> {
    /// The same actor over another stream, with these limits, and with `mark` applied to its keep-alive frames.
    pub(crate) fn over<U>(
        self,
        carry: impl FnOnce(T) -> U,
        limits: impl FnOnce(Limits) -> Limits,
        mark: fn(&[u8]) -> Bytes,
    ) -> Actor<U, F> {
        let keep_alive = self.settings.keep_alive.map(|(every, sign)| {
            let marked: Sign = Box::new(move || mark(&sign()));
            (every, marked)
        });
        Actor {
            stream: carry(self.stream),
            framing: self.framing,
            limits: limits(self.limits),
            settings: Settings { keep_alive, ..self.settings },
        }
    }
}

impl<T: fmt::Debug, F: fmt::Debug> fmt::Debug for Actor<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("stream", &self.stream).field("framing", &self.framing).finish_non_exhaustive()
    }
}
