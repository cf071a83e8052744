//! The channel under tokio.

use std::{
    fmt,
    future::poll_fn,
    io,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{io::Interest, net::UnixStream};

use super::{
    codec::Codec,
    coded::Coded,
    error::{FlushError, RecvError, SendError},
    framed::Filled,
    limits::Buffers,
    readiness::Flush,
};

/// A typed channel for a program with tokio: the same messages and wire format as [`Channel`](crate::Channel), with
/// `async` calls.
///
/// ```
/// # #[cfg(feature = "json")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tokio::{net::UnixStream, time::timeout};
/// use uds_channel::{AsyncChannel, Json};
///
/// let (here, there) = UnixStream::pair()?; // or what a listener accepts
/// let mut client: AsyncChannel<String, usize, Json> = AsyncChannel::from_stream(here);
/// let mut server: AsyncChannel<usize, String, Json> = AsyncChannel::from_stream(there);
/// tokio::spawn(async move {
///     while let Ok(text) = server.recv().await {
///         server.send(&text.len()).await?;
///     }
///     Ok::<_, uds_channel::SendError>(())
/// });
///
/// client.send(&"how long?".to_owned()).await?;
/// assert_eq!(timeout(Duration::from_secs(2), client.recv()).await??, 9);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "json"))]
/// # fn main() {}
/// ```
///
/// Dropping it closes the socket. Messages that were received and not taken, and messages that were queued and not
/// written, are lost; [`into_parts`](Self::into_parts) returns both.
///
/// # Limits
///
/// See [`Buffers`]. While a call waits to write, it keeps receiving, up to the limit of the receiving buffer, so that
/// two ends that both send a lot before they receive do not block each other until that limit.
pub struct AsyncChannel<Tx: ?Sized, Rx, C> {
    /// The socket again, for readiness while the buffers are in use.
    stream: Arc<UnixStream>,
    coded: Coded<Arc<UnixStream>, C>,
    types: PhantomData<fn(&Tx) -> Rx>,
}

/// The parts of an [`AsyncChannel`], from [`AsyncChannel::into_parts`].
#[derive(Debug)]
pub struct AsyncParts<C> {
    /// The socket.
    pub stream: UnixStream,
    /// The codec.
    pub codec: C,
    /// Bytes that were received and not taken: complete frames, and possibly the beginning of one.
    pub unread: Vec<u8>,
    /// Bytes that were queued and not written: possibly the rest of a frame, and complete ones.
    pub unsent: Vec<u8>,
}

impl<Tx: ?Sized, Rx, C: Default> AsyncChannel<Tx, Rx, C> {
    /// A channel over this stream, with the default buffers.
    #[must_use]
    pub fn from_stream(stream: UnixStream) -> Self {
        Self::new(stream, C::default(), Buffers::default())
    }
}

impl<Tx: ?Sized, Rx, C> AsyncChannel<Tx, Rx, C> {
    /// A channel over this stream. From now on, the stream rejects descriptors (`SO_PASSRIGHTS`), because a channel
    /// takes messages only.
    #[must_use]
    pub fn new(stream: UnixStream, codec: C, buffers: Buffers) -> Self {
        let stream = Arc::new(stream);
        Self { coded: Coded::new(Arc::clone(&stream), codec, buffers), stream, types: PhantomData }
    }

    /// Bytes that were queued and not written yet, including length prefixes.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.coded.framed.unsent().len()
    }

    /// Bytes that were received and not taken yet, including length prefixes.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        self.coded.framed.unread().len()
    }

    /// Takes the channel apart without losing a byte.
    #[must_use]
    pub fn into_parts(self) -> AsyncParts<C> {
        let Self { stream, coded, .. } = self;
        let (second, codec, unread, unsent) = coded.into_parts();
        drop(second);
        let stream = Arc::into_inner(stream).expect("no other than these two share the socket");
        AsyncParts { stream, codec, unread, unsent }
    }
}

impl<Tx: ?Sized, Rx, C: Codec<Tx, Rx>> AsyncChannel<Tx, Rx, C> {
    /// Sends a message, and returns when the kernel has all of it.
    ///
    /// # Errors
    ///
    /// [`SendError::Encode`], [`SendError::TooLarge`], [`SendError::Finished`]; [`FlushError::Send`] if the peer has
    /// closed or is gone (you can still receive what it sent before). After [`SendError::Stalled`], the message is
    /// queued, and you must not send it again.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: if you drop the future, you do not know whether the message is queued. Use [`feed`](Self::feed)
    /// and [`flush`](Self::flush), which are cancel safe. A message is never torn: what is queued goes out completely
    /// with the next call.
    pub async fn send(&mut self, message: &Tx) -> Result<(), SendError> {
        self.feed(message).await?;
        self.flush().await.map_err(|error| error.once_queued(self.unsent_bytes()))
    }

