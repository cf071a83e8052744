//! Internals of a channel that only a unit test can count and interrupt.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use super::*;

type Bytes<Mode> = Channel<[u8], Vec<u8>, Mode, Verbatim>;

fn over_socket(buffers: Buffers) -> (Bytes<Blocking>, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (Channel::new(here, Verbatim, buffers), there)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u64 + 8).to_le_bytes()[..], payload].concat()
}

#[test]
fn an_idle_wait_is_one_poll_and_lasts_as_long_as_it_should() {
    let (mut channel, _there) = over_socket(Buffers::default());
    let begun = Instant::now();
    let error = channel.recv_timeout(Duration::from_millis(30)).unwrap_err();
    assert!(matches!(error, RecvError::TimedOut { after } if after == Duration::from_millis(30)), "{error:?}");
    assert!(begun.elapsed() >= Duration::from_millis(30));
    assert_eq!(channel.coded.framed.polls.get(), 1);
}

#[test]
fn no_time_means_what_is_there_and_no_poll() {
    let (mut channel, mut there) = over_socket(Buffers::default());
    assert!(matches!(channel.recv_timeout(Duration::ZERO), Err(RecvError::TimedOut { .. })));
    there.write_all(&frame(b"here")).unwrap();
    assert_eq!(channel.recv_timeout(Duration::ZERO).unwrap(), b"here");
    assert_eq!(channel.coded.framed.polls.get(), 0);
}

#[test]
fn more_time_than_the_clock_can_count_is_for_ever() {
    for timeout in [Duration::MAX, Duration::from_secs(u64::MAX / 4), Duration::from_secs(1 << 40)] {
        let (mut channel, mut there) = over_socket(Buffers::default());
        let sending = thread::spawn(move || there.write_all(&frame(b"at last")));
        assert_eq!(channel.recv_timeout(timeout).unwrap(), b"at last", "{timeout:?}");
        sending.join().unwrap().unwrap();
    }
}

#[test]
fn messages_that_are_buffered_cost_no_system_call() {
    let (mut channel, mut there) = over_socket(Buffers::default());
    there.write_all(&[frame(b"1"), frame(b"22"), frame(b""), frame(b"4")].concat()).unwrap();
    assert_eq!(channel.recv().unwrap(), b"1");
    drop(there); // from now on a read would find the end
    for expected in [&b"22"[..], b"", b"4"] {
        assert_eq!(channel.recv().unwrap(), expected);
    }
    assert!(matches!(channel.recv(), Err(RecvError::Ended)));
}

