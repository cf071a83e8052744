//! What an actor promises, on real sockets and on a stream that fails on cue.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Batch, Delimited, LengthPrefixed, Limits, UntilEof};
use test_kit::soon::{LONG, soon};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::UnixStream,
    sync::mpsc,
    time::timeout,
};
use uds_actor::{Actor, FlushError, Owned, Reason, Receiver, SendError, TrySendError, spawn_with_channels};

async fn drain(receiver: &mut Receiver) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        frames.extend(batch.iter().map(|frame| String::from_utf8_lossy(frame).into_owned()));
    }
    frames
}

/// Gives out the pieces it was made with, then fails; swallows what is written.
struct Scripted {
    pieces: Vec<&'static [u8]>,
    failure: io::ErrorKind,
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pieces.is_empty() {
            return Poll::Ready(Err(self.failure.into()));
        }
        buf.put_slice(self.pieces.remove(0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn frames_go_both_ways_and_both_accounts_agree() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    let (echo, mut heard, echo_control) = Actor::new(there, LengthPrefixed::u32_be()).spawn();
    let echoing = tokio::spawn(async move {
        while let Some(batch) = heard.recv_batch().await {
            echo.send_batch(&batch).await.unwrap();
        }
    });
    let words: Vec<String> = (0..10_000).map(|n| format!("message {n}")).collect();
    let sending = async {
        for word in &words {
            sender.send(word.as_bytes()).await.unwrap();
        }
        sender.finish().await.unwrap();
    };
    let ((), back) = soon("the echo", async { tokio::join!(sending, drain(&mut receiver)) }).await;
    assert_eq!(back, words);
    soon("the echo's end", echoing).await.unwrap();
    let (ours, theirs) = (control.finished().await, echo_control.finished().await);
    assert_eq!((ours.handed_to_kernel.frames, ours.delivered.frames, ours.lost.frames), (10_000, 10_000, 0));
    assert_eq!((theirs.received.frames, theirs.handed_to_kernel.frames), (10_000, 10_000));
    assert!(matches!((ours.reason, theirs.reason), (Reason::Closed, Reason::Closed)));
}

#[tokio::test]
async fn an_actor_over_a_socket_knows_its_peer() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (_sender, _receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    assert_eq!(control.peer().and_then(uds_actor::Peer::pid), Some(std::process::id()));
}

#[tokio::test]
async fn a_reset_inside_a_frame_delivers_complete_frames_and_reports_the_truncated_one() {
    let stream = Scripted { pieces: vec![b"one\ntw", b"o\nthr"], failure: io::ErrorKind::ConnectionReset };
    let (_sender, mut receiver, control) = Actor::new(Owned(stream), Delimited::lines()).spawn();
    assert_eq!(drain(&mut receiver).await, ["one", "two"]);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(&report.reason, Reason::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset));
    assert_eq!((report.delivered.frames, report.lost.frames, report.truncated_receiving), (2, 0, 3));
}

#[tokio::test]
async fn a_message_that_only_the_end_completes_is_truncated_by_a_reset() {
    let stream = Scripted { pieces: vec![b"half a document"], failure: io::ErrorKind::ConnectionReset };
    let (_sender, mut receiver, control) = Actor::new(Owned(stream), UntilEof).spawn();
    assert!(drain(&mut receiver).await.is_empty());
    assert_eq!(soon("the report", control.finished()).await.truncated_receiving, 15);
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection_behind_the_good_ones() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let limits = Limits::default().with_max_frame(10);
    let (_sender, mut receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).limits(limits).spawn();
    there.write_all(b"\0\0\0\x02ok\xff\xff\xff\xffgarbage").await.unwrap();
    assert_eq!(drain(&mut receiver).await, ["ok"]);
    let report = soon("the report", control.finished()).await;
    let Reason::Malformed(error) = report.reason else { panic!("{}", report.reason) };
    assert_eq!(error, frame_codec::DecodeError::FrameTooLarge { len: 0xffff_ffff, max: 10 });
    // The socket is closed, so the peer hears of it.
    assert!(
        soon("the peer's end", there.read(&mut [0; 8])).await.is_ok_and(|n| n == 0) || there.try_write(b"x").is_err()
    );
}

#[tokio::test]
async fn a_full_outbox_refuses_and_waits_and_loses_nothing() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = Actor::new(here, Delimited::lines()).outbox_bytes(4 << 10).spawn();
    let line = [b'x'; 1023];
    let mut queued = 0;
    // The peer reads nothing: the kernel's buffer fills, then the outbox.
    loop {
        match sender.try_send(&line) {
            Ok(()) => queued += 1,
            Err(error) => {
                assert_eq!(error, TrySendError::Full);
                let waits = timeout(Duration::from_millis(50), sender.send(&line)).await;
                match waits {
                    Ok(sent) => {
                        sent.unwrap();
                        queued += 1;
                    }
                    Err(_) => break, // a cancelled send has queued nothing: counted below
                }
            }
        }
    }
    drop(sender);
    let mut bytes = Vec::new();
    soon("everything queued", there.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes.len(), queued * 1024);
}

