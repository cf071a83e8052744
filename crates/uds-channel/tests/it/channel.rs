//! The channel as a user of it sees it: both modes, peers that misbehave, signals.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use serde::{Deserialize, Serialize};
use uds_channel::{
    Blocking, Buffers, Capacity, Channel, Flush, FlushError, Json, NonBlocking, Prost, Readiness, RecvError, SendError,
    Verbatim,
};

use crate::signals;

type Bytes<Mode> = Channel<[u8], Vec<u8>, Mode, Verbatim>;

const HANG: Duration = Duration::from_secs(20);

fn pair_of(buffers: Buffers) -> (Bytes<Blocking>, Bytes<Blocking>) {
    let (here, there) = UnixStream::pair().expect("a pair");
    (Channel::new(here, Verbatim, buffers), Channel::new(there, Verbatim, buffers))
}

fn pair() -> (Bytes<Blocking>, Bytes<Blocking>) {
    pair_of(Buffers::default())
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u64 + 8).to_le_bytes()[..], payload].concat()
}

/// What the kernel says about the socket now.
fn state(socket: impl std::os::fd::AsFd) -> PollFlags {
    let all = PollFlags::IN | PollFlags::OUT | PollFlags::RDHUP;
    let mut sockets = [PollFd::new(&socket, all)];
    poll(&mut sockets, Some(&Timespec::default())).expect("poll works");
    sockets[0].revents()
}

#[test]
fn a_client_that_has_asked_everything_still_gets_its_answers() {
    let (mut client, mut server) = pair();
    client.send(b"one").unwrap();
    client.send(b"two").unwrap();
    client.finish().unwrap();
    assert!(matches!(client.send(b"late"), Err(SendError::Finished)));
    assert!(state(&server).contains(PollFlags::IN | PollFlags::RDHUP), "data and the hang-up are told together");
    assert_eq!((server.recv().unwrap(), server.recv().unwrap()), (b"one".to_vec(), b"two".to_vec()));
    assert!(matches!(server.recv(), Err(RecvError::Ended)));
    server.send(b"answer").unwrap();
    assert_eq!(client.recv_timeout(HANG).unwrap(), b"answer");
    drop(server);
    assert!(matches!(client.recv(), Err(RecvError::Ended)));
}

#[test]
fn what_was_sent_before_a_hang_up_is_received_in_an_event_loop_too() {
    let (mut client, server) = pair();
    let mut server = server.into_nonblocking();
    let events = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    epoll::add(&events, &server, epoll::EventData::new_u64(1), flags).unwrap();
    for message in [&b"last"[..], b"words"] {
        client.send(message).unwrap();
    }
    drop(client);
    let mut found = Vec::with_capacity(4);
    epoll::wait(&events, rustix::buffer::spare_capacity(&mut found), Some(&Timespec::default())).unwrap();
    let flags = found[0].flags;
    assert!(flags.contains(epoll::EventFlags::HUP | epoll::EventFlags::IN), "{flags:?}");
    assert_eq!(server.run().unwrap(), Flush::Done);
    assert_eq!(server.try_recv().unwrap().as_deref(), Some(&b"last"[..]));
    assert_eq!(server.try_recv().unwrap().as_deref(), Some(&b"words"[..]));
    assert!(matches!(server.try_recv(), Err(RecvError::Ended)));
    assert!(server.interest().is_none(), "nothing is left to wait for");
}

#[test]
fn a_reset_is_told_after_the_messages_before_it_and_stays() {
    let (mut here, mut there) = pair();
    there.send(b"read me").unwrap();
    here.send(b"never read").unwrap();
    drop(there); // with unread input: the kernel resets the connection
    assert_eq!(here.recv().unwrap(), b"read me");
    for _ in 0..2 {
        let error = here.recv().unwrap_err();
        assert!(
            matches!(&error, RecvError::Receive { source } if source.kind() == std::io::ErrorKind::ConnectionReset)
        );
        assert!(!error.peer_usable() && !error.is_retryable());
    }
}

