//! What an actor does about peers that are silent or slow.

use std::time::Duration;

use bytes::Bytes;
use frame_codec::{Delimited, LengthPrefixed};
use test_kit::soon::soon;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uds_actor::{Actor, Control, Overflow, Reason, Receiver};

async fn drain(receiver: &mut Receiver) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        frames.extend(batch.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()));
    }
    frames
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left_after_the_idle_timeout_and_a_slow_one_is_not() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) =
        Actor::new(here, LengthPrefixed::u32_be()).idle_timeout(Duration::from_secs(10)).spawn();
    // One byte every eight seconds: never silent for ten, though no frame is complete for most of the time.
    for byte in b"\0\0\0\x02ok" {
        tokio::time::sleep(Duration::from_secs(8)).await;
        there.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(receiver.recv_batch().await.unwrap().get(0), Some(&b"ok"[..]));
    let before = tokio::time::Instant::now();
    let report = control.finished().await;
    assert!(matches!(report.reason, Reason::Idle), "{}", report.reason);
    let waited = before.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_left_after_the_stall_timeout_and_a_slow_one_is_not() {
    let second = Duration::from_secs(1);
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) =
        Actor::new(here, Delimited::lines()).outbox_bytes(64 << 10).stall_timeout(10 * second).spawn();
    // While nothing waits, no peer has to take anything.
    tokio::time::sleep(3600 * second).await;
    tokio::spawn(async move { while sender.send(&[b'x'; 999]).await.is_ok() {} });
    // Every eight seconds it takes far less than what makes the kernel announce that there is room.
    for _ in 0..20 {
        tokio::time::sleep(8 * second).await;
        soon("a piece", there.read_exact(&mut [0; 40 << 10])).await.unwrap();
    }
    let before = tokio::time::Instant::now();
    let report = control.finished().await;
    assert!(matches!(report.reason, Reason::Stalled) && report.reason.is_peer_fault(), "{report}");
    assert!(!report.unsent.is_empty(), "what it did not take comes back");
    let waited = before.elapsed();
    assert!((9 * second..21 * second).contains(&waited), "{waited:?}");
}

/// Reading what it sends is no reason to wait longer.
#[tokio::test]
async fn a_peer_that_floods_us_and_takes_nothing_is_left_after_the_stall_timeout() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, mut receiver, control) =
        Actor::new(here, Delimited::lines()).stall_timeout(Duration::from_millis(100)).spawn();
    tokio::spawn(async move { while sender.send(&[b'x'; 999]).await.is_ok() {} });
    tokio::spawn(async move { while receiver.recv_batch().await.is_some() {} });
    let flood = b"a line of the flood\n".repeat(50_000);
    tokio::spawn(async move { while there.write_all(&flood).await.is_ok() {} });
    let report = soon("the end", control.finished()).await;
    assert!(matches!(report.reason, Reason::Stalled), "{report}");
}

#[tokio::test(start_paused = true)]
async fn two_actors_keep_each_other_alive_and_only_when_nothing_else_is_sent() {
    let (here, there) = UnixStream::pair().unwrap();
    let lively = |stream| {
        Actor::new(stream, Delimited::lines())
            .idle_timeout(Duration::from_secs(10))
            .keep_alive(Duration::from_secs(4), || Bytes::from_static(b"alive"))
            .spawn()
    };
    let (left, _left_receiver, left_control) = lively(here);
    let (_right, mut right_receiver, _right_control) = lively(there);
    tokio::time::sleep(Duration::from_secs(61)).await;
    for _ in 0..20 {
        left.send(b"busy").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    left_control.abort().await;
    let said = drain(&mut right_receiver).await;
    assert_eq!(said.iter().filter(|line| *line == "alive").count(), 15, "{said:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_keep_up_is_disconnected_or_misses_messages_if_that_was_chosen() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) =
        Actor::new(here, Delimited::lines()).outbox_bytes(4 << 10).on_full(Overflow::Disconnect).spawn();
    soon("the disconnection", async { while sender.send(&[b'x'; 1000]).await.is_ok() {} }).await;
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Overflow), "{}", report.reason);
    assert!(!report.unsent.is_empty());

    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) =
        Actor::new(here, Delimited::lines()).outbox_bytes(4 << 10).on_full(Overflow::DropNewest).spawn();
    for _ in 0..1000 {
        soon("a send", sender.send(&[b'x'; 999])).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(sender);
    let mut text = Vec::new();
    soon("what was not dropped", there.read_to_end(&mut text)).await.unwrap();
    drop(there);
    let report = soon("the report", control.finished()).await;
    assert!(report.dropped > 0);
    assert_eq!(text.len() as u64 / 1000 + report.dropped, 1000, "{report}");
}

/// A peer whose direction ended, or that we do not listen to, and that then is gone altogether, does not leave a connection
/// behind that ends with the next frame sent, which may never be.
#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_later_than_its_last_word_is_noticed_though_nothing_is_sent() {
    for listens in [true, false] {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (sender, receiver, control) = Actor::new(here, Delimited::lines()).spawn();
        there.write_all(b"last words\n").await.unwrap();
        if listens {
            there.shutdown().await.unwrap();
        }
        let mut receiver = Some(receiver);
        if listens {
            assert_eq!(drain(receiver.as_mut().unwrap()).await, ["last words"]);
        } else {
            receiver = None;
        }
        // As long as it may read it is served.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(tokio::time::timeout(Duration::from_secs(1), control.finished()).await.is_err());
        sender.send(b"still here").await.unwrap();
        sender.flush().await.unwrap();
        let mut line = [0; 11];
        there.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"still here\n");
        drop(there);
        let report = soon("the end", control.finished()).await;
        assert!(matches!(report.reason, Reason::HungUp), "{}", report.reason);
        assert_eq!(report.handed_to_kernel.frames, 1);
        drop((sender, receiver));
    }
}