#[test]
fn a_peer_that_drips_cannot_make_the_wait_longer() {
    let (mut channel, mut there) = over_socket(Buffers::default());
    let timeout = Duration::from_millis(60);
    let message = frame(&[b'x'; 4000]);
    there.write_all(&message[..1]).unwrap();
    let dripping = thread::spawn(move || {
        // One byte at a time, each as soon as the last one was taken, until the other side has enough.
        for byte in &message[1..] {
            if there.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    let begun = Instant::now();
    assert!(matches!(channel.recv_timeout(timeout), Err(RecvError::TimedOut { .. })));
    let waited = begun.elapsed();
    assert!(waited >= timeout && waited < Duration::from_secs(2), "{waited:?}; the drip takes over four seconds");
    assert!(channel.unread_bytes() > 0, "what came of it stays");
    drop(channel);
    dripping.join().unwrap();
}

#[test]
fn a_buffer_of_any_small_size_lets_every_stream_through() {
    // The full but compactable buffer, at every offset: messages of all lengths that fit, through the smallest buffers.
    for capacity in [Capacity::fixed(64), Capacity::fixed(100), Capacity::growable(64, 200)] {
        let (mut channel, mut there) = over_socket(Buffers::both(capacity));
        let largest = capacity.max() - 8;
        let messages: Vec<Vec<u8>> = (0..500).map(|n| vec![n as u8; n * 7 % (largest + 1)]).collect();
        let wire: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
        let writing = thread::spawn(move || there.write_all(&wire).map(|()| there));
        for message in &messages {
            assert_eq!(&channel.recv_timeout(Duration::from_secs(20)).unwrap(), message);
        }
        writing.join().unwrap().unwrap();
    }
}

#[test]
fn a_stream_truncated_anywhere_gives_whole_messages_and_then_the_truncation() {
    let wire = [frame(b"one"), frame(b""), frame(b"three")].concat();
    let starts = [0, 11, 19, 32];
    for len in 0..=wire.len() {
        let (mut channel, mut there) = over_socket(Buffers::default());
        there.write_all(&wire[..len]).unwrap();
        drop(there);
        let whole = starts[1..].iter().filter(|end| **end <= len).count();
        for expected in [&b"one"[..], b"", b"three"].iter().take(whole) {
            assert_eq!(&channel.recv().unwrap(), expected, "at byte {len}");
        }
        for _ in 0..2 {
            match channel.recv().unwrap_err() {
                RecvError::Ended => assert_eq!(len, starts[whole], "at byte {len}"),
                RecvError::Truncated { have, need } => {
                    let known = if have < 8 { 8 } else { starts[whole + 1] - starts[whole] };
                    assert_eq!((have, need), (len - starts[whole], known), "at byte {len}");
                }
                error => panic!("at byte {len}: {error:?}"),
            }
        }
    }
}

#[test]
fn what_was_left_of_a_message_goes_out_first_and_once() {
    let (mut channel, mut there) = over_socket(Buffers::both(Capacity::growable(64, 2 << 20)));
    let large = vec![b'l'; 1 << 20];
    let unfinished = channel.send_timeout(&large, Duration::from_millis(20)).unwrap_err();
    assert!(matches!(unfinished, SendError::Unfinished { left, .. } if left > 0 && left < 1 << 20), "{unfinished:?}");
    let full = channel.send_timeout(&vec![b'n'; 2_000_000], Duration::from_millis(20)).unwrap_err();
    assert!(matches!(full, SendError::TimedOut { .. }), "nothing of the second message is queued: {full:?}");
    let reading = thread::spawn(move || {
        let mut wire = Vec::new();
        there.read_to_end(&mut wire).map(|_| wire)
    });
    channel.send(b"small").unwrap();
    drop(channel);
    assert!(reading.join().unwrap().unwrap() == [frame(&large), frame(b"small")].concat());
}

#[test]
fn a_message_that_is_queued_is_not_to_be_sent_again_whatever_the_kernel_lacks() {
    use super::framed::Call;
    let buffers = Buffers::both(Capacity::growable(64, 2 << 20));
    for call in [Call::Send, Call::Poll] {
        let (mut channel, there) = over_socket(buffers);
        let large = vec![b'l'; 1 << 20]; // more than the socket accepts, so that the call must wait
        channel.coded.framed.shortage.set(Some(call));
        let stalled = channel.send(&large).unwrap_err();
        assert!(matches!(stalled, SendError::Stalled { left, .. } if left > 0), "{call:?}: {stalled:?}");
        assert!(!stalled.is_retryable() && stalled.peer_usable(), "{call:?}");
        assert!(channel.unsent_bytes() > 0);

        // Before there is room, the message is not queued, and may be sent again.
        let before = channel.unsent_bytes();
        channel.coded.framed.shortage.set(Some(call));
        let error = channel.send(&vec![b'n'; 2_000_000]).unwrap_err();
        assert!(error.is_retryable() && channel.unsent_bytes() <= before, "{call:?}: {error:?}");

        let reading = read_all(there);
        channel.send(b"small").unwrap();
        drop(channel);
        assert!(reading.join().unwrap() == [frame(&large), frame(b"small")].concat(), "{call:?}");
    }

    let (channel, there) = over_socket(buffers);
    let mut channel = channel.into_nonblocking();
    channel.coded.framed.shortage.set(Some(Call::Send));
    let stalled = channel.try_send(b"once").unwrap_err();
    assert!(matches!(stalled, SendError::Stalled { left: 12, .. }) && !stalled.is_retryable(), "{stalled:?}");
    assert_eq!(channel.run().unwrap(), Flush::Done);
    drop(channel);
    assert_eq!(read_all(there).join().unwrap(), frame(b"once"));
}

fn read_all(mut there: UnixStream) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut wire = Vec::new();
        there.read_to_end(&mut wire).expect("the channel closes in order");
        wire
    })
}

#[test]
fn what_is_queued_goes_out_while_a_message_is_waited_for() {
    let (here, there) = UnixStream::pair().unwrap();
    let mut asking: Bytes<NonBlocking> = Bytes::from_stream(here).into_nonblocking();
    let question = vec![b'?'; 1 << 20];
    assert!(!asking.try_send(&question).unwrap().is_done(), "more than the socket takes at once");
    let mut asking = asking.into_blocking();
    let answering = thread::spawn(move || {
        let mut answering = Bytes::from_stream(there);
        let question = answering.recv().unwrap();
        answering.send(b"!").map(|()| question)
    });
    assert_eq!(asking.recv_timeout(Duration::from_secs(20)).unwrap(), b"!");
    assert!(answering.join().unwrap().unwrap() == question);
}

#[test]
fn the_memory_of_an_unusual_message_is_given_back() {
    let (mut channel, there) = over_socket(Buffers::both(Capacity::growable(128, 1 << 20)));
    let mut echo = Bytes::from_stream(there);
    let large = vec![0; 500_000];
    let echoing = thread::spawn(move || -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for _ in 0..41 {
            let message = echo.recv()?;
            echo.send(&message)?;
        }
        Ok(())
    });
    channel.send(&large).unwrap();
    assert_eq!(channel.recv().unwrap().len(), large.len());
    assert!(channel.coded.scratch.capacity() <= 128);
    for _ in 0..40 {
        channel.send(b"small").unwrap();
        channel.recv().unwrap();
    }
    assert!(channel.coded.framed.memory() <= 256, "{} bytes", channel.coded.framed.memory());
    echoing.join().unwrap().unwrap();
}

#[test]
fn a_rejected_message_keeps_no_memory() {
    let (mut channel, _there) = over_socket(Buffers::both(Capacity::growable(64, 1000)));
    assert!(matches!(channel.send(&[0; 100_000]), Err(SendError::TooLarge { len: 100_000, max: 992 })));
    assert!(channel.coded.scratch.capacity() <= 1000, "{} bytes", channel.coded.scratch.capacity());
    let mut channel = channel.into_nonblocking();
    assert!(matches!(channel.queue(&[0; 100_000]), Err(SendError::TooLarge { .. })));
    assert!(channel.coded.scratch.capacity() <= 1000, "{} bytes", channel.coded.scratch.capacity());
}