#[test]
fn lengths_that_cannot_be_are_final_and_take_no_memory() {
    let over = |max: u64| max + 1;
    for said in [0, 1, 7, over(4096), u64::from(u32::MAX), u64::MAX - 7, u64::MAX] {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel: Bytes<Blocking> = Channel::new(here, Verbatim, Buffers::both(Capacity::growable(64, 4096)));
        there.write_all(&frame(b"before")).unwrap();
        there.write_all(&said.to_le_bytes()).unwrap();
        there.write_all(&frame(b"what looks like a message and may be a part of one")).unwrap();
        assert_eq!(channel.recv_timeout(HANG).unwrap(), b"before");
        for _ in 0..3 {
            let error = channel.recv_timeout(HANG).unwrap_err();
            assert!(matches!(error, RecvError::Malformed { .. }), "{said}: {error:?}");
            assert!(error.is_peer_fault() && !error.peer_usable() && !error.is_retryable());
        }
        let mut channel = channel.into_nonblocking();
        assert!(matches!(channel.try_recv(), Err(RecvError::Malformed { .. })));
        assert!(!channel.interest().readable, "a broken stream is not read on");
    }
}

#[test]
fn garbage_of_any_kind_ends_in_an_error_and_never_in_a_hang() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..300 {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel: Bytes<Blocking> = Channel::new(here, Verbatim, Buffers::both(Capacity::fixed(256)));
        let mut bytes = Vec::new();
        for _ in 0..random() % 20 {
            match random() % 4 {
                0 => bytes.extend((random() % 300).to_le_bytes()),
                1 => bytes.extend(frame(&vec![1; (random() % 249) as usize])),
                2 => bytes.extend(random().to_le_bytes()),
                _ => bytes.extend(std::iter::repeat_n(0xff, (random() % 9) as usize)),
            }
        }
        there.write_all(&bytes).unwrap();
        drop(there);
        let error = loop {
            match channel.recv_timeout(HANG) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let ended = matches!(error, RecvError::Ended | RecvError::Truncated { .. } | RecvError::Malformed { .. });
        assert!(ended, "round {round}: {error:?}");
    }
}

#[test]
fn a_message_that_cannot_be_decoded_is_one_message() {
    let (here, there) = UnixStream::pair().unwrap();
    let mut raw: Bytes<Blocking> = Channel::from_stream(there);
    let mut channel: Channel<u32, u32, Blocking, Json> = Channel::from_stream(here);
    for text in ["1", "one", "", "3"] {
        raw.send(text.as_bytes()).unwrap();
    }
    assert_eq!(channel.recv().unwrap(), 1);
    for len in [3, 0] {
        let error = channel.recv().unwrap_err();
        assert!(matches!(error, RecvError::Decode { len: said, .. } if said == len), "{error:?}");
        assert!(error.is_peer_fault() && error.peer_usable() && !error.is_retryable());
    }
    assert_eq!(channel.recv().unwrap(), 3);
}

#[test]
fn signals_neither_end_a_wait_nor_make_it_longer() {
    let timeout = Duration::from_millis(100);
    let (mut channel, mut there) = pair();
    // On a busy machine, the interrupting thread may not run in all that time.
    let interrupted = (0..50).any(|_| {
        let begun = Instant::now();
        let (outcome, interrupted) = signals::while_interrupted(|| channel.recv_timeout(timeout));
        let waited = begun.elapsed();
        assert!(matches!(outcome, Err(RecvError::TimedOut { .. })), "{outcome:?}");
        assert!(waited >= timeout && waited < HANG, "{waited:?}");
        interrupted > 0
    });
    assert!(interrupted, "no signal came while it waited");
    let large = vec![7; 1 << 20];
    let receiving = thread::spawn(move || channel.recv_timeout(HANG));
    let (sent, _) = signals::while_interrupted(|| there.send(&large));
    sent.unwrap();
    assert!(receiving.join().unwrap().unwrap() == large);
}

#[test]
fn writing_to_a_peer_that_is_gone_is_an_error_and_no_signal() {
    test_kit::alone!();
    let signalled = signals::count_broken_pipes();
    let (mut here, there) = pair();
    drop(there);
    let error = here.send(b"anybody?").unwrap_err();
    let SendError::Flush(FlushError::Send { source, left: 16 }) = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::BrokenPipe);
    assert!(!error.peer_usable() && !error.is_retryable());
    assert!(
        matches!(here.send(b"nobody"), Err(SendError::Flush(FlushError::Send { left: 16, .. }))),
        "it says so again, and queues nothing"
    );
    let mut here = here.into_nonblocking();
    assert!(matches!(here.run(), Err(FlushError::Send { .. })));
    assert!(!here.interest().writable);
    assert_eq!(signalled(), 0, "SIGPIPE was raised");
}

