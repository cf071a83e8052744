//! Calls while there is no connection.
#![cfg(feature = "tokio")]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::echo::{Echo, Lane, Say};
use frame_codec::LengthPrefixed;
use packetizer::{Detached, Error, Handle, Limits, Options, Unsent};

const SAY: Say<'static> = Say(Lane::Ordered, b"x");

fn detached() -> (Detached<Echo>, Handle<Echo>) {
    Detached::new(LengthPrefixed::u32_be(), Echo::default(), Limits::default())
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn calls_wait_and_are_counted() {
    let (detached, handle) = detached();
    let _calls = [handle.call(&SAY), handle.call(&SAY)];
    assert_eq!((detached.waiting(), handle.waiting()), (2, 2));
    assert_eq!((detached.report(), detached.report().made), (handle.report(), 2));
    assert!(poll(detached.woken()).is_ready(), "calls were made");
    assert!(poll(detached.woken()).is_pending(), "nothing has happened since");
}

#[test]
fn a_deadline_passes_without_a_connection_too() {
    let (mut detached, handle) = detached();
    assert_eq!(detached.poll_timeout(), None);
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut call = handle.call_with(&SAY, Options::new().with_deadline(deadline));
    assert_eq!(detached.poll_timeout(), Some(deadline));
    detached.handle_timeout(deadline - Duration::from_nanos(1));
    assert!(poll(&mut call).is_pending());
    detached.handle_timeout(deadline);
    assert!(matches!(poll(&mut call), Poll::Ready(Err(Error::TimedOut { maybe_executed: false }))));
    assert_eq!((detached.waiting(), detached.report().withdrawn), (0, 1));
}

#[test]
fn calls_can_be_failed_and_kept_again() {
    let (mut detached, handle) = detached();
    let mut kept = handle.call(&SAY);
    assert!(poll(&mut kept).is_pending());
    detached.set_unsent(Unsent::Fail);
    assert!(matches!(poll(&mut kept), Poll::Ready(Err(Error::NeverSent))));
    assert!(matches!(poll(handle.call(&SAY)), Poll::Ready(Err(Error::NeverSent))));
    detached.set_unsent(Unsent::Keep);
    assert!(poll(handle.call(&SAY)).is_pending());
}

#[test]
fn the_last_handle_that_goes_is_noticed() {
    let (detached, handle) = detached();
    let second = handle.clone();
    drop(handle);
    assert!(!detached.is_hung_up() && poll(detached.woken()).is_pending());
    drop(second);
    assert!(detached.is_hung_up() && poll(detached.woken()).is_ready());
}
