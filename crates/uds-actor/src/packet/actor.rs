//! An actor over a packet socket, before it is spawned.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use uds_socket::packet::{Socket, TwoWay};

use super::{control::Control, driver::PacketDriver, packets::Packets, turned_away::TurnedAwayLog};
use crate::{outlet::Overflow, receiver::Receiver, sender::Sender, settings::Settings, setup};

/// A packet socket that a task will own. Set its limits, then [`spawn`](Self::spawn) it.
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
    /// The default limit for packets: 256 KiB. Send buffers of the usual size (`net.core.wmem_default`) accept no
    /// packet over 212,960 bytes.
    pub const DEFAULT_MAX_PACKET: usize = 256 << 10;
    /// The default limit of the outbox: 1 MiB.
    pub const DEFAULT_OUTBOX_BYTES: usize = Settings::OUTBOX_BYTES;
    /// The default limit of the inbox: 1 MiB.
    pub const DEFAULT_INBOX_BYTES: usize = Settings::INBOX_BYTES;
    /// The default time for which an abandoned connection may continue to send: 5 seconds.
    pub const DEFAULT_LINGER: Duration = Settings::LINGER;

    /// An actor for this socket, with the default limits.
    pub fn new(socket: S) -> Self {
        Self { socket, max_packet: Self::DEFAULT_MAX_PACKET, settings: Settings::default() }
    }

    /// The largest packet to receive or send, in bytes; clamped to 1 byte to 1 GiB. The kernel's limit for sending, the
    /// socket's send buffer, applies as well.
    ///
    /// Each thread of the runtime keeps one buffer of this size to receive into.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.max_packet = bytes.clamp(1, 1 << 30);
        self
    }

    /// How much memory received packets may hold, in bytes. At the limit, nothing more is read. One packet may exceed
    /// it, so 0 bytes means one packet at a time.
    pub fn inbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.inbox_bytes = bytes;
        self
    }

    /// Ends the connection when nothing has arrived for this long. Off by default. The timer is paused while we are not
    /// reading, because the inbox is full or the receiver is gone.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle_timeout = Some(time);
        self
    }

    /// Spawns a task that owns the socket on the current runtime and only receives. If the socket can also send, that
    /// direction is closed.
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
    /// How much may be queued for sending, in bytes, with 64 more for each packet; at most 2 GiB. At the limit,
    /// [`Sender::send`] waits.
    pub fn outbox_bytes(mut self, bytes: usize) -> Self {
        self.settings.outbox_bytes = bytes.min(2 << 30);
        self
    }

    /// How long the connection may continue to send what is queued after the last handle was dropped, unless a deadline
    /// was set before.
    pub fn linger(mut self, time: Duration) -> Self {
        self.settings.linger = time;
        self
    }

    /// What [`Sender::send`] does when the outbox is full. By default, it waits.
    pub fn on_full(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// Sends the result of `packet` when nothing else has been sent for this long, so that the peer's idle timeout does
    /// not end the connection. The actor's task calls it, so it must not block.
    pub fn keep_alive(mut self, every: Duration, packet: impl Fn() -> Bytes + Send + 'static) -> Self {
        self.settings.keep_alive = Some((every, Box::new(packet)));
        self
    }

    /// Spawns a task that owns the socket on the current runtime, and returns the handles.
    ///
    /// The task ends after [`Control::close`] or [`Control::abort`], when the connection breaks, when both directions
    /// have ended, or when every handle is dropped. If we no longer read from a peer and it goes away, the task notices
    /// within 5 seconds, even if nothing is sent.
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
