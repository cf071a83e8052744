//! Every interleaving of senders, actor and receiver that loom can find, on the real outbox and the real inbox.
//!
//! A short loop plays the actor. It does what the task does with the queues: take, write, record it, park. Loom reports
//! a lost wake-up as a deadlock; a torn or doubled frame shows on the "wire". Here, two short lines fill a block, so
//! that senders write blocks and yield as they do with many more bytes.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use frame_codec::{Batch, Delimited, Encoder, Intake, Limits};
use loom::{future::block_on, model::Builder, thread};

use crate::{
    FlushError, Overflow, SendError,
    count::Count,
    inbox::Inbox,
    outbox::{Outbox, Taken},
    outlet::Outlet,
    packet::{Semantics, packets::Packets},
    payload::Payload,
    report::Arrived,
    requests::Requests,
    stream::frames::{BLOCK, Frames},
    sync::Mutex,
    waiters::Ticket,
    write_shared::WriteShared,
};

/// Explores with at most two forced switches, unless `LOOM_MAX_PREEMPTIONS` is set: such bugs need few.
fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// What the kernel has received. It accepts at most this many bytes at once.
#[derive(Debug)]
struct Wire {
    bytes: Mutex<Vec<u8>>,
    at_once: usize,
    /// Whether senders ever wrote a block. Shared by all runs of a model, and not part of it.
    blocks: Option<Arc<AtomicBool>>,
}

impl Wire {
    fn new(at_once: usize) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(Vec::new()), at_once, blocks: None })
    }

    fn telling_of_blocks(at_once: usize, blocks: &Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self { bytes: Mutex::new(Vec::new()), at_once, blocks: Some(Arc::clone(blocks)) })
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> usize {
        let mut wire = self.bytes.lock().unwrap();
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(self.at_once).collect();
        wire.extend_from_slice(&bytes);
        bytes.len()
    }

    fn lines(&self) -> Vec<String> {
        let bytes = self.bytes.lock().unwrap();
        String::from_utf8(bytes.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl WriteShared for Wire {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if let Some(blocks) = &self.blocks
            && slices.iter().map(|slice| slice.len()).sum::<usize>() >= BLOCK
        {
            blocks.store(true, Ordering::Relaxed);
        }
        Ok(self.write(slices))
    }
}

fn outbox(bytes: usize, writer: Option<Arc<dyn WriteShared>>) -> Arc<Outbox<Frames<Delimited>>> {
    let frames = Frames::new(Delimited::lines(), Limits::default(), bytes, writer);
    Arc::new(Outbox::new(frames, Overflow::Wait, Arc::new(Requests::default())))
}

/// Starts the actor in a separate thread.
fn start(outbox: &Arc<Outbox<Frames<Delimited>>>, wire: &Arc<Wire>) -> thread::JoinHandle<()> {
    let (outbox, wire) = (Arc::clone(outbox), Arc::clone(wire));
    thread::spawn(move || act(&outbox, &wire))
}

/// What the task does with an outbox, until that is finished and empty.
fn act(outbox: &Outbox<Frames<Delimited>>, wire: &Wire) {
    let mut taken = Encoder::new(Delimited::lines(), Limits::default());
    block_on(poll_fn(|cx| {
        loop {
            match outbox.take(&mut taken, cx) {
                Taken::Nothing => return Poll::Pending,
                Taken::Last => return Poll::Ready(()),
                Taken::Messages => {
                    let pending = taken.pending_bytes();
                    while taken.has_pending() {
                        let mut slices = [IoSlice::new(&[]); 4];
                        let used = taken.io_slices(&mut slices);
                        let count = wire.write(&slices[..used]);
                        taken.consume(count);
                    }
                    outbox.note_written(pending as u64, |_| ());
                }
            }
        }
    }));
}

fn send(outbox: &impl Outlet, line: &str) {
    try_send(outbox, line).unwrap();
}

/// Queues a line, unless the connection has ended.
fn try_send(outbox: &impl Outlet, line: &str) -> Result<(), Box<SendError>> {
    let mut ticket = Ticket::new();
    block_on(poll_fn(|cx| outbox.poll_push(cx, &mut ticket, Payload::lent(line.as_bytes()))))
}

fn flush(outbox: &impl Outlet) -> Result<(), FlushError> {
    let (mark, mut ticket) = (outbox.mark(), Ticket::new());
    block_on(poll_fn(|cx| outbox.poll_written(cx, &mut ticket, mark)))
}

/// Room for one packet, until it is sent.
fn packets() -> Arc<Outbox<Packets>> {
    let packets = Packets::new(1, 1 << 10, Semantics::Connection);
    Arc::new(Outbox::new(packets, Overflow::Wait, Arc::new(Requests::default())))
}

/// What the task does with an outbox of packets, until that is finished and empty, or the peer is gone after this many.
/// Returns how many packets are left over.
fn act_on_packets(outbox: &Outbox<Packets>, wire: &Wire, most: usize) -> usize {
    let mut taken: VecDeque<Bytes> = VecDeque::new();
    let mut sent = 0;
    block_on(poll_fn(|cx| {
        loop {
            match taken.pop_front() {
                Some(packet) if sent == most => {
                    taken.push_front(packet);
                    outbox.refuse();
                    return Poll::Ready(());
                }
                Some(packet) => {
                    wire.write(&[IoSlice::new(&packet), IoSlice::new(b"\n")]);
                    sent += 1;
                    let settled = Count { frames: 1, bytes: packet.len() as u64 };
                    outbox.note_written(1, |packets| packets.settle(settled));
                }
                None => match outbox.take(&mut taken, cx) {
                    Taken::Nothing => return Poll::Pending,
                    Taken::Last => return Poll::Ready(()),
                    Taken::Messages => {}
                },
            }
        }
    }));
    taken.len() + outbox.close().unsent.len()
}

/// Every line once, and those of one sender in order.
fn assert_two_of_ours_and_one_of_theirs(lines: &[String]) {
    assert_eq!(lines.len(), 3, "{lines:?}");
    let place = |line: &str| lines.iter().position(|found| found == line).expect("every line is on the wire");
    assert!(place("a1") < place("a2") && place("b1") < 3, "{lines:?}");
}

#[test]
fn a_sender_that_waits_for_room_is_woken_and_keeps_its_order() {
    explore(|| {
        let wire = Wire::new(usize::MAX);
        let outbox = outbox(8, None); // room for one of these lines at a time
        let actor = start(&outbox, &wire);
        send(&*outbox, "a1");
        send(&*outbox, "a2");
        outbox.drop_sender();
        actor.join().unwrap();
        assert_eq!(wire.lines(), ["a1", "a2"]);
    });
}

#[test]
fn of_two_senders_that_want_the_same_room_neither_is_forgotten() {
    explore(|| {
        let wire = Wire::new(usize::MAX);
        let outbox = outbox(8, None);
        outbox.add_sender();
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                send(&*outbox, "b1");
                outbox.drop_sender();
            }
        });
        let actor = start(&outbox, &wire);
        send(&*outbox, "a1");
        outbox.drop_sender();
        other.join().unwrap();
        actor.join().unwrap();
        let mut lines = wire.lines();
        lines.sort();
        assert_eq!(lines, ["a1", "b1"]);
    });
}

