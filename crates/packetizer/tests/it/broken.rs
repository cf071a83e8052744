//! The driver on a stream that fails in one direction while the other one continues.
#![cfg(feature = "tokio")]

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    echo::{Echo, Lane, Say, Wrong},
    peer::{read_frame, soon, write_frame},
};
use frame_codec::LengthPrefixed;
use packetizer::{Driver, End, Error, Handle, Limits, Pending, Step, Unsent};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};

/// A stream with directions that can be made to fail, each with a different error.
struct Fragile {
    stream: DuplexStream,
    switches: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    /// Reading fails when nothing more has arrived.
    reading_fails: AtomicBool,
    writing_fails: AtomicBool,
}

impl AsyncRead for Fragile {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let fails = self.switches.reading_fails.load(Ordering::Relaxed);
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending if fails => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            other => other,
        }
    }
}

impl AsyncWrite for Fragile {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.switches.writing_fails.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

const MAX_FRAME: usize = 1 << 16;

fn connect() -> (Driver<Fragile, Echo>, Handle<Echo>, DuplexStream, Arc<Switches>) {
    let (stream, there) = tokio::io::duplex(1 << 20);
    let switches = Arc::<Switches>::default();
    let stream = Fragile { stream, switches: switches.clone() };
    let frames = frame_codec::Limits::default().with_max_frame(MAX_FRAME);
    let (driver, handle) = Driver::new(stream, LengthPrefixed::u32_be(), frames, Echo::default(), Limits::default());
    (driver, handle, there, switches)
}

fn call(handle: &Handle<Echo>, text: &str) -> Pending<Echo, String> {
    handle.call(&Say(Lane::Ordered, text.as_bytes()))
}

/// The next step that is not just progress; `None` if there is none for now.
async fn step(driver: &mut Driver<Fragile, Echo>) -> Option<Step<Vec<u8>, Wrong>> {
    for _ in 0..100 {
        match tokio::time::timeout(Duration::from_millis(100), driver.next()).await {
            Ok(Step::Progress(_)) => {}
            Ok(step) => return Some(step),
            Err(_) => return None,
        }
    }
    panic!("it makes progress with nothing to do")
}

#[tokio::test(start_paused = true)]
async fn when_writing_fails_replies_to_what_was_written_still_come() {
    let (mut driver, handle, mut there, switches) = connect();
    let answered = call(&handle, "one");
    let late = call(&handle, "two");
    assert!(step(&mut driver).await.is_none());
    read_frame(&mut there).await;
    read_frame(&mut there).await;

    switches.writing_fails.store(true, Ordering::Relaxed);
    let unsent = call(&handle, "three");
    assert!(step(&mut driver).await.is_none(), "replies are due");
    assert!(matches!(soon(unsent).await, Err(Error::NeverSent)));
    assert!(matches!(soon(call(&handle, "four")).await, Err(Error::NeverSent)));

    write_frame(&mut there, b"o\x01one").await;
    assert!(step(&mut driver).await.is_none(), "another reply is due");
    assert_eq!(soon(answered).await.unwrap(), "one");
    write_frame(&mut there, b"o\x02two").await;
    let end = step(&mut driver).await;
    assert!(
        matches!(&end, Some(Step::End(End::WriteFailed(error))) if error.kind() == io::ErrorKind::BrokenPipe),
        "{end:?}"
    );
    assert_eq!(soon(late).await.unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_not_sent_can_be_kept_when_writing_fails() {
    let (driver, handle, _there, switches) = connect();
    let mut driver = driver.with_unsent(Unsent::Keep);
    switches.writing_fails.store(true, Ordering::Relaxed);
    let kept = call(&handle, "kept");
    assert!(matches!(step(&mut driver).await, Some(Step::End(End::WriteFailed(_)))), "no reply is due");
    let detached = driver.detach(Unsent::Keep);
    let (here, mut there) = tokio::io::duplex(1 << 10);
    let mut driver = detached.attach(here, frame_codec::Limits::default());
    let answer = async {
        assert_eq!(read_frame(&mut there).await, b"o\x01kept");
        write_frame(&mut there, b"o\x01kept").await;
        kept.await.unwrap()
    };
    tokio::select! {
        answer = soon(answer) => assert_eq!(answer, "kept"),
        () = async { while !matches!(driver.next().await, Step::End(_)) {} } => panic!("the connection has ended"),
    }
}

#[tokio::test(start_paused = true)]
async fn when_reading_fails_the_bytes_of_an_incomplete_frame_are_counted() {
    let large = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
    // The beginning of a reply within the limit, and of one over it, which is discarded: its call is over already.
    for (bytes, truncated) in [(&b"\0\0\0\x05o\x01x"[..], 7), (&[&large[..], b"o\x01xyz"].concat(), 9)] {
        let (mut driver, handle, mut there, switches) = connect();
        let lost = call(&handle, "x");
        assert!(step(&mut driver).await.is_none());
        soon(there.write_all(bytes)).await.unwrap();
        assert!(step(&mut driver).await.is_none());
        assert_eq!(driver.bytes_read(), bytes.len() as u64);
        switches.reading_fails.store(true, Ordering::Relaxed);
        // Nothing wakes the reader of a stream that breaks silently, so we send a byte.
        soon(there.write_all(b"z")).await.unwrap();
        let end = step(&mut driver).await;
        let Some(Step::End(End::ReadFailed { source, truncated: found })) = end else { panic!("{end:?}") };
        assert_eq!((source.kind(), found), (io::ErrorKind::ConnectionReset, truncated + 1));
        drop(driver);
        assert!(matches!(soon(lost).await, Err(Error::MaybeExecuted | Error::ReplyTooLarge { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_disconnects_fails_the_calls_that_wait_and_those_that_come() {
    let (mut driver, handle, mut there, _) = connect();
    let sent = call(&handle, "sent");
    assert!(step(&mut driver).await.is_none());
    read_frame(&mut there).await;
    let queued = call(&handle, "queued");
    driver.disconnect();
    assert!(matches!(soon(sent).await, Err(Error::MaybeExecuted)));
    assert!(matches!(soon(queued).await, Err(Error::NeverSent)));
    assert!(matches!(soon(call(&handle, "later")).await, Err(Error::NeverSent)));
}

#[tokio::test(start_paused = true)]
async fn an_idle_driver_releases_its_buffers() {
    let (mut driver, handle, mut there, _) = connect();
    let text = "x".repeat(50_000);
    let answered = call(&handle, &text);
    assert!(step(&mut driver).await.is_none());
    read_frame(&mut there).await;
    write_frame(&mut there, format!("o\x01{text}").as_bytes()).await;
    assert!(step(&mut driver).await.is_none());
    assert_eq!(soon(answered).await.unwrap(), text);
    let before = heap_kit::in_thread();
    driver.release();
    let released = before - heap_kit::in_thread();
    assert!(released >= 4 << 10, "{released} bytes were released");
    let again = call(&handle, "y");
    assert!(step(&mut driver).await.is_none());
    assert_eq!(read_frame(&mut there).await, b"o\x02y");
    drop(again);
}

#[tokio::test(start_paused = true)]
async fn everything_that_can_be_printed_says_how_it_stands() {
    let (mut driver, handle, _there, _) = connect();
    let pending = call(&handle, "x");
    assert!(step(&mut driver).await.is_none());
    for (printed, found) in [
        (format!("{driver:?}"), "Driver { calls: "),
        (format!("{driver:?}"), "end: Running"),
        (format!("{handle:?}"), "Handle(Mux { state: Open, waiting: 1, in_flight: 1, outbox_bytes: 0"),
        (format!("{pending:?}"), "Pending(waiting)"),
        (format!("{:?}", call(&handle, "")), "Pending(rejected)"),
        (format!("{:?}", driver.detach(Unsent::Keep)), "Detached(Mux { state: Down, waiting: 0"),
    ] {
        assert!(printed.contains(found), "{printed}");
    }
}
