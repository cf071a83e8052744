//! How connections end, and that the account is right whatever was half done: on a stream that does what it is told.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use frame_codec::{Delimited, LengthPrefixed};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::UnixStream,
    time::timeout,
};
use uds_actor::{Actor, Owned, Reason, Refusal, Sender};

const LONG: Duration = Duration::from_secs(20);

/// A hang is a failure with a name.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting for {what}"),
    }
}

/// A stream whose reads and writes are two functions. Whoever answers `Pending` wakes nobody.
struct Puppet<R, W> {
    read: R,
    write: W,
}

fn silent(_: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    Poll::Pending
}

fn stuck(_: &[u8]) -> Poll<io::Result<usize>> {
    Poll::Pending
}

impl<R, W> AsyncRead for Puppet<R, W>
where
    R: FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> + Unpin,
    W: Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        (self.read)(buf)
    }
}

impl<R, W> AsyncWrite for Puppet<R, W>
where
    R: Unpin,
    W: FnMut(&[u8]) -> Poll<io::Result<usize>> + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        (self.write)(buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_dropped_receiver_ends_a_connection_that_has_nothing_left_to_write() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    soon("our direction's end", sender.finish()).await.unwrap();
    assert_eq!(soon("the same over there", there.read(&mut [0; 1])).await.unwrap(), 0);
    drop(receiver);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Closed), "{}", report.reason);
}