    /// Queues a message as soon as the sending buffer has room. [`flush`](Self::flush) writes it.
    ///
    /// # Errors
    ///
    /// See [`send`](Self::send). Nothing is queued.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has queued nothing.
    pub async fn feed(&mut self, message: &Tx) -> Result<(), SendError> {
        loop {
            match self.coded.queue(message) {
                Err(SendError::Full { queued, .. }) => {
                    poll_fn(|cx| self.poll_write(cx, |left| left < queued)).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits until everything that is queued has been handed to the kernel.
    ///
    /// # Errors
    ///
    /// [`FlushError::Send`]; [`FlushError::Wait`] when the runtime is shutting down.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what is left stays queued.
    pub async fn flush(&mut self) -> Result<(), FlushError> {
        poll_fn(|cx| self.poll_write(cx, |left| left == 0)).await
    }

    /// Writes what is queued, and closes our direction (`shutdown(2)`). The peer sees the end of the stream. You can
    /// still receive what it sends.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. Once polled, the channel accepts no further message, and the next call continues with what is left.
    pub async fn finish(&mut self) -> Result<(), FlushError> {
        self.coded.framed.finish();
        self.flush().await
    }

    /// Waits for the next message. Writes what is queued in the meantime, because the peer may be waiting for it.
    ///
    /// # Errors
    ///
    /// [`RecvError::Decode`], for this message only. [`RecvError::Ended`], [`RecvError::Truncated`],
    /// [`RecvError::Malformed`] and [`RecvError::Receive`] if no more messages will come. Messages that arrived before
    /// are returned first, and later calls return the same error. [`RecvError::Wait`] if the
    /// runtime is shutting down. If the kernel lacks memory, a `Receive` that [you can retry](RecvError::is_retryable).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken no message, and the beginning of one stays buffered.
    pub async fn recv(&mut self) -> Result<Rx, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Rx, RecvError>> {
        if self.unsent_bytes() > 0 {
            // A receiver does not need this error. The next call that sends returns it.
            let _ = self.poll_write(cx, |left| left == 0);
        }
        loop {
            if let Some(message) = self.coded.decode_next()? {
                return Poll::Ready(Ok(message));
            }
            match ready!(self.poll_fill(cx)?) {
                Filled::Full => unreachable!("a buffer has room for a message that its limit allows"),
                Filled::Bytes | Filled::WouldBlock | Filled::Over => {}
            }
        }
    }

    /// Reads once. `Pending` means that the task will be woken when there is more.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, RecvError>> {
        let framed = &mut self.coded.framed;
        // There is no readiness to wait for if the stream has ended or if there is no room.
        while framed.interest().readable {
            ready!(self.stream.poll_read_ready(cx)).map_err(|source| RecvError::Wait { source })?;
            let mut filled = Ok(Filled::WouldBlock);
            // This clears the readiness from before the read, so that no later event is lost.
            let _ = self.stream.try_io(Interest::READABLE, || {
                filled = framed.fill_for_message();
                if matches!(filled, Ok(Filled::WouldBlock)) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
            });
            if !matches!(filled, Ok(Filled::WouldBlock)) {
                return Poll::Ready(filled);
            }
        }
        Poll::Ready(framed.fill_for_message())
    }

    /// Writes until `is_enough` returns true for the rest of the queue, and receives while it waits.
    fn poll_write(&mut self, cx: &mut Context<'_>, is_enough: impl Fn(usize) -> bool) -> Poll<Result<(), FlushError>> {
        loop {
            if self.stream.poll_write_ready(cx).map_err(|source| FlushError::Wait { source })?.is_pending() {
                while self.coded.framed.interest().readable
                    && let Poll::Ready(Ok(Filled::Bytes)) = self.poll_fill(cx)
                {}
                return Poll::Pending;
            }
            let framed = &mut self.coded.framed;
            let mut flushed = Ok(Flush::Pending { bytes: framed.unsent().len() });
            let _ = self.stream.try_io(Interest::WRITABLE, || {
                flushed = framed.write();
                if matches!(flushed, Ok(Flush::Pending { .. })) {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match flushed? {
                Flush::Done => return Poll::Ready(Ok(())),
                Flush::Pending { bytes } if is_enough(bytes) => return Poll::Ready(Ok(())),
                Flush::Pending { .. } => {}
            }
        }
    }
}

impl<Tx: ?Sized, Rx, C> AsFd for AsyncChannel<Tx, Rx, C> {
    /// The socket, for identifying the peer ([`Peer::of`](uds_socket::Peer::of)). Do not read from it or write to it:
    /// that would break the framing.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl<Tx: ?Sized, Rx, C> fmt::Debug for AsyncChannel<Tx, Rx, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncChannel").field("framed", &self.coded.framed).finish_non_exhaustive()
    }
}
