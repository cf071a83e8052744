//! An actor over a packet socket, before it is spawned.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use uds_socket::packet::{Socket, TwoWay};

use super::{control::Control, driver::PacketDriver, packets::Packets, turned_away::TurnedAwayLog};
use crate::{outlet::Overflow, receiver::Receiver, sender::Sender, settings::Settings, setup};

/// A packet socket that a task will own: set its bounds, then [`spawn`](Self::spawn) it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use uds_actor::{Bind, Connect, packet};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("records.sock");
/// let mut listener = Bind::path(&path).listen_seqpacket()?;
/// let here = Connect::path(&path).connect_seqpacket().await?;
/// let (there, peer) = listener.accept().await?;
/// assert_eq!(peer.pid(), Some(std::process::id()));
///
/// let (sender, _receiver, _control) = packet::Actor::new(here).spawn();
/// let (_sender, mut receiver, control) = packet::Actor::new(there).spawn();
/// sender.send(b"a record\nof two lines").await?;
/// sender.finish().await?;
/// let batch = receiver.recv_batch().await.expect("a record was sent");
/// assert_eq!(batch.get(0), Some(&b"a record\nof two lines"[..]));
/// assert!(receiver.recv_batch().await.is_none());
/// # Ok(())
/// # }
/// ```
#[must_use = "an actor does nothing until it is spawned"]
pub struct Actor<S> {
    socket: S,
    max_packet: usize,
    settings: Settings,
}

impl<S: Socket> Actor<S> {
    /// The largest packet unless another is set: 256 KiB. Send buffers of the usual size (`net.core.wmem_default`) take no
    /// packet over 212,960 bytes.
    pub const DEFAULT_MAX_PACKET: usize = 256 << 10;
    /// The outbox's bound unless another is set: 1 MiB.
    pub const DEFAULT_OUTBOX_BYTES: usize = Settings::OUTBOX_BYTES;
    /// The inbox's bound unless another is set: 1 MiB.
    pub const DEFAULT_INBOX_BYTES: usize = Settings::INBOX_BYTES;
    /// How long an abandoned connection may go on sending unless another time is set: 5 seconds.
    pub const DEFAULT_LINGER: Duration = Settings::LINGER;

    /// An actor for this socket, with the default bounds.
    pub fn new(socket: S) -> Self {
        Self { socket, max_packet: Self::DEFAULT_MAX_PACKET, settings: Settings::default() }
    }

    /// The largest packet that is received or sent, in bytes; clamped to 1 byte to 1 GiB. The kernel's limit for sending, the
    /// socket's send buffer, holds as well.
    ///
    /// Each thread of the runtime keeps one buffer of this size to receive into.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.max_packet = bytes.clamp(1, 1 << 30);
        self
    }

    /// The most memory that received packets may hold, in bytes; at the bound nothing more is read. One packet may go
    /// over, so that 0 bytes means one packet at a time.
    pub fn inbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.inbox_bytes = bytes;
        self
    }

    /// Ends the connection when nothing has arrived for this long. Time in which we do not listen, because the inbox is full or the
    /// receiver is gone, does not count. Without a timeout, a silent peer may stay.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle_timeout = Some(time);
        self
    }

    /// Gives the socket to a task of the current runtime, only to receive. If the socket could send as well, that direction is
    /// closed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn spawn_receiver(self) -> (Receiver, Control) {
        let (_sender, receiver, control) = self.start();
        (receiver, control)
    }

    fn start(self) -> (Sender, Receiver, Control) {
        let Self { socket, max_packet, settings } = self;
        socket.refuse_descriptors();
        let peer = socket.peer();
        let turned_away = Arc::new(TurnedAwayLog::default());
        let packets = Packets::new(settings.outbox_bytes, max_packet.min(socket.largest()), S::SEMANTICS);
        let driver = PacketDriver::new(socket, max_packet, settings.inbox_bytes, Arc::clone(&turned_away));
        let (sender, receiver, control) = setup::spawn(driver, packets, peer, settings);
        (sender, receiver, Control::new(control, turned_away))
    }
}

impl<S: TwoWay> Actor<S> {
    /// The most that is queued for sending, in bytes, each packet counted with 64 more; at most 2 GiB. At the bound
    /// [`Sender::send`] waits.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.outbox_bytes = bytes.min(2 << 30);
        self
    }

    /// How long the connection may go on sending what is queued when the last handle is dropped, unless a deadline was
    /// given before.
    pub fn linger(mut self, time: Duration) -> Self {
        self.settings.linger = time;
        self
    }

    /// What [`Sender::send`] does when the outbox is full; it waits unless told otherwise.
    pub fn on_full(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Sends what `packet` returns when nothing else has been sent for this long, so that the peer's idle timeout does not end
    /// the connection. It is called in the actor's task and must not block.
    pub fn keep_alive(mut self, every: Duration, packet: impl Fn() -> Bytes + Send + 'static) -> Self {
        self.settings.keep_alive = Some((every, Box::new(packet)));
        self
    }

    /// Gives the socket to a task of the current runtime and returns the handles.
    ///
    /// The task ends by [`Control::close`] or [`Control::abort`], by a broken connection, when both directions have
    /// ended, or when every handle is dropped.
    /// A peer that we no longer read from and that is gone is noticed within 5 seconds, also when nothing is sent.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    pub fn spawn(self) -> (Sender, Receiver, Control) {
        self.start()
    }
}

impl<S: fmt::Debug> fmt::Debug for Actor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").field("socket", &self.socket).finish_non_exhaustive()
    }
}
