//! The typed channel under tokio: the same wire as the blocking one, nothing lost by a dropped future, no wake-up missed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{thread, time::Duration};

use cancel_kit::{Check, Drops};
use test_kit::soon::in_time as soon;
use tokio::{
    io::AsyncWriteExt as _,
    net::UnixStream,
    time::{error::Elapsed, timeout},
};
use uds_channel::{AsyncChannel, Blocking, Buffers, Capacity, Channel, Json, RecvError, SendError, Verbatim};

type Bytes = AsyncChannel<[u8], Vec<u8>, Verbatim>;

const HANG: Duration = Duration::from_secs(20);

fn pair_of(buffers: Buffers) -> (Bytes, Bytes) {
    let (here, there) = UnixStream::pair().unwrap();
    (AsyncChannel::new(here, Verbatim, buffers), AsyncChannel::new(there, Verbatim, buffers))
}

fn frame(payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u64 + 8).to_le_bytes()[..], payload].concat()
}

#[tokio::test]
async fn a_program_with_tokio_and_one_without_a_runtime_understand_each_other() {
    let (here, there) = UnixStream::pair().unwrap();
    let blocking = thread::spawn(move || {
        let there = there.into_std().unwrap();
        let mut channel: Channel<u32, String, Blocking, Json> = Channel::from_stream(there);
        for _ in 0..100 {
            let text = channel.recv_timeout(HANG).unwrap();
            channel.send(&text.parse().unwrap()).unwrap();
        }
        matches!(channel.recv_timeout(HANG), Err(RecvError::Ended))
    });
    let mut channel: AsyncChannel<String, u32, Json> = AsyncChannel::from_stream(here);
    for number in 0..100 {
        soon(channel.send(&number.to_string())).await.unwrap();
        assert_eq!(soon(channel.recv()).await.unwrap(), number);
    }
    soon(channel.finish()).await.unwrap();
    assert!(blocking.join().unwrap(), "the end is seen");
    assert!(matches!(soon(channel.send(&"late".to_owned())).await, Err(SendError::Finished)));
    assert!(matches!(soon(channel.recv()).await, Err(RecvError::Ended)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_missed_on_several_threads() {
    let (mut left, mut right) = pair_of(Buffers::default());
    let echo = tokio::spawn(async move {
        while let Ok(message) = right.recv().await {
            right.send(&message).await.unwrap();
        }
    });
    for round in 0..3000_u32 {
        // Alone, in groups, and too large for the socket's buffer.
        let group: Vec<Vec<u8>> =
            (0..round % 4 + 1).map(|part| vec![part as u8; if round % 50 == 0 { 400_000 } else { 20 }]).collect();
        for message in &group {
            soon(left.send(message)).await.unwrap();
        }
        for message in &group {
            assert_eq!(&soon(left.recv()).await.unwrap(), message);
        }
    }
    drop(left);
    soon(echo).await.unwrap();
}

#[tokio::test]
async fn two_ends_that_both_send_before_they_receive_do_not_block_each_other() {
    let (mut left, mut right) = pair_of(Buffers::both(Capacity::growable(1 << 10, 8 << 20)));
    let message = vec![7; 1 << 20];
    let (sent, back) = soon(async {
        tokio::join!(
            async {
                for _ in 0..4 {
                    left.send(&message).await.unwrap();
                }
                left.recv().await.unwrap()
            },
            async {
                for _ in 0..4 {
                    right.send(&message).await.unwrap();
                }
                right.recv().await.unwrap()
            }
        )
    })
    .await;
    assert!(sent == message && back == message);
}

#[tokio::test]
async fn what_arrived_is_received_before_the_error_that_follows_it() {
    let wrong_length = 3_u64.to_le_bytes();
    type IsExpected = fn(&RecvError) -> bool;
    let endings: [(&[u8], IsExpected); 3] = [
        (&[], |error| matches!(error, RecvError::Ended)),
        (&frame(b"a frame")[..12], |error| matches!(error, RecvError::Truncated { have: 12, need: 15 })),
        (&wrong_length, |error| matches!(error, RecvError::Malformed { .. })),
    ];
    for (end, is_expected) in endings {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut channel: Bytes = AsyncChannel::from_stream(here);
        there.write_all(&[&frame(b"first")[..], &frame(b""), end].concat()).await.unwrap();
        drop(there);
        assert_eq!(soon(channel.recv()).await.unwrap(), b"first");
        assert_eq!(soon(channel.recv()).await.unwrap(), b"");
        for _ in 0..2 {
            let error = soon(channel.recv()).await.unwrap_err();
            assert!(is_expected(&error), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_the_only_one_lost() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut channel: AsyncChannel<u32, u32, Json> = AsyncChannel::from_stream(here);
    there.write_all(&[frame(b"1"), frame(b"one"), frame(b"2")].concat()).await.unwrap();
    assert_eq!(soon(channel.recv()).await.unwrap(), 1);
    assert!(matches!(soon(channel.recv()).await, Err(RecvError::Decode { len: 3, .. })));
    assert_eq!(soon(channel.recv()).await.unwrap(), 2);
}

#[tokio::test]
async fn a_timeout_loses_nothing_and_the_parts_have_every_byte() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let mut channel: Bytes = AsyncChannel::from_stream(here);
    let message = frame(b"in two parts");
    there.write_all(&message[..10]).await.unwrap();
    let early: Result<_, Elapsed> = timeout(Duration::from_millis(1), channel.recv()).await;
    assert!(early.is_err() && channel.unread_bytes() <= 10);
    there.write_all(&[&message[10..], b"rest"].concat()).await.unwrap();
    assert_eq!(soon(channel.recv()).await.unwrap(), b"in two parts");
    soon(channel.feed(b"queued")).await.unwrap();
    assert_eq!(channel.unsent_bytes(), 14);
    let parts = channel.into_parts();
    assert_eq!((parts.unread, parts.unsent), (b"rest".to_vec(), frame(b"queued")));
    assert_eq!(parts.stream.peer_cred().unwrap().pid(), i32::try_from(std::process::id()).ok());
}

/// Ten messages through buffers that hold one of them, each more than the kernel takes at once, with the futures of one end dropped in every place.
fn check(mut talk: impl AsyncFnMut(&Drops, &mut Bytes, &mut Bytes, &[u8])) {
    let survey = Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let (mut left, mut right) = pair_of(Buffers::both(Capacity::fixed(450_000)));
        for number in 0..10_u8 {
            talk(&drops, &mut left, &mut right, &vec![number; 400_000 + usize::from(number)]).await;
        }
        left.unsent_bytes() + right.unread_bytes()
    });
    match survey {
        Ok(survey) => assert!(survey.dropped >= 10, "{survey}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn recv_takes_a_message_only_when_it_gives_it() {
    check(async |drops, left, right, message| {
        let sending = async {
            left.send(message).await.unwrap();
        };
        let receiving = async { drops.drive(async || right.recv().await).await.unwrap() };
        assert_eq!(tokio::join!(sending, receiving).1, message);
    });
}

#[test]
fn feed_queues_a_message_once_and_flush_writes_it() {
    check(async |drops, left, right, message| {
        let sending = async {
            drops.drive(async || left.feed(message).await).await.unwrap();
            // The second does not fit beside the first, and waits for room.
            drops.drive(async || left.feed(message).await).await.unwrap();
            drops.drive(async || left.flush().await).await.unwrap();
        };
        let receiving = async {
            tokio::task::yield_now().await;
            (right.recv().await.unwrap(), right.recv().await.unwrap())
        };
        let (first, second) = tokio::join!(sending, receiving).1;
        assert!(first == message && second == message);
    });
}