#[test]
fn only_the_holder_of_the_token_writes_and_nothing_is_torn() {
    // A wire that accepts a line and a little more leaves a block half written, and one that accepts a byte at a time
    // leaves every line half written. The actor must finish it.
    for at_once in [usize::MAX, 4, 1] {
        let blocks = Arc::new(AtomicBool::default());
        let told = Arc::clone(&blocks);
        explore(move || {
            let wire = Wire::telling_of_blocks(at_once, &told);
            let outbox = outbox(1 << 10, Some(Arc::clone(&wire) as Arc<dyn WriteShared>));
            outbox.add_sender();
            let actor = start(&outbox, &wire);
            let other = thread::spawn({
                let outbox = Arc::clone(&outbox);
                move || {
                    send(&*outbox, "b1");
                    outbox.drop_sender();
                }
            });
            send(&*outbox, "a1");
            send(&*outbox, "a2");
            outbox.drop_sender();
            other.join().unwrap();
            actor.join().unwrap();
            assert_two_of_ours_and_one_of_theirs(&wire.lines());
        });
        // If not even a line goes out at once, the actor must write everything.
        assert_eq!(blocks.load(Ordering::Relaxed), at_once > 1, "blocks written by senders, {at_once} bytes at once");
    }
}

#[test]
fn a_flush_ends_when_its_line_is_on_the_wire_and_not_before() {
    explore(|| {
        let wire = Wire::new(2);
        let outbox = outbox(1 << 10, Some(Arc::clone(&wire) as Arc<dyn WriteShared>));
        let actor = start(&outbox, &wire);
        send(&*outbox, "mine");
        flush(&*outbox).unwrap();
        assert_eq!(wire.lines(), ["mine"]);
        outbox.drop_sender();
        actor.join().unwrap();
    });
}