#[tokio::test]
async fn a_frame_larger_than_the_outbox_goes_alone() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _r, _c) = Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(1024).spawn();
    let (_s, mut receiver, _control) = Actor::new(there, LengthPrefixed::u32_be()).inbox_bytes(1024).spawn();
    let big = Bytes::from(vec![7; 500_000]);
    soon("a send", sender.send_shared(big.clone())).await.unwrap();
    soon("another", sender.send_shared(big.clone())).await.unwrap();
    drop(sender);
    let mut got = 0;
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        assert!(batch.iter().all(|frame| frame == big));
        got += batch.len();
    }
    assert_eq!(got, 2);
}

#[tokio::test]
async fn frames_that_are_kept_hold_the_peer_back_until_they_are_dropped() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _r, _c) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    let (_s, mut receiver, _control) = Actor::new(there, LengthPrefixed::u32_be()).inbox_bytes(64 << 10).spawn();
    let flood = tokio::spawn(async move {
        for _ in 0..3000 {
            sender.send(&[1; 1020]).await.unwrap();
        }
    });
    let mut kept: Vec<Batch> = Vec::new();
    let mut frames = 0;
    while frames < 3000 {
        let held: usize = kept.iter().map(Batch::memory_len).sum();
        assert!(held < (64 << 10) + (300 << 10), "{held} bytes are held at the bound");
        match timeout(Duration::from_millis(20), receiver.recv_batch()).await {
            Ok(batch) => {
                let batch = batch.expect("the flood goes on");
                frames += batch.len();
                kept.push(batch);
            }
            Err(_) if held >= 64 << 10 => kept.clear(),
            // There is room, and more is on its way; only the machine has other things to do.
            Err(_) => {
                let batch = soon("more, for there is room", receiver.recv_batch()).await.expect("the flood goes on");
                frames += batch.len();
                kept.push(batch);
            }
        }
    }
    soon("the flood", flood).await.unwrap();
}

#[tokio::test]
async fn what_arrives_before_a_drain_is_received_and_a_peer_that_stays_open_does_not_matter() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    there.write_all(b"before\n").await.unwrap();
    let draining = tokio::spawn({
        let control = control.clone();
        async move { control.drain(LONG).await }
    });
    assert_eq!(drain(&mut receiver).await, ["before"]);
    let report = soon("the drain", draining).await.unwrap();
    assert!(matches!(report.reason, Reason::Closed), "{}", report.reason);
    assert_eq!(soon("the counts", control.finished()).await.delivered.frames, 1);
}

#[tokio::test]
async fn a_drain_waits_for_the_receiver_to_make_room() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).inbox_bytes(1).spawn();
    let text: Vec<u8> = (0..20_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let written = there.write(&text).await.unwrap();
    let whole = text[..written].iter().filter(|byte| **byte == b'\n').count();
    let draining = tokio::spawn(async move { control.drain(LONG).await });
    assert_eq!(drain(&mut receiver).await.len(), whole);
    assert!(matches!(soon("the report", draining).await.unwrap().reason, Reason::Closed));
}

#[tokio::test]
async fn close_gives_up_on_a_peer_that_does_not_close_and_returns_what_it_never_took() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    let mut queued = 0_u8;
    while sender.try_send(&[queued; 100_000]).is_ok() {
        queued += 1;
        tokio::task::yield_now().await; // the actor runs
    }
    let report = soon("the report", control.close(Duration::from_millis(50))).await;
    assert!(matches!(report.reason, Reason::DeadlineExceeded));
    let accounted =
        report.handed_to_kernel.frames + u64::from(report.truncated_sending > 0) + report.unsent.len() as u64;
    assert_eq!(accounted, u64::from(queued));
    assert!(!report.unsent.is_empty(), "the kernel takes less than all of it");
    assert_eq!(report.unsent.iter().next_back().unwrap()[0], queued - 1, "they come back in order");
    assert_eq!(sender.send(b"late").await, Err(SendError::Closed));
}

#[tokio::test]
async fn abort_ends_at_once_and_later_handles_say_so() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    let report = soon("the report", control.abort()).await;
    assert!(matches!(report.reason, Reason::Aborted));
    assert_eq!(sender.try_send(b"late"), Err(TrySendError::Closed));
    assert!(soon("the end", receiver.recv_batch()).await.is_none());
    assert_eq!(soon("the peer's end", there.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn dropping_every_handle_writes_what_is_queued_and_closes_the_socket() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    sender.send(b"last words").await.unwrap();
    drop((sender, receiver, control));
    let mut text = String::new();
    soon("the end of the stream", there.read_to_string(&mut text)).await.unwrap();
    assert_eq!(text, "last words\n");
}

#[tokio::test]
async fn an_abandoned_connection_to_a_peer_that_never_reads_ends_after_its_linger() {
    let (here, there) = UnixStream::pair().unwrap();
    let linger = Duration::from_millis(50);
    let (sender, receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).linger(linger).spawn();
    sender.send(&[0; 900_000]).await.unwrap();
    drop((sender, receiver, control));
    // Only the end of the task closes the socket, and only that makes our write fail.
    soon("the actor's end", async {
        while there.try_write(b"x").is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await
        }
    })
    .await;
}

