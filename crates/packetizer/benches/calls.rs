//! What a call costs the multiplexer: `cargo bench -p packetizer`. Each figure is the median of 7 rounds.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

#[path = "../tests/it/counted.rs"]
mod counted;

use std::time::{Duration, Instant};

use bytes::Bytes;
use counted::{Ask, Counted};
use frame_codec::LengthPrefixed;
use packetizer::{Limits, Mux};

const ROUNDS: usize = 7;

fn mux() -> Mux<Counted, u32> {
    Mux::new(LengthPrefixed::u32_be(), Counted::default(), Limits::default())
}

fn request(mux: &mut Mux<Counted, u32>, waiter: u32) {
    assert!(mux.request(&Ask, waiter).is_ok(), "there is room");
}

fn transmit(mux: &mut Mux<Counted, u32>) {
    while let Some(block) = mux.poll_transmit() {
        mux.handle_written(block.len());
    }
}

fn answer(mux: &mut Mux<Counted, u32>, frame: Bytes) {
    mux.handle_frame(frame).expect("it was asked");
    assert!(mux.poll_output().is_some());
}

/// All calls wait at once; then they are answered, the newest first.
fn in_flight(calls: u32) -> Duration {
    let mut mux = mux();
    // The replies share one block, as they do when they arrive together.
    let block = Bytes::from_iter((0..calls).flat_map(u32::to_be_bytes));
    let start = Instant::now();
    (0..calls).for_each(|waiter| request(&mut mux, waiter));
    transmit(&mut mux);
    (0..calls as usize).rev().for_each(|number| answer(&mut mux, block.slice(4 * number..4 * number + 4)));
    start.elapsed() / calls
}

fn one_at_a_time(calls: u32) -> Duration {
    let mut mux = mux();
    let start = Instant::now();
    for number in 0..calls {
        request(&mut mux, number);
        transmit(&mut mux);
        answer(&mut mux, Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    start.elapsed() / calls
}

/// Bytes of this process in memory (`/proc/self/statm`, proc(5)).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or_default() * 4096
}

fn median(round: impl FnMut() -> Duration) -> Duration {
    let mut rounds: Vec<_> = std::iter::repeat_with(round).take(ROUNDS).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn main() {
    for calls in [64, 1_024, 32_000] {
        println!("{calls} calls in flight: {:?} a call", median(|| in_flight(calls)));
    }
    one_at_a_time(1_000);
    let before = resident();
    println!("1,000,000 calls one at a time: {:?} a call", median(|| one_at_a_time(1_000_000)));
    println!("resident memory before and after: {} KiB, {} KiB", before >> 10, resident() >> 10);
}
