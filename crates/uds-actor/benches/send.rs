//! What the sending handle costs without the kernel: the frames go to a stream that takes everything and does nothing.
//!
//! `cargo bench -p uds-actor` prints nanoseconds of CPU per message, median of nine rounds with the least. Figures are for
//! comparing rows of one run, not runs of different machines.
#![expect(clippy::print_stdout, reason = "a table is what it makes")]

use std::{
    hint::black_box,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Delimited, Framing, LengthPrefixed};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uds_actor::{Actor, Peer, Transport, WriteShared};

const ROUNDS: usize = 9;
const MESSAGES: u32 = 2_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("{:>8} {:>8} {:>10} {:>12} {:>8}", "payload", "framing", "call", "ns/message", "least");
    for size in [16, 64, 256] {
        row("u32_be", LengthPrefixed::u32_be(), size).await;
    }
    row("lines", Delimited::lines(), 64).await;
}

async fn row<F: Framing + Clone + Send + 'static>(name: &str, framing: F, size: usize) {
    let (sender, _receiver, _control) = Actor::new(Abyss, framing).spawn();
    let payload = vec![b'x'; size];
    let shared = Bytes::from(payload.clone());
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let begin = cpu_time();
        for _ in 0..MESSAGES {
            sender.send(black_box(&payload)).await.expect("the abyss takes everything");
        }
        times[0].push(cpu_time() - begin);
        let begin = cpu_time();
        for _ in 0..MESSAGES {
            sender.send_shared(black_box(&shared).clone()).await.expect("the abyss takes everything");
        }
        times[1].push(cpu_time() - begin);
        let begin = cpu_time();
        for _ in 0..MESSAGES {
            sender.try_send(black_box(&payload)).expect("the abyss takes everything");
        }
        times[2].push(cpu_time() - begin);
        sender.flush().await.expect("the abyss takes everything");
    }
    for (call, mut times) in ["send", "send_shared", "try_send"].into_iter().zip(times) {
        times.sort_unstable();
        let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(MESSAGES);
        println!("{size:>8} {name:>8} {call:>11} {:>11.1} {:>8.1}", each(times[ROUNDS / 2]), each(times[0]));
    }
}

/// Time this thread has spent on a CPU.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.try_into().expect("time since the thread began")
}

/// A stream in which everything vanishes and from which nothing comes.
#[derive(Debug)]
struct Abyss;

impl Transport for Abyss {
    type Stream = Self;

    fn into_stream(self) -> Self {
        self
    }

    fn peer(_: &Self) -> Option<Peer> {
        None
    }

    fn has_unread(_: &Self) -> bool {
        false
    }

    fn is_hung_up(_: &Self) -> bool {
        false
    }

    fn writer(_: &Self) -> Option<Arc<dyn WriteShared>> {
        Some(Arc::new(Self))
    }
}

fn total(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| black_box(slice).len()).sum()
}

impl WriteShared for Abyss {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(total(slices))
    }
}

impl AsyncRead for Abyss {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Abyss {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(total(slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