/// No sum of a moment and a time panics or wraps.
#[tokio::test(start_paused = true)]
async fn more_time_than_the_clock_can_count_is_for_ever() {
    for time in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 40)] {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (sender, mut receiver, control) = Actor::new(here, Delimited::lines())
            .idle_timeout(time)
            .keep_alive(time, || Bytes::from_static(b"alive"))
            .linger(time)
            .spawn();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        sender.send(b"a line").await.unwrap();
        there.write_all(b"another\n").await.unwrap();
        assert_eq!(receiver.recv_batch().await.unwrap().get(0), Some(&b"another"[..]));
        let closing = control.close(time);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let mut text = String::new();
        there.read_to_string(&mut text).await.unwrap();
        drop(there);
        assert_eq!(text, "a line\n");
        assert!(matches!(closing.await.reason, Reason::Closed));
    }
}

/// As little time as there is: nothing panics, and every task still runs.
#[tokio::test(start_paused = true)]
async fn no_time_at_all_is_a_time_too() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, _receiver, control) =
        Actor::new(here, Delimited::lines()).keep_alive(Duration::ZERO, || Bytes::from_static(b"x")).spawn();
    soon("signs of life", there.read_exact(&mut [0; 20])).await.unwrap();
    assert!(matches!(control.close(Duration::ZERO).await.reason, Reason::DeadlineExceeded));

    let (here, _there) = UnixStream::pair().unwrap();
    let (_sender, _receiver, control) = Actor::new(here, Delimited::lines()).idle_timeout(Duration::ZERO).spawn();
    assert!(matches!(soon("the end", control.finished()).await.reason, Reason::Idle));
}

/// What is asked last holds, whether or not the actor had heard what was asked before.
#[tokio::test(start_paused = true)]
async fn of_two_deadlines_the_one_given_last_holds() {
    let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
    for (first_drains, heard) in [(false, false), (false, true), (true, false), (true, true)] {
        for (first, last) in [(hour, second), (second, hour)] {
            let (here, _there) = UnixStream::pair().unwrap();
            let (_sender, _receiver, control) = Actor::new(here, Delimited::lines()).spawn();
            let began = tokio::time::Instant::now();
            if first_drains {
                // Nothing is there to be drained, but what is queued is never taken.
                drop(control.drain(first));
            } else {
                drop(control.close(first));
            }
            if heard && !first_drains {
                tokio::task::yield_now().await;
            }
            let report = control.close(last).await;
            let took = began.elapsed();
            assert!(matches!(report.reason, Reason::DeadlineExceeded), "{}", report.reason);
            assert!(took >= last && took < last + second, "{took:?} for {last:?} after {first:?}, heard: {heard}");
        }
    }
}

/// Who is to blame for a deadline that was missed, be it to close or to drain.
#[tokio::test(start_paused = true)]
async fn a_missed_deadline_is_the_peers_fault_only_if_we_listened() {
    let minute = Duration::from_secs(60);
    for drains in [false, true] {
        let end = async |control: Control| {
            if drains { control.drain(minute).await } else { control.close(minute).await }
        };
        // The peer has said all it had to say and closed; our own receiver takes nothing of it.
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(&b"a line\n".repeat(10_000)).await.unwrap();
        drop(there);
        let (_sender, _receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(1).spawn();
        let report = end(control).await;
        assert!(matches!(report.reason, Reason::InboxFull), "{report}");
        assert!(!report.reason.is_peer_fault());

        // Taken and still kept: the memory is in use.
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(b"a line\n").await.unwrap();
        let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(1).spawn();
        let kept = receiver.recv_batch().await;
        let report = end(control).await;
        assert!(matches!(report.reason, Reason::InboxFull), "{report}");
        drop(kept);

        // Everything is taken, and the peer does not read what we send.
        let (here, _there) = UnixStream::pair().unwrap();
        let (sender, _receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
        sender.send(&vec![0; 1_000_000]).await.unwrap();
        let report = end(control).await;
        assert!(matches!(report.reason, Reason::DeadlineExceeded), "{report}");
        assert!(report.reason.is_peer_fault());
    }
    // No receiver is left, so the actor waits only for the writing.
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(&b"a line\n".repeat(10_000)).await.unwrap();
    let (sender, receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(1).spawn();
    tokio::task::yield_now().await;
    drop(receiver);
    sender.send(&vec![0; 1_000_000]).await.unwrap();
    let report = control.close(minute).await;
    assert!(matches!(report.reason, Reason::DeadlineExceeded), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_listened_to_is_not_called_silent() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let second = Duration::from_secs(1);
    let (_sender, mut receiver, control) =
        Actor::new(here, Delimited::lines()).inbox_bytes(1).idle_timeout(10 * second).spawn();
    there.write_all(&b"a line\n".repeat(10_000)).await.unwrap();
    tokio::time::sleep(60 * second).await;
    let mut lines = 0;
    while lines < 10_000 {
        lines += soon("a batch", receiver.recv_batch()).await.expect("it lives").len();
    }
    let report = soon("the end", control.finished()).await;
    assert!(matches!(report.reason, Reason::Idle), "{report}");
}