#[tokio::test]
async fn frames_that_are_not_taken_count_as_lost() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    there.write_all(b"taken\n").await.unwrap();
    soon("the first", receiver.recv_batch()).await.unwrap();
    there.write_all(b"dropped\n").await.unwrap();
    let waiting = soon("the drain", control.drain(LONG)).await;
    assert_eq!((waiting.received.frames, waiting.delivered.frames, waiting.lost.frames), (2, 1, 0));
    drop(receiver);
    let report = soon("the report", control.finished()).await;
    assert_eq!((report.received.frames, report.delivered.frames, report.lost.frames), (2, 1, 1));
}

#[tokio::test]
async fn a_waiting_flush_hears_when_the_connection_breaks() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
    sender.send(&[0; 900_000]).await.unwrap();
    let flushing = tokio::spawn(async move { sender.flush().await });
    tokio::task::yield_now().await;
    drop(there);
    assert_eq!(soon("the flush", flushing).await.unwrap(), Err(FlushError));
}

#[tokio::test]
async fn those_who_wait_for_the_report_get_one_when_the_runtime_is_shut_down() {
    let (control, here) = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = UnixStream::pair().unwrap();
            let (sender, _receiver, control) = Actor::new(there, Delimited::lines()).spawn();
            std::mem::forget(sender); // a handle still holds the connection
            (control, here.into_std().unwrap())
        })
    })
    .join()
    .unwrap();
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Aborted));
    drop(here);
}

#[tokio::test]
async fn two_channels_are_all_a_connection_needs() {
    let (here, there) = UnixStream::pair().unwrap();
    let (inbound, mut messages) = mpsc::channel(1);
    let (replies, outbound) = mpsc::channel(1);
    let control = spawn_with_channels(here, Delimited::lines(), inbound, outbound);
    let (read, mut write) = there.into_split();
    let asking = tokio::spawn(async move {
        for n in 0..100 {
            write.write_all(format!("question {n}\n").as_bytes()).await.unwrap();
        }
    });
    let answering = tokio::spawn(async move {
        let mut count = 0;
        while let Some(message) = messages.recv().await {
            let question = String::from_utf8(message.to_vec()).unwrap();
            replies.send(question.replace("question", "answer").into()).await.unwrap();
            count += 1;
        }
        count
    });
    let mut answers = String::new();
    soon("the answers", {
        let mut read = read;
        async move {
            read.read_to_string(&mut answers).await.unwrap();
            assert!(answers.ends_with("answer 99\n"))
        }
    })
    .await;
    soon("the questions", asking).await.unwrap();
    assert_eq!(soon("the messages", answering).await.unwrap(), 100);
    let report = soon("the report", control.finished()).await;
    assert_eq!((report.delivered.frames, report.handed_to_kernel.frames), (100, 100));
}

#[tokio::test]
async fn fifty_abandoned_connections_leave_no_descriptor_behind() {
    test_kit::alone!();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut peers = Vec::new();
    for _ in 0..50 {
        let (here, there) = UnixStream::pair().unwrap();
        drop(Actor::new(here, Delimited::lines()).spawn());
        peers.push(there);
    }
    for mut peer in peers {
        assert_eq!(soon("the peer's end", peer.read(&mut [0; 1])).await.unwrap(), 0);
    }
    soon("the descriptors to go", async {
        while open() > before {
            tokio::task::yield_now().await
        }
    })
    .await;
}

#[tokio::test]
async fn a_lone_message_is_written_by_its_sender_and_what_follows_keeps_its_order() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    tokio::task::yield_now().await; // the actor has looked, found nothing, and is idle
    sender.send(b"0").await.unwrap();
    // Nothing was awaited that could have let the actor run, and the line is there.
    let mut line = [0; 8];
    let there = there.into_std().unwrap();
    assert_eq!(io::Read::read(&mut &there, &mut line).unwrap(), 2);
    for n in 1..5000 {
        sender.send(n.to_string().as_bytes()).await.unwrap();
        if n % 7 == 0 {
            tokio::task::yield_now().await; // idle again, now and then
        }
    }
    let reading = tokio::task::spawn_blocking(move || {
        there.set_nonblocking(false).unwrap();
        io::read_to_string(&there).unwrap()
    });
    soon("the end", sender.finish()).await.unwrap();
    let text = soon("the lines", reading).await.unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), (1..5000).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(soon("the report", control.abort()).await.handed_to_kernel.frames, 5000);
}

#[tokio::test]
async fn a_peer_that_is_gone_in_both_directions_ends_an_idle_connection() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    drop(there);
    assert!(soon("the end", receiver.recv_batch()).await.is_none());
    // No frame was written, and the sender still exists. The connection and its descriptor end even so.
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::HungUp));
    assert_eq!(sender.try_send(b"late"), Err(TrySendError::Closed));
}
