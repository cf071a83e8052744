//! The driver over in-memory streams: what callers see when peers, tasks and futures misbehave.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/echo.rs"]
mod echo;

use std::{future::Future, time::Duration};

use echo::{Echo, Lane, Say, Wrong};
use frame_codec::{LengthPrefixed, Pump, PumpEvent};
use packetizer::{Driver, End, Error, Fault, Handle, Limits, Step, drive};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
};

const ORDERED: Lane = Lane::Ordered;

type EchoDriver = Driver<DuplexStream, LengthPrefixed, Echo>;

fn connect(buffer: usize) -> (EchoDriver, Handle<Echo>, DuplexStream) {
    let (here, there) = tokio::io::duplex(buffer);
    let frames = frame_codec::Limits::default().with_max_frame(1 << 16);
    let (driver, handle) = Driver::new(here, LengthPrefixed::u32_be(), frames, Echo::default(), Limits::default());
    (driver, handle, there)
}

/// A peer that echoes every frame until the connection ends; returns how many.
fn echo_all(stream: DuplexStream) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut pump = Pump::new(stream, LengthPrefixed::u32_be(), frame_codec::Limits::default());
        let mut frames = 0;
        loop {
            match pump.next().await {
                PumpEvent::Batch(batch) => {
                    for frame in &batch {
                        frames += 1;
                        pump.encoder().push(frame).unwrap();
                    }
                }
                PumpEvent::End(_) | PumpEvent::WriteFailed(_) => return frames,
                _ => {}
            }
        }
    })
}

fn run(driver: EchoDriver) -> JoinHandle<End<Wrong>> {
    tokio::spawn(drive(driver, |_event| {}))
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("this must not hang")
}

async fn read_frame(stream: &mut DuplexStream) -> Vec<u8> {
    let mut frame = vec![0; soon(stream.read_u32()).await.unwrap() as usize];
    soon(stream.read_exact(&mut frame)).await.unwrap();
    frame
}

async fn write_frame(stream: &mut DuplexStream, frame: &[u8]) {
    soon(stream.write_u32(u32::try_from(frame.len()).unwrap())).await.unwrap();
    soon(stream.write_all(frame)).await.unwrap();
}

#[tokio::test]
async fn many_callers_share_one_stream_and_each_gets_its_own_reply() {
    // A buffer of 7 bytes: every frame is torn, in both directions.
    let (driver, handle, there) = connect(7);
    let peer = echo_all(there);
    let running = run(driver);
    let mut callers = Vec::new();
    for caller in 0..8 {
        let handle = handle.clone();
        callers.push(tokio::spawn(async move {
            for n in 0..50 {
                let text = format!("caller {caller} says {n}");
                let lane = if n % 3 == 0 { Lane::Urgent } else { ORDERED };
                assert_eq!(handle.call(&Say(lane, text.as_bytes())).await.unwrap(), text);
            }
        }));
    }
    for caller in callers {
        soon(caller).await.unwrap();
    }
    drop(handle);
    assert!(matches!(soon(running).await.unwrap(), End::HungUp));
    assert_eq!(soon(peer).await.unwrap(), 400);
}

#[tokio::test]
async fn the_order_of_requests_is_the_order_of_calls_and_not_of_polls() {
    let (driver, handle, mut there) = connect(1024);
    let first = handle.call(&Say(ORDERED, b"first"));
    let second = handle.call(&Say(ORDERED, b"second"));
    let _running = run(driver);
    let second = tokio::spawn(second);
    tokio::task::yield_now().await;
    assert_eq!(read_frame(&mut there).await, b"o\x01first");
    assert_eq!(read_frame(&mut there).await, b"o\x02second");
    write_frame(&mut there, b"o\x01first").await;
    write_frame(&mut there, b"o\x02second").await;
    assert_eq!(soon(second).await.unwrap().unwrap(), "second");
    assert_eq!(soon(first).await.unwrap(), "first");
}

