//! Where the time goes in a codec: finding frames, returning them, queueing them, and the system call.
//!
//! `cargo bench -p frame-codec` prints medians of seven rounds. Compare rows of one run, not runs of different
//! machines. If one thread does all the work, the time is CPU time, so that a busy machine disturbs it less. The socket
//! section measures wall time and needs an idle machine. With a word after `--`, only the sections with a name that
//! contains it run.
#![expect(clippy::print_stdout, reason = "a table is what it makes")]

use std::{
    hint::black_box,
    io::{IoSlice, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use frame_codec::{Decoder, Delimited, Encoder, Framing, LengthPrefixed, Limits};

const ROUNDS: usize = 7;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let sections: [(&str, fn()); 3] = [("decode", decode), ("encode", encode), ("share", share)];
    for (name, section) in sections.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        println!("\n{name}");
        section();
    }
}

/// Median nanoseconds per message over the rounds.
fn median(messages: usize, mut round: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    times.sort_unstable();
    times[ROUNDS / 2].as_secs_f64() * 1e9 / messages as f64
}

/// Time this thread has spent on a CPU.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.try_into().expect("time since the thread began")
}

/// A stream in reads of at most a socket buffer through a decoder: every payload byte is counted, batches are dropped
/// or held.
fn decode() {
    println!("{:>10} {:>18} {:>12} {:>14}", "payload", "framing", "ns/message", "GB/s");
    for size in [16, 64, 1024, 16 << 10, 64 << 10, 1 << 20] {
        row("u32_be", &LengthPrefixed::u32_be(), size);
        row("lines", &Delimited::lines(), size);
    }
}

fn row<F: Framing + Clone>(name: &str, framing: &F, size: usize) {
    const TOTAL: usize = 128 << 20;
    const KERNEL: usize = 208 << 10;
    let messages = TOTAL / size;
    let mut encoder = Encoder::new(framing.clone(), Limits::default());
    while encoder.pending_bytes() < (4 << 20).max(32 * size) {
        encoder.push(&vec![b'x'; size]).expect("the payload is small and plain");
    }
    let per_pass = encoder.pending_frames();
    let wire = Bytes::copy_from_slice(encoder.chunk());
    for held in [0, 4] {
        let ns = median(messages / per_pass * per_pass, || {
            let begun = cpu_time();
            for _ in 0..messages / per_pass {
                let mut decoder = Decoder::new(framing.clone(), Limits::default());
                let mut held_batches = std::collections::VecDeque::new();
                let mut frames = 0;
                let mut rest = &wire[..];
                while !rest.is_empty() {
                    {
                        let mut room = decoder.room();
                        let len = room.remaining_mut().min(KERNEL).min(rest.len());
                        let (now, later) = rest.split_at(len);
                        room.put_slice(now);
                        rest = later;
                    }
                    while let Some(batch) = decoder.next_batch().expect("what was encoded is well formed") {
                        frames += batch.iter().map(|frame| usize::from(black_box(frame).len() == size)).sum::<usize>();
                        if held > 0 {
                            held_batches.push_back(batch);
                            if held_batches.len() > held {
                                held_batches.pop_front();
                            }
                        }
                    }
                }
                assert_eq!(frames, per_pass);
            }
            cpu_time() - begun
        });
        let name = if held > 0 { format!("{name}, {held} held") } else { name.to_owned() };
        println!("{size:>10} {name:>18} {ns:>12.1} {:>14.2}", size as f64 / ns);
    }
}

/// Only queueing: payloads go into the slab, and the slab is discarded.
fn encode() {
    println!("{:>10} {:>12}", "payload", "ns/message");
    for size in [16, 64, 1024, 16 << 10] {
        let payload = vec![b'x'; size];
        let messages = (16 << 20) / size;
        let ns = median(messages, || {
            let mut encoder = Encoder::new(LengthPrefixed::u32_be(), Limits::default());
            let begun = cpu_time();
            for _ in 0..messages {
                encoder.push(black_box(&payload)).expect("it fits");
                if encoder.pending_bytes() > 64 << 10 {
                    let all = encoder.pending_bytes();
                    encoder.consume(all);
                }
            }
            cpu_time() - begun
        });
        println!("{size:>10} {ns:>12.1}");
    }
}

/// A payload copied next to its neighbours, or left where it is: the same messages over a real socket pair.
fn share() {
    println!("{:>10} {:>14} {:>14}", "payload", "copied ns", "iovecs ns");
    for size in [512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10] {
        let messages = (64 << 20) / size;
        // The payloads are not contiguous, as those of real messages are not.
        let payloads: Vec<Bytes> = (0..64).map(|_| Bytes::from(vec![b'x'; size])).collect();
        let per_write = ((128 << 10) / size).clamp(1, 512);
        let copied = median(messages, || {
            let mut slab = BytesMut::new();
            over_a_socket(messages.div_ceil(per_write), |stream| {
                slab.clear();
                for payload in payloads.iter().cycle().take(per_write) {
                    slab.put_u32(size as u32);
                    slab.extend_from_slice(payload);
                }
                stream.write_all(&slab).expect("the reader reads to the end");
                slab.len()
            })
        });
        let shared = median(messages, || {
            let mut heads = BytesMut::new();
            over_a_socket(messages.div_ceil(per_write), |stream| {
                heads.clear();
                let queued: Vec<Bytes> = payloads.iter().cycle().take(per_write).cloned().collect();
                for _ in &queued {
                    heads.put_u32(size as u32);
                }
                let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(2 * per_write);
                for (head, payload) in heads.chunks(4).zip(&queued) {
                    slices.extend([IoSlice::new(head), IoSlice::new(payload)]);
                }
                let total = heads.len() + per_write * size;
                let mut left = &mut slices[..];
                while !left.is_empty() {
                    let written = stream.write_vectored(left).expect("the reader reads to the end");
                    IoSlice::advance_slices(&mut left, written);
                }
                total
            })
        });
        println!("{size:>10} {copied:>14.0} {shared:>14.0}");
    }
}

/// Time from the first write until the other end has read everything.
fn over_a_socket(writes: usize, mut write: impl FnMut(&mut UnixStream) -> usize) -> Duration {
    let (mut here, mut there) = UnixStream::pair().expect("a socket pair");
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0;
        while let Ok(len @ 1..) = there.read(&mut buffer) {
            total += len;
        }
        total
    });
    let begun = Instant::now();
    let sent: usize = (0..writes).map(|_| write(&mut here)).sum();
    drop(here);
    assert_eq!(reader.join().expect("the reader does not panic"), sent);
    begun.elapsed()
}
