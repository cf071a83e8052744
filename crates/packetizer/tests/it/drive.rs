//! The driver over in-memory streams: what callers see when peers, tasks and futures misbehave.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use crate::{
    echo::{Echo, Lane, Say, Wrong},
    peer::{read_frame, soon, write_frame},
};
use frame_codec::{LengthPrefixed, Pump, PumpEvent};
use packetizer::{
    Call, Class, Detached, Driver, End, Error, Fault, Handle, Limits, Matched, Options, Protocol, Route, Step, Ticket,
    Unsent, Urgency, drive,
};
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
};

const ORDERED: Lane = Lane::Ordered;

type EchoDriver = Driver<DuplexStream, Echo>;

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
    struct Counting(DuplexStream, Arc<AtomicUsize>);
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
            self.1.fetch_add(1, Ordering::Relaxed);
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
    let writes = Arc::<AtomicUsize>::default();
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
    assert_eq!(writes.load(Ordering::Relaxed), 1);
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
    assert_eq!((handle.report().late, handle.report().answered), (10, 10));
}

#[tokio::test]
async fn a_dropped_driver_leaves_no_call_hanging() {
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
async fn only_the_requests_whose_last_byte_was_written_were_sent() {
    // Written in several turns: 9 bytes, which are read, then 10 of 18.
    let (driver, handle, mut there) = connect(10);
    let first = handle.call(&Say(ORDERED, b"one"));
    let running = run(driver);
    assert_eq!(read_frame(&mut there).await, b"o\x01one");
    let whole = handle.call(&Say(ORDERED, b"two"));
    let torn = handle.call(&Say(ORDERED, b"six"));
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    drop(there);
    soon(running).await.unwrap();
    assert!(matches!(soon(first).await, Err(Error::MaybeExecuted)));
    assert!(matches!(soon(whole).await, Err(Error::MaybeExecuted)));
    assert!(matches!(soon(torn).await, Err(Error::NeverSent)));
}

#[tokio::test]
async fn a_reply_truncated_at_any_byte_fails_only_its_call() {
    let reply = b"\0\0\0\x07o\x01hello";
    for len in 0..reply.len() {
        let (driver, handle, mut there) = connect(1024);
        let call = handle.call(&Say(ORDERED, b"hello"));
        let running = run(driver);
        read_frame(&mut there).await;
        soon(there.write_all(&reply[..len])).await.unwrap();
        drop(there);
        assert!(matches!(soon(running).await.unwrap(), End::Closed { truncated: c } if c == len), "at byte {len}");
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

/// A protocol that cannot skip: it numbers nothing.
struct Plain;

struct Ask;

impl Protocol for Plain {
    type Lane = ();
    type Tag = ();
    type Context = ();
    type Event = ();
    type Error = Wrong;

    fn classify(&mut self, _frame: &[u8]) -> Result<Class<(), (), ()>, Wrong> {
        Ok(Class::Reply(Route::Lane { lane: (), tag: () }))
    }
}

impl Call for Ask {
    type Protocol = Plain;
    type Reply = Bytes;

    fn encode(&self, _: &mut Plain, frame: &mut BytesMut) -> Result<Ticket<(), (), ()>, Wrong> {
        frame.extend_from_slice(b"?");
        Ok(Ticket { route: Route::Lane { lane: (), tag: () }, context: () })
    }

    fn decode((): (), frame: Bytes) -> Result<Bytes, Wrong> {
        Ok(frame)
    }
}

#[tokio::test]
async fn where_replies_cannot_be_skipped_a_length_over_the_limit_ends_the_connection_before_a_byte_of_it_is_stored() {
    for header in [[0xff; 4], [0x80, 0, 0, 0], [0, 1, 0, 1]] {
        let (here, mut there) = tokio::io::duplex(1024);
        let frames = frame_codec::Limits::default().with_max_frame(1 << 16);
        let (driver, handle) = Driver::new(here, LengthPrefixed::u32_be(), frames, Plain, Limits::default());
        let call = handle.call(&Ask);
        let running = tokio::spawn(drive(driver, |()| {}));
        read_frame(&mut there).await;
        soon(there.write_all(&header)).await.unwrap();
        assert!(matches!(soon(running).await.unwrap(), End::Malformed(_)), "{header:?}");
        assert!(matches!(soon(call).await, Err(Error::MaybeExecuted)));
    }
}

#[tokio::test]
async fn a_reply_over_the_limit_fails_its_own_call_and_all_others_are_answered() {
    for buffer in [61, 1024, 1 << 20] {
        let (driver, handle, mut there) = connect(buffer);
        let calls: Vec<_> = (0..5).map(|_| handle.call(&Say(ORDERED, b"x"))).collect();
        let running = run(driver);
        for _ in 0..5 {
            read_frame(&mut there).await;
        }
        let large = |tag: u8, len: usize| [&[b'o', tag][..], &vec![b'z'; len - 2]].concat();
        for frame in
            [b"o\x01x".to_vec(), large(2, (1 << 16) + 1), b"o\x03x".to_vec(), large(4, 200_000), b"o\x05x".to_vec()]
        {
            write_frame(&mut there, &frame).await;
        }
        let mut outcomes = Vec::new();
        for call in calls {
            outcomes.push(match soon(call).await {
                Ok(text) => Ok(text),
                Err(Error::ReplyTooLarge { len, max }) => Err((len, max)),
                Err(other) => panic!("{other}"),
            });
        }
        let x = || Ok("x".to_owned());
        assert_eq!(
            outcomes,
            [x(), Err(((1 << 16) + 1, 1 << 16)), x(), Err((200_000, 1 << 16)), x()],
            "buffer {buffer}"
        );
        assert_eq!((handle.report().too_large, handle.report().answered), (2, 3));
        // Cut in the middle of another one: the bytes that came of it are truncated.
        let lost = handle.call(&Say(ORDERED, b"x"));
        read_frame(&mut there).await;
        soon(there.write_all(&[0, 2, 0, 0, b'o', 6, b'z', b'z'])).await.unwrap();
        drop(there);
        let end = soon(running).await.unwrap();
        assert!(matches!(end, End::Closed { truncated: 8 }), "{end:?}");
        soon(lost).await.unwrap_err();
    }
}

/// Reads nothing of what it skips into memory: the largest allocation while 64 MiB pass is far smaller.
#[tokio::test]
async fn what_is_skipped_is_not_stored() {
    test_kit::alone!();
    let (driver, handle, mut there) = connect(1 << 16);
    let call = handle.call(&Say(ORDERED, b"x"));
    let running = run(driver);
    read_frame(&mut there).await;
    soon(there.write_all(&[4, 0, 0, 0, b'o', 1])).await.unwrap();
    let piece = vec![0; 1 << 16];
    let before = resident();
    let mut left = (64 << 20) - 2;
    while left > 0 {
        let len = left.min(piece.len());
        soon(there.write_all(&piece[..len])).await.unwrap();
        left -= len;
    }
    assert!(matches!(soon(call).await, Err(Error::ReplyTooLarge { len: 0x400_0000, .. })));
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more are resident");
    running.abort();
}

/// Bytes of this process in memory (`/proc/self/statm`, proc(5)).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(start_paused = true)]
async fn an_expired_call_that_was_not_sent_is_never_sent() {
    // The stream takes 8 bytes, so the first request (4 + 5) is under way and the others wait, also in the encoder.
    let (driver, handle, mut there) = connect(8);
    let soon_over = Options::new().with_deadline(tokio::time::Instant::now().into_std() + Duration::from_millis(50));
    let first = handle.call(&Say(ORDERED, b"one"));
    let mut late = handle.call_with(&Say(ORDERED, b"two"), soon_over);
    let third = handle.call(&Say(ORDERED, b"three"));
    let dropped = handle.call_with(&Say(ORDERED, b"four"), soon_over);
    drop(dropped);
    let running = run(driver);
    let error = soon(&mut late).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { maybe_executed: false }), "{error}");
    assert_eq!(read_frame(&mut there).await, b"o\x01one");
    assert_eq!(read_frame(&mut there).await, b"o\x03three");
    write_frame(&mut there, b"o\x01one").await;
    write_frame(&mut there, b"o\x03three").await;
    assert_eq!((soon(first).await.unwrap(), soon(third).await.unwrap()), ("one".into(), "three".into()));
    let fifth = handle.call(&Say(ORDERED, b"five"));
    assert_eq!(read_frame(&mut there).await, b"o\x05five", "nothing of the fourth was sent either");
    write_frame(&mut there, b"o\x05five").await;
    soon(fifth).await.unwrap();
    assert_eq!((handle.report().withdrawn, handle.report().timed_out), (2, 1));
    drop(handle);
    assert!(matches!(soon(running).await.unwrap(), End::HungUp));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_sent_expires_and_its_late_reply_disturbs_no_other() {
    let (driver, handle, mut there) = connect(1024);
    let running = run(driver);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    let slow = handle.call_with(&Say(ORDERED, b"slow"), Options::new().with_deadline(deadline.into_std()));
    let patient = handle.call(&Say(ORDERED, b"patient"));
    assert!(matches!(soon(slow).await, Err(Error::TimedOut { maybe_executed: true })));
    assert!(tokio::time::Instant::now() >= deadline);
    read_frame(&mut there).await;
    read_frame(&mut there).await;
    write_frame(&mut there, b"o\x01slow").await;
    write_frame(&mut there, b"o\x02patient").await;
    assert_eq!(soon(patient).await.unwrap(), "patient");
    assert_eq!(handle.report().late, 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn each_call_expires_at_its_own_deadline_in_whatever_order_they_were_made() {
    let (driver, handle, _there) = connect(1024);
    let running = run(driver);
    let start = tokio::time::Instant::now();
    let expired = async |seconds| {
        let deadline = start + Duration::from_secs(seconds);
        let call = handle.call_with(&Say(ORDERED, b"?"), Options::new().with_deadline(deadline.into_std()));
        assert!(matches!(call.await, Err(Error::TimedOut { maybe_executed: true })));
        start.elapsed().as_secs()
    };
    // The driver waits for the third second, then there is something to do earlier, and in the end something later.
    let (third, first, ninth) = tokio::join!(
        expired(3),
        async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            expired(1).await
        },
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            expired(9).await
        },
    );
    assert_eq!((first, third, ninth), (1, 3, 9));
    running.abort();
}

#[tokio::test]
async fn the_next_connection_goes_on_with_what_was_not_sent_behind_what_primes_it() {
    let (detached, handle) = Detached::new(LengthPrefixed::u32_be(), Echo::default(), Limits::default());
    let early = handle.call(&Say(ORDERED, b"early"));
    let (here, mut there) = tokio::io::duplex(1024);
    let mut driver = detached.attach(here, frame_codec::Limits::default());
    let priming = Options::new().with_urgency(Urgency::Priming);
    let primed = driver.call_with(&Say(ORDERED, b"hello"), priming);
    let next = async |driver: &mut EchoDriver| while !matches!(driver.next().await, Step::End(_)) {};
    tokio::select! {
        () = next(&mut driver) => panic!("it has not ended"),
        frame = read_frame(&mut there) => assert_eq!(frame, b"o\x02hello"),
    }
    drop(there);
    soon(next(&mut driver)).await;
    let detached = driver.detach(Unsent::Keep);
    assert!(matches!(soon(primed).await, Err(Error::MaybeExecuted)));
    let between = handle.call(&Say(Lane::Tagged, b"between"));

    let (here, mut there) = tokio::io::duplex(1024);
    let driver = detached.attach(here, frame_codec::Limits::default());
    let primed = driver.call_with(&Say(ORDERED, b"again"), priming);
    let running = run(driver);
    assert_eq!(read_frame(&mut there).await, b"o\x04again");
    write_frame(&mut there, b"o\x04again").await;
    soon(primed).await.unwrap();
    assert_eq!(read_frame(&mut there).await, b"o\x01early");
    assert_eq!(read_frame(&mut there).await, b"t\x03between");
    write_frame(&mut there, b"t\x03between").await;
    write_frame(&mut there, b"o\x01early").await;
    assert_eq!((soon(early).await.unwrap(), soon(between).await.unwrap()), ("early".into(), "between".into()));
    running.abort();
}

#[tokio::test]
async fn a_panic_in_a_decoder_hits_its_own_caller_only() {
    struct Trap;
    impl Call for Trap {
        type Protocol = Echo;
        type Reply = ();

        fn encode(&self, echo: &mut Echo, frame: &mut BytesMut) -> Result<Ticket<Lane, u8, usize>, Wrong> {
            Say(ORDERED, b"trap").encode(echo, frame)
        }

        fn decode(_asked: usize, _frame: Bytes) -> Result<(), Wrong> {
            panic!("planted")
        }
    }
    let (driver, handle, there) = connect(64);
    let _peer = echo_all(there);
    let _running = run(driver);
    let trapped = tokio::spawn(handle.call(&Trap));
    assert!(soon(trapped).await.unwrap_err().is_panic());
    assert_eq!(soon(handle.call(&Say(ORDERED, b"still there"))).await.unwrap(), "still there");
}

#[tokio::test]
async fn a_reply_that_cannot_be_decoded_is_counted() {
    let (driver, handle, mut there) = connect(64);
    let _running = run(driver);
    let call = handle.call(&Say(ORDERED, b"four"));
    read_frame(&mut there).await;
    write_frame(&mut there, b"o\x01x").await;
    assert!(matches!(soon(call).await, Err(Error::Decode(Wrong::Length { asked: 4, got: 1 }))));
    assert_eq!((handle.report().undecodable, handle.report().answered), (1, 0));
}

/// What `decode` saw of the mux's lock: it must be free.
#[tokio::test]
async fn replies_are_decoded_outside_of_the_lock() {
    static HANDLE: Mutex<Option<Handle<Echo>>> = Mutex::new(None);
    static WAITING: AtomicUsize = AtomicUsize::new(usize::MAX);
    struct Peek;
    impl Call for Peek {
        type Protocol = Echo;
        type Reply = ();

        fn encode(&self, echo: &mut Echo, frame: &mut BytesMut) -> Result<Ticket<Lane, u8, usize>, Wrong> {
            Say(ORDERED, b"peek").encode(echo, frame)
        }

        fn decode(_asked: usize, _frame: Bytes) -> Result<(), Wrong> {
            // This would deadlock if the lock were held.
            let handle = HANDLE.lock().unwrap();
            WAITING.store(handle.as_ref().unwrap().waiting(), Ordering::Relaxed);
            Ok(())
        }
    }
    let (driver, handle, there) = connect(64);
    let _peer = echo_all(there);
    let _running = run(driver);
    *HANDLE.lock().unwrap() = Some(handle.clone());
    soon(handle.call(&Peek)).await.unwrap();
    assert_eq!(WAITING.load(Ordering::Relaxed), 0);
    *HANDLE.lock().unwrap() = None;
}

#[tokio::test]
async fn a_cancelled_call_moves_the_session_all_the_same() {
    struct Counting(u32);
    struct Step1;
    impl Protocol for Counting {
        type Lane = ();
        type Tag = ();
        type Context = u32;
        type Event = ();
        type Error = Wrong;

        fn classify(&mut self, _frame: &[u8]) -> Result<Class<(), (), ()>, Wrong> {
            Ok(Class::Reply(Route::Lane { lane: (), tag: () }))
        }

        fn settle(&mut self, context: &mut u32, reply: Matched<'_>) -> Result<(), Wrong> {
            self.0 += u32::from(reply.bytes()[0]);
            *context = self.0;
            Ok(())
        }
    }
    impl Call for Step1 {
        type Protocol = Counting;
        type Reply = u32;

        fn encode(&self, _: &mut Counting, frame: &mut BytesMut) -> Result<Ticket<(), (), u32>, Wrong> {
            frame.extend_from_slice(b"?");
            Ok(Ticket { route: Route::Lane { lane: (), tag: () }, context: 0 })
        }

        fn decode(sum: u32, _frame: Bytes) -> Result<u32, Wrong> {
            Ok(sum)
        }
    }
    let (here, mut there) = tokio::io::duplex(1024);
    let (driver, handle) =
        Driver::new(here, LengthPrefixed::u32_be(), frame_codec::Limits::default(), Counting(0), Limits::default());
    let _running = tokio::spawn(drive(driver, |()| {}));
    drop(handle.call(&Step1));
    let kept = handle.call(&Step1);
    write_frame(&mut there, &[5]).await;
    write_frame(&mut there, &[7]).await;
    assert_eq!(soon(kept).await.unwrap(), 12);
    assert_eq!(handle.with_protocol(|session| session.0), 12);
}

#[tokio::test]
async fn a_request_larger_than_a_frame_is_turned_away_at_the_call() {
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