#[tokio::test]
async fn what_was_called_at_once_is_written_at_once() {
    struct Counting(DuplexStream, std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl tokio::io::AsyncRead for Counting {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_read(cx, buf)
        }
    }
    impl tokio::io::AsyncWrite for Counting {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::pin::Pin::new(&mut self.0).poll_write(cx, buf)
        }
        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
    let (here, there) = tokio::io::duplex(1 << 16);
    let writes = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let (driver, handle) = Driver::new(
        Counting(here, writes.clone()),
        LengthPrefixed::u32_be(),
        frame_codec::Limits::default(),
        Echo::default(),
        Limits::default(),
    );
    let _peer = echo_all(there);
    let calls: Vec<_> = (0..200).map(|_| handle.call(&Say(ORDERED, b"at once"))).collect();
    let _running = tokio::spawn(drive(driver, |_| {}));
    for call in calls {
        soon(call).await.unwrap();
    }
    assert_eq!(writes.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_dropped_call_leaves_the_others_in_step() {
    let (driver, handle, there) = connect(64);
    let _peer = echo_all(there);
    let _running = run(driver);
    let mut kept = Vec::new();
    for n in 0..20 {
        let call = handle.call(&Say(ORDERED, format!("{n}").as_bytes()));
        if n % 2 == 0 {
            drop(call);
        } else {
            kept.push((n, call));
        }
    }
    for (n, call) in kept {
        assert_eq!(soon(call).await.unwrap(), format!("{n}"));
    }
    assert_eq!((handle.account().late, handle.account().answered), (10, 10));
}

#[tokio::test]
async fn a_driver_that_is_dropped_leaves_nobody_hanging() {
    let (driver, handle, mut there) = connect(1024);
    let sent = handle.call(&Say(ORDERED, b"sent"));
    let running = run(driver);
    read_frame(&mut there).await;
    running.abort();
    assert!(matches!(soon(sent).await, Err(Error::MaybeExecuted)));
    assert!(matches!(soon(handle.call(&Say(ORDERED, b"x"))).await, Err(Error::NeverSent)));

    let (driver, handle, _there) = connect(1024);
    let never = handle.call(&Say(ORDERED, b"never"));
    drop(driver);
    assert!(matches!(soon(never).await, Err(Error::NeverSent)));
}

#[tokio::test]
async fn a_request_that_is_half_way_out_was_never_sent() {
    // The stream takes 10 bytes: the first request whole (4 + 5) and one byte of the second.
    let (driver, handle, there) = connect(10);
    let whole = handle.call(&Say(ORDERED, b"abc"));
    let torn = handle.call(&Say(ORDERED, b"def"));
    let running = run(driver);
    tokio::task::yield_now().await;
    drop(there);
    soon(running).await.unwrap();
    assert!(matches!(soon(whole).await, Err(Error::MaybeExecuted)));
    assert!(matches!(soon(torn).await, Err(Error::NeverSent)));
}

#[tokio::test]
async fn a_peer_cut_off_at_any_byte_of_its_reply_fails_the_call_and_nothing_else() {
    let reply = b"\0\0\0\x07o\x01hello";
    for cut in 0..reply.len() {
        let (driver, handle, mut there) = connect(1024);
        let call = handle.call(&Say(ORDERED, b"hello"));
        let running = run(driver);
        read_frame(&mut there).await;
        soon(there.write_all(&reply[..cut])).await.unwrap();
        drop(there);
        assert!(matches!(soon(running).await.unwrap(), End::Closed { truncated: c } if c == cut), "at byte {cut}");
        assert!(matches!(soon(call).await, Err(Error::MaybeExecuted)));
    }
}

#[tokio::test]
async fn replies_before_a_fault_are_delivered_and_the_rest_fail() {
    let (driver, handle, mut there) = connect(1024);
    let good = handle.call(&Say(ORDERED, b"good"));
    let bad = handle.call(&Say(ORDERED, b"bad"));
    let running = run(driver);
    read_frame(&mut there).await;
    read_frame(&mut there).await;
    write_frame(&mut there, b"o\x01good").await;
    write_frame(&mut there, b"o\x07bad").await;
    assert!(matches!(soon(running).await.unwrap(), End::Fault(Fault::OutOfOrder { .. })));
    assert_eq!(soon(good).await.unwrap(), "good");
    assert!(matches!(soon(bad).await, Err(Error::MaybeExecuted)));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_once_and_nothing_after_it() {
    let (mut driver, _handle, mut there) = connect(1024);
    write_frame(&mut there, b"?").await;
    while !matches!(soon(driver.next()).await, Step::End(End::Fault(_))) {}
    write_frame(&mut there, b"!late").await;
    drop(there);
    let more = tokio::time::timeout(Duration::from_secs(20), driver.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_length_the_limit_forbids_ends_the_connection_before_a_byte_of_it_is_stored() {
    for header in [[0xff; 4], [0x80, 0, 0, 0], [0, 1, 0, 1]] {
        let (driver, handle, mut there) = connect(1024);
        let call = handle.call(&Say(ORDERED, b"x"));
        let running = run(driver);
        read_frame(&mut there).await;
        soon(there.write_all(&header)).await.unwrap();
        assert!(matches!(soon(running).await.unwrap(), End::Malformed(_)), "{header:?}");
        assert!(matches!(soon(call).await, Err(Error::MaybeExecuted)));
    }
}

#[tokio::test]
async fn a_request_larger_than_a_frame_is_refused_at_the_call() {
    let (_driver, handle, _there) = connect(1024);
    let large = vec![b'x'; 1 << 16];
    assert!(matches!(soon(handle.call(&Say(ORDERED, &large))).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn events_are_told_between_the_replies_they_came_between() {
    let (mut driver, handle, mut there) = connect(1024);
    let mut first = handle.call(&Say(ORDERED, b"a"));
    let mut second = handle.call(&Say(ORDERED, b"b"));
    assert!(matches!(soon(driver.next()).await, Step::Progress(p) if p.sent && !p.received));
    for frame in [&b"o\x01a"[..], b"!event", b"o\x02b"] {
        write_frame(&mut there, frame).await;
    }
    assert!(matches!(soon(driver.next()).await, Step::Event(e) if e == b"event"));
    let done = |call: &mut packetizer::Pending<Echo, String>| {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        std::pin::Pin::new(call).poll(&mut cx).is_ready()
    };
    assert!(done(&mut first), "what came before the event is there");
    assert!(!done(&mut second), "what came after it is not");
    assert!(matches!(soon(driver.next()).await, Step::Progress(p) if p.received));
    assert!(done(&mut second));
}

#[tokio::test]
async fn after_the_last_call_no_other_is_taken() {
    let (driver, handle, there) = connect(64);
    let _peer = echo_all(there);
    let _running = run(driver);
    let last = handle.call_last(&Say(ORDERED, b"last"));
    let late = handle.clone().call(&Say(ORDERED, b"late"));
    assert!(matches!(soon(late).await, Err(Error::Finished)));
    assert_eq!(soon(last).await.unwrap(), "last");
}

#[tokio::test]
async fn with_the_last_handle_gone_calls_that_were_made_are_finished_first() {
    let (driver, handle, there) = connect(16);
    let peer = echo_all(there);
    let call = handle.call(&Say(ORDERED, b"the last words of a handle"));
    drop(handle);
    let running = run(driver);
    assert_eq!(soon(call).await.unwrap(), "the last words of a handle");
    assert!(matches!(soon(running).await.unwrap(), End::HungUp));
    assert_eq!(soon(peer).await.unwrap(), 1);
}