#[test]
fn nothing_that_was_queued_is_stranded() {
    let (here, mut there) = pair_of(Buffers::both(Capacity::growable(64, 1 << 20)));
    let mut here = here.into_nonblocking();
    let message = vec![b'm'; 100_000];
    let mut queued = 0;
    let full = loop {
        match here.try_send(&message) {
            Ok(_) => queued += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::Full { max: 1_048_576, .. }) && full.is_retryable(), "{full:?}");
    assert_eq!(here.interest(), Readiness::BOTH);
    assert_eq!(here.on_readiness(Readiness::READABLE).unwrap(), Flush::Pending { bytes: here.unsent_bytes() });
    let receiving = thread::spawn(move || {
        let mut received = 0;
        while there.recv_timeout(HANG).is_ok_and(|received| received == vec![b'm'; 100_000]) {
            received += 1;
        }
        received
    });
    let mut flush = here.finish().unwrap();
    while !flush.is_done() {
        assert!(here.interest().writable);
        let mut sockets = [PollFd::new(&here, PollFlags::OUT)];
        assert_eq!(poll(&mut sockets, Some(&Timespec { tv_sec: 20, tv_nsec: 0 })), Ok(1));
        flush = here.on_readiness(Readiness::WRITABLE).unwrap();
    }
    assert!(!here.interest().writable);
    assert_eq!(receiving.join().unwrap(), queued);
    assert!(matches!(here.queue(b"late"), Err(SendError::Finished)));
}

#[test]
fn a_buffer_full_of_messages_is_no_reason_to_spin_and_loses_none() {
    let (here, there) = pair_of(Buffers::both(Capacity::fixed(1024)));
    let mut here = here.into_nonblocking();
    let mut there = there.into_nonblocking();
    for n in 0..200_u8 {
        assert_eq!(there.try_send(&[n; 50]).unwrap(), Flush::Done);
    }
    assert_eq!(here.run().unwrap(), Flush::Done);
    assert_eq!(here.unread_bytes(), 1024);
    assert!(!here.interest().readable, "a level-triggered loop would be told again and again");
    for n in 0..200_u8 {
        assert_eq!(here.try_recv().unwrap(), Some(vec![n; 50]), "without another event");
    }
    assert_eq!(here.try_recv().unwrap(), None);
    assert!(here.interest().readable);
}

#[test]
fn two_that_send_before_they_read_do_not_wait_for_each_other() {
    let (mut left, mut right) = pair();
    let large = vec![0; 1 << 20]; // more than both socket buffers, less than the receiving buffer
    let other = large.clone();
    let thread = thread::spawn(move || {
        right.send_timeout(&other, HANG).unwrap();
        right.recv_timeout(HANG)
    });
    left.send_timeout(&large, HANG).unwrap();
    assert!(left.recv_timeout(HANG).unwrap() == large);
    assert!(thread.join().unwrap().unwrap() == large);
}

#[test]
fn a_peer_that_never_reads_runs_into_the_timeout() {
    let (mut here, there) = pair();
    let timeout = Duration::from_millis(30);
    let error = here.send_timeout(&vec![0; 1 << 20], timeout).unwrap_err();
    assert!(matches!(error, SendError::Unfinished { left, .. } if left == here.unsent_bytes()), "{error:?}");
    assert!(error.peer_usable() && !error.is_retryable(), "sent again it would arrive twice");
    let error = here.send_timeout(&vec![0; 2_000_000], timeout).unwrap_err();
    assert!(matches!(error, SendError::TimedOut { .. }) && error.is_retryable(), "{error:?}");
    drop(there);
}

