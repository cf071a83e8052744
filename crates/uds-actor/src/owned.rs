//! Any stream as a transport.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Peer, transport::Transport, write_shared::WriteShared};

/// Any `AsyncRead + AsyncWrite` as a [`Transport`]: a TLS stream, a pair of pipes, a test double. It has no peer
/// identity.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use frame_codec::Delimited;
/// use uds_actor::{Actor, Owned};
///
/// let (here, there) = tokio::io::duplex(1024);
/// let (left, _, _left) = Actor::new(Owned(here), Delimited::lines()).spawn();
/// let (_, mut right, _right) = Actor::new(Owned(there), Delimited::lines()).spawn();
///
/// left.send(b"over any stream").await.unwrap();
/// let batch = right.recv_batch().await.expect("a line was sent");
/// assert_eq!(batch.get(0), Some(&b"over any stream"[..]));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Owned<S>(pub S);

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Owned<S> {
    type Stream = S;

    fn into_stream(self) -> S {
        self.0
    }

    fn peer(_: &S) -> Option<Peer> {
        None
    }

    fn has_unread(_: &S) -> bool {
        false
    }

    fn is_hung_up(_: &S) -> bool {
        false
    }

    fn writer(_: &S) -> Option<Arc<dyn WriteShared>> {
        None
    }
}
