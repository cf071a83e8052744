//! What an actor needs of a stream.

use std::{fmt, io, io::IoSlice, sync::Arc};

use frame_codec::Batch;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::{Peer, Reason, fds, socket::Socket};

mod owned;

pub use owned::Owned;

/// A stream that an actor can own.
///
/// Reading and writing are tokio's own traits; this adds what only a socket can do and tell. A Unix stream is a transport
/// as it is, anything else becomes one through [`Owned`].
pub trait Transport: Send + 'static {
    /// The stream as the actor drives it.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Gives the stream to the actor.
    fn into_stream(self) -> Self::Stream;

    /// Who is at the other end, if the kernel vouches for it.
    fn peer(stream: &Self::Stream) -> Option<Peer>;

    /// Whether the kernel holds something to read at this moment: bytes, or the end of the stream.
    ///
    /// The runtime learns of readiness a little later than the kernel; who must know that nothing is left asks the kernel.
    /// A stream that cannot tell says no.
    fn has_unread(stream: &Self::Stream) -> bool;

    /// Whether the peer has closed both directions, so that nothing written can be read by anybody. A stream that cannot
    /// tell says no, and the next write finds out.
    fn is_hung_up(stream: &Self::Stream) -> bool;

    /// Whether nothing is read right now because our own side has not taken what the transport brought beside the bytes. The
    /// peer is then not to blame for silence.
    fn is_full(stream: &Self::Stream) -> bool {
        let _ = stream;
        false
    }

    /// Looks at frames as they arrive, for a transport that brings something beside the bytes which must fit them: gives
    /// back those to be delivered and, when the connection cannot go on behind them, why.
    ///
    /// The block that the batch was cut from ends at this offset of the stream.
    fn sort(stream: &Self::Stream, batch: Batch, end: u64) -> (Batch, Option<Reason>) {
        let _ = (stream, end);
        (batch, None)
    }

    /// The account of what a transport carried beside the bytes, at the end: of these frames no byte was written. They are
    /// given back as their sender knew them.
    fn report(stream: &Self::Stream, unsent: Batch) -> (Batch, Option<fds::Report>) {
        let _ = stream;
        (unsent, None)
    }

    /// A way to write while somebody else owns the stream, if it has one: a lone message then needs no turn of the actor.
    fn writer(stream: &Self::Stream) -> Option<Arc<dyn WriteShared>>;
}

/// Writes from a shared reference, without waiting.
pub trait WriteShared: Send + Sync + fmt::Debug {
    /// Writes what the kernel takes now.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if that is nothing, and whatever the system says.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Transport for UnixStream {
    type Stream = Socket;

    fn into_stream(self) -> Socket {
        Socket::new(self)
    }

    fn peer(stream: &Socket) -> Option<Peer> {
        stream.peer()
    }

    fn has_unread(stream: &Socket) -> bool {
        stream.has_unread()
    }

    fn is_hung_up(stream: &Socket) -> bool {
        stream.is_hung_up()
    }

    fn writer(stream: &Socket) -> Option<Arc<dyn WriteShared>> {
        Some(stream.writer())
    }
}
