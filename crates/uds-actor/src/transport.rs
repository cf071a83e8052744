//! What an actor needs of a stream.

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::{Peer, stream::socket::Socket, write_shared::WriteShared};

/// A stream that an actor can own.
///
/// Reading and writing are tokio's own traits. This trait adds what only a socket can do and tell. A Unix stream is a
/// transport as it is; any other stream becomes one in [`Owned`](crate::Owned).
pub trait Transport: Send + 'static {
    /// The stream as the actor drives it.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Gives the stream to the actor.
    fn into_stream(self) -> Self::Stream;

    /// Who is at the other end, if the kernel vouches for it.
    fn peer(stream: &Self::Stream) -> Option<Peer>;

    /// Whether the kernel holds something to read at this moment: bytes, or the end of the stream.
    ///
    /// The runtime learns of readiness a little later than the kernel, so an actor that must know that nothing is left asks
    /// the kernel. A stream that cannot tell says no.
    fn has_unread(stream: &Self::Stream) -> bool;

    /// Whether the peer has closed both directions, so that it cannot read what is written. A stream that cannot tell says
    /// no, and the next write finds out.
    fn is_hung_up(stream: &Self::Stream) -> bool;

    /// A way to write while the actor owns the stream, if there is one: a sender can then write a lone message by itself,
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
