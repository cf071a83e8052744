//! What an actor needs from a stream.

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::{Peer, stream::socket::Socket, write_shared::WriteShared};

/// A stream that an actor can own.
///
/// Reading and writing use tokio's own traits. This trait adds what only a socket can do. A Unix stream is a transport
/// itself; wrap any other stream in [`Owned`](crate::Owned).
pub trait Transport: Send + 'static {
    /// The stream in the form that the actor uses.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Converts the stream for the actor.
    fn into_stream(self) -> Self::Stream;

    /// The identity of the peer, if the kernel guarantees it.
    fn peer(stream: &Self::Stream) -> Option<Peer>;

    /// Whether the kernel holds something to read now: bytes, or the end of the stream.
    ///
    /// The runtime learns of readiness a little later than the kernel, so an actor that must know that nothing is left
    /// asks the kernel. Return `false` if the stream cannot tell.
    fn has_unread(stream: &Self::Stream) -> bool;

    /// Whether the peer has closed both directions, so that it cannot read what we write. Return `false` if the stream
    /// cannot tell; the next write will find out.
    fn is_hung_up(stream: &Self::Stream) -> bool;

    /// A way to write while the actor owns the stream, if there is one. A sender can then write a lone message itself,
    /// without waking the actor.
    fn writer(stream: &Self::Stream) -> Option<Arc<dyn WriteShared>>;
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