#[test]
fn the_flag_of_the_descriptor_is_neither_needed_nor_changed() {
    for nonblocking in [false, true] {
        let (here, there) = UnixStream::pair().unwrap();
        here.set_nonblocking(nonblocking).unwrap();
        let flags = || rustix::fs::fcntl_getfl(&there).unwrap();
        let mut there_channel: Bytes<Blocking> = Channel::from_stream(there.try_clone().unwrap());
        let mut channel: Bytes<Blocking> = Channel::from_stream(here);
        let before = flags();
        assert!(matches!(channel.recv_timeout(Duration::from_millis(5)), Err(RecvError::TimedOut { .. })));
        there_channel.send(b"x").unwrap();
        assert_eq!(channel.recv().unwrap(), b"x");
        let mut channel: Bytes<NonBlocking> = channel.into_nonblocking();
        assert!(channel.try_recv().unwrap().is_none());
        let _ = there_channel.into_nonblocking().run().unwrap();
        assert_eq!(flags(), before);
    }
}

#[test]
fn taken_apart_a_channel_gives_back_every_byte() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut here: Bytes<NonBlocking> = Bytes::from_stream(here).into_nonblocking();
    here.queue(b"unsent").unwrap();
    let wire = [frame(b"taken"), frame(b"left"), vec![20, 0, 0]].concat();
    there.write_all(&wire).unwrap();
    assert_eq!(here.try_recv().unwrap().as_deref(), Some(&b"taken"[..]));
    let parts = here.into_parts();
    assert_eq!((parts.unread, parts.unsent), (wire[13..].to_vec(), frame(b"unsent")));
    (&parts.stream).write_all(b"still open").unwrap();
    drop(parts.stream);
    let mut text = String::new();
    there.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still open");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Order {
    Stop,
    Move { x: i32, y: i32 },
}

#[derive(Clone, PartialEq, prost::Message)]
struct Point {
    #[prost(int32, tag = "1")]
    x: i32,
    #[prost(string, tag = "2")]
    label: String,
}

#[test]
fn messages_are_what_the_codec_makes_of_them() {
    let (mut here, there) = Channel::<Order, Order, Blocking, Json>::pair().unwrap();
    let mut there = there.into_blocking();
    for order in [Order::Stop, Order::Move { x: -1, y: 7 }] {
        here.send(&order).unwrap();
        assert_eq!(there.recv().unwrap(), order);
    }

    let (mut here, there) = Channel::<Point, Point, Blocking, Prost>::pair().unwrap();
    let mut there = there.into_blocking();
    let point = Point { x: 3, label: "three".into() };
    here.send(&point).unwrap();
    assert_eq!(there.recv().unwrap(), point);

    struct Unspeakable;
    impl Serialize for Unspeakable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no words"))
        }
    }
    let (here, _there) = UnixStream::pair().unwrap();
    let mut mute: Channel<Unspeakable, (), Blocking, Json> = Channel::from_stream(here);
    let error = mute.send(&Unspeakable).unwrap_err();
    assert!(matches!(error, SendError::Encode { .. }) && error.peer_usable());
    assert_eq!(mute.unsent_bytes(), 0);
}

#[test]
fn a_message_too_large_for_the_sending_buffer_is_rejected_and_the_next_one_is_sent() {
    let send = Capacity::fixed(100);
    let (mut here, mut there) = pair_of(Buffers { receive: Capacity::default(), send });
    let error = here.send(&[0; 93]).unwrap_err();
    assert!(matches!(error, SendError::TooLarge { len: 93, max: 92 }) && error.peer_usable(), "{error:?}");
    here.send(&[1; 92]).unwrap();
    assert_eq!(there.recv().unwrap(), [1; 92]);
}

#[test]
fn connecting_to_a_path_gives_a_channel_and_to_none_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("in.sock");
    let error = Bytes::connect(&path).unwrap_err();
    assert!(matches!(&error, uds_socket::ConnectError::NotThere { missing, .. } if *missing == path), "{error:?}");
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = Bytes::connect(&path).unwrap();
    let mut server = Bytes::from_stream(listener.accept().unwrap().0);
    client.send(b"hello").unwrap();
    assert_eq!(server.recv().unwrap(), b"hello");
    let peer = uds_socket::Peer::of(&server).unwrap();
    assert_eq!(peer.pid(), Some(std::process::id()));
}

#[test]
fn every_error_says_what_to_do_on_one_line() {
    let (mut here, there) = pair();
    drop(there);
    let received = [here.recv().unwrap_err(), here.recv_timeout(HANG).unwrap_err()].map(|error| error.to_string());
    for text in received.into_iter().chain([here.send(b"x").unwrap_err().to_string()]) {
        assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase) && !text.contains('\n'), "{text}");
    }
}
