//! What a call costs does not depend on how many were made, or wait. Figures: `cargo bench -p packetizer`.

use std::time::{Duration, Instant};

use crate::counted::{Ask, Counted};
use bytes::Bytes;
use frame_codec::Raw;
use packetizer::{Limits, Mux, Options};

/// Makes calls, sends them, and answers them, the newest first.
fn round(mux: &mut Mux<Counted, ()>, calls: u32, options: Options) {
    let first = mux.protocol().next;
    for _ in 0..calls {
        mux.request_with(&Ask, options, ()).expect("there is room");
    }
    while let Some(block) = mux.poll_transmit() {
        mux.handle_written(block.len());
    }
    for number in (first..first + calls).rev() {
        mux.handle_frame(Bytes::copy_from_slice(&number.to_be_bytes())).expect("it was asked");
        assert!(mux.poll_output().is_some());
    }
}

#[test]
fn memory_does_not_grow_with_the_calls_that_were_made() {
    let mut mux = Mux::new(Raw, Counted::default(), Limits::default());
    let options = Options::new().with_deadline(Instant::now() + Duration::from_secs(3600));
    (0..1000).for_each(|_| round(&mut mux, 1, options));
    let before = heap_kit::in_thread();
    (0..200_000).for_each(|_| round(&mut mux, 1, options));
    let grown = heap_kit::in_thread() - before;
    assert!(grown <= 4096, "{grown} bytes more after 200,000 calls");
}

#[test]
fn memory_does_not_grow_with_calls_that_overlap() {
    let mut mux = Mux::new(Raw, Counted::default(), Limits::default());
    let options = Options::new().with_deadline(Instant::now() + Duration::from_secs(3600));
    let ask = |mux: &mut Mux<Counted, ()>| {
        mux.request_with(&Ask, options, ()).expect("there is room");
        let block = mux.poll_transmit().expect("the request");
        mux.handle_written(block.len());
    };
    ask(&mut mux);
    let before = heap_kit::in_thread();
    for number in 0..100_000_u32 {
        // The next call is made before this one ends, so that one waits at all times.
        ask(&mut mux);
        mux.handle_frame(Bytes::copy_from_slice(&number.to_be_bytes())).expect("it was asked");
        assert!(mux.poll_output().is_some());
    }
    let grown = heap_kit::in_thread() - before;
    assert!(grown <= 16 << 10, "{grown} bytes more after 100,000 calls");
}

#[test]
fn memory_is_given_back_after_a_burst() {
    let mut mux = Mux::new(Raw, Counted::default(), Limits::default());
    round(&mut mux, 10, Options::new());
    let before = heap_kit::in_thread();
    round(&mut mux, 60_000, Options::new());
    round(&mut mux, 1, Options::new());
    let grown = heap_kit::in_thread() - before;
    assert!(grown <= 512 << 10, "{grown} bytes more after a burst of 60,000 calls");
}

#[test]
fn the_cost_of_a_call_does_not_depend_on_how_many_wait() {
    let cost = |calls: u32| {
        let mut mux = Mux::new(Raw, Counted::default(), Limits::default());
        let once = || {
            let start = Instant::now();
            round(&mut mux, calls, Options::new());
            start.elapsed() / calls
        };
        std::iter::repeat_with(once).take(5).min().expect("five rounds")
    };
    let (few, many) = (cost(500), cost(32_000));
    // A search through all that wait would make it 64 times as much.
    assert!(many < few * 10 + Duration::from_micros(1), "{few:?} with 500 waiting, {many:?} with 32,000");
}