#[test]
fn a_flush_ends_when_another_sender_has_written_its_line() {
    let blocks = Arc::new(AtomicBool::default());
    let told = Arc::clone(&blocks);
    explore(move || {
        let wire = Wire::telling_of_blocks(usize::MAX, &told);
        let outbox = outbox(1 << 10, Some(Arc::clone(&wire) as Arc<dyn WriteShared>));
        outbox.add_sender();
        let actor = start(&outbox, &wire);
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                send(&*outbox, "b1");
                send(&*outbox, "b2");
                outbox.drop_sender();
            }
        });
        send(&*outbox, "mine");
        flush(&*outbox).unwrap();
        assert!(wire.lines().contains(&"mine".to_owned()));
        outbox.drop_sender();
        other.join().unwrap();
        actor.join().unwrap();
        assert_eq!(wire.lines().len(), 3);
    });
    assert!(blocks.load(Ordering::Relaxed), "no block was ever written");
}

#[test]
fn packets_that_wait_for_those_before_them_to_be_sent_are_woken_and_keep_their_order() {
    explore(|| {
        let wire = Wire::new(usize::MAX);
        let outbox = packets();
        outbox.add_sender();
        let actor = thread::spawn({
            let (outbox, wire) = (Arc::clone(&outbox), Arc::clone(&wire));
            move || act_on_packets(&outbox, &wire, usize::MAX)
        });
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                send(&*outbox, "b1");
                outbox.drop_sender();
            }
        });
        send(&*outbox, "a1");
        send(&*outbox, "a2");
        flush(&*outbox).unwrap();
        assert!(wire.lines().contains(&"a2".to_owned()));
        outbox.drop_sender();
        other.join().unwrap();
        assert_eq!(actor.join().unwrap(), 0);
        assert_two_of_ours_and_one_of_theirs(&wire.lines());
    });
}

#[test]
fn waiting_senders_learn_that_the_peer_is_gone_and_every_packet_is_accounted_for() {
    explore(|| {
        let wire = Wire::new(usize::MAX);
        let outbox = packets();
        outbox.add_sender();
        let actor = thread::spawn({
            let (outbox, wire) = (Arc::clone(&outbox), Arc::clone(&wire));
            move || act_on_packets(&outbox, &wire, 1)
        });
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                let sent = usize::from(try_send(&*outbox, "b1").is_ok());
                outbox.drop_sender();
                sent
            }
        });
        let ours: Vec<_> = ["a1", "a2"].into_iter().filter(|line| try_send(&*outbox, line).is_ok()).collect();
        let is_flushed = flush(&*outbox).is_ok();
        let flushed = if is_flushed { wire.lines() } else { Vec::new() };
        outbox.drop_sender();
        let sent = ours.len() + other.join().unwrap();
        let left = actor.join().unwrap();
        assert_eq!(wire.lines().len() + left, sent, "{left} left over");
        assert!(!is_flushed || ours.iter().all(|line| flushed.iter().any(|there| there == line)), "{flushed:?}");
    });
}

#[test]
fn an_actor_without_credit_is_woken_when_memory_comes_back() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(1)); // room for one batch at a time
        let actor = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                for word in ["one", "two"] {
                    block_on(poll_fn(|cx| match inbox.intake(cx) {
                        Intake::Open => Poll::Ready(()),
                        Intake::Paused => Poll::Pending,
                    }));
                    inbox.push(Batch::single(word.as_bytes().into()));
                }
                inbox.end();
            }
        });
        let mut kept = None;
        let mut words = Vec::new();
        while let Some(batch) = block_on(poll_fn(|cx| inbox.poll_take(cx))) {
            // The previous one is dropped only now, after a reader without credit has asked for the next one.
            words.extend(batch.iter().map(|word| String::from_utf8(word.to_vec()).unwrap()));
            drop(kept.replace(batch));
            kept = None;
        }
        drop(kept);
        actor.join().unwrap();
        assert_eq!(words, ["one", "two"]);
        let Arrived { received, delivered, lost, .. } = inbox.counts();
        assert_eq!((received.frames, delivered.frames, lost.frames), (2, 2, 0));
    });
}

#[test]
fn what_a_dropped_receiver_leaves_is_counted_whenever_it_goes() {
    explore(|| {
        let inbox = Arc::new(Inbox::new(1 << 10));
        let actor = thread::spawn({
            let inbox = Arc::clone(&inbox);
            move || {
                inbox.push(Batch::single("one".into()));
                inbox.push(Batch::single("two".into()));
                inbox.end();
            }
        });
        let taken = inbox.poll_take(&Context::from_waker(Waker::noop()));
        let taken = matches!(&taken, Poll::Ready(Some(_))) as u64;
        inbox.drop_receiver(Count::default());
        actor.join().unwrap();
        let Arrived { received, delivered, lost, .. } = inbox.counts();
        assert_eq!((received.frames, delivered.frames, lost.frames), (2, taken, 2 - taken));
    });
}
