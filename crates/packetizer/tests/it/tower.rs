//! Calls through tower's middleware.
#![cfg(feature = "tower")]

use std::{future::poll_fn, time::Duration};

use crate::echo::{Echo, Lane, Say, Wrong};
use frame_codec::LengthPrefixed;
use packetizer::{Driver, Error, Handle, Limits, Options, Service, Step, Unsent};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tower::Service as _;

type Calls = Service<Echo>;

fn connect(limits: Limits) -> (Driver<DuplexStream, Echo>, Handle<Echo>, DuplexStream) {
    let (here, there) = tokio::io::duplex(1024);
    let (driver, handle) =
        Driver::new(here, LengthPrefixed::u32_be(), frame_codec::Limits::default(), Echo::default(), limits);
    (driver, handle, there)
}

async fn ready(calls: &mut Calls) -> Result<(), Error<Wrong>> {
    poll_fn(|cx| tower::Service::<Say<'_>>::poll_ready(calls, cx)).await
}

fn is_ready(calls: &mut Calls) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    tower::Service::<Say<'_>>::poll_ready(calls, &mut cx).is_ready()
}

const SAY: Say<'static> = Say(Lane::Ordered, b"x");

#[tokio::test]
async fn a_service_waits_for_room_and_keeps_the_place_it_was_promised() {
    let (mut driver, handle, mut there) = connect(Limits::default().with_max_calls(2));
    let (mut first, mut second, mut third) =
        (Calls::from(handle.clone()), Calls::from(handle.clone()), Calls::from(handle.clone()));
    ready(&mut first).await.expect("there is room");
    ready(&mut second).await.expect("there is room");
    assert!(is_ready(&mut first) && !is_ready(&mut third));
    assert!(matches!(handle.call(&SAY).await, Err(Error::TooManyCalls { max: 2 })), "both places are promised");
    let one = first.call(SAY);
    let two = second.call(SAY);
    assert!(!is_ready(&mut first));

    let waiting = tokio::spawn(async move {
        ready(&mut third).await.expect("there is room");
        third.call(SAY).await
    });
    tokio::task::yield_now().await;
    let running = tokio::spawn(async move { while !matches!(driver.next().await, Step::End(_)) {} });
    for _ in 0..3 {
        let mut frame = vec![0; 7];
        there.read_exact(&mut frame).await.expect("a request");
        there.write_all(&frame).await.expect("the driver reads");
    }
    for call in [one, two] {
        assert_eq!(call.await.expect("answered"), "x");
    }
    let third = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is woken when there is room");
    assert_eq!(third.expect("no panic").expect("answered"), "x");
    running.abort();
}

#[tokio::test]
async fn a_promise_that_is_dropped_is_given_to_the_next() {
    let (_driver, handle, _there) = connect(Limits::default().with_max_calls(1));
    let mut first = Calls::new(handle.clone(), Options::new());
    ready(&mut first).await.expect("there is room");
    let mut second = first.clone();
    assert!(!is_ready(&mut second), "a clone has no promise of its own");
    let waiting = tokio::spawn(async move { ready(&mut second).await.is_ok() });
    tokio::task::yield_now().await;
    drop(first);
    assert!(tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is woken").expect("no panic"));
}

#[tokio::test]
async fn when_the_connection_is_over_the_call_says_so() {
    let (driver, handle, _there) = connect(Limits::default().with_max_calls(1));
    let mut calls = Calls::from(handle.clone());
    let pending = handle.call(&SAY);
    assert!(!is_ready(&mut calls));
    let waiting = tokio::spawn(async move {
        ready(&mut calls).await.expect("the end is told by the call");
        calls.call(SAY).await
    });
    tokio::task::yield_now().await;
    drop(driver);
    assert!(matches!(pending.await, Err(Error::NeverSent)));
    let outcome = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it is woken").expect("no panic");
    assert!(matches!(outcome, Err(Error::NeverSent)));
}

#[tokio::test]
async fn a_service_is_ready_while_the_outbox_is_empty_or_below_its_limit() {
    // A request is 4 + 3 bytes.
    for (max, queued, expected) in
        [(0, 0, true), (8, 1, true), (7, 1, false), (6, 1, false), (15, 2, true), (14, 2, false)]
    {
        let (driver, handle, _there) = connect(Limits::default().with_max_outbox(max));
        let _calls: Vec<_> = (0..queued).map(|_| driver.call(&SAY)).collect();
        assert_eq!(is_ready(&mut Calls::from(handle)), expected, "{queued} requests, limit {max}");
    }
}

#[tokio::test]
async fn a_service_that_can_make_no_more_calls_is_ready_to_say_so() {
    let (_driver, handle, _there) = connect(Limits::default().with_max_calls(1));
    let _last = handle.call_last(&SAY);
    let mut calls = Calls::from(handle);
    assert!(is_ready(&mut calls));
    let printed = format!("{calls:?}");
    assert!(printed.starts_with("Service { handle: Handle(Mux {") && printed.contains("reserved: true"), "{printed}");
    assert!(matches!(calls.call(SAY).await, Err(Error::Finished)));
}

#[tokio::test]
async fn a_service_without_a_connection_waits_for_room_only_while_calls_are_kept() {
    let (driver, handle, _there) = connect(Limits::default().with_max_calls(1));
    let waiting = handle.call(&SAY);
    let mut detached = driver.detach(Unsent::Keep);
    let mut calls = Calls::from(handle);
    assert!(!is_ready(&mut calls), "the call that is kept has the only place");
    detached.set_unsent(Unsent::Fail);
    assert!(matches!(waiting.await, Err(Error::NeverSent)));
    // Every call fails at once, however many are promised.
    let mut second = calls.clone();
    assert!(is_ready(&mut second) && is_ready(&mut calls));
    assert!(matches!(calls.call(SAY).await, Err(Error::NeverSent)));
}
