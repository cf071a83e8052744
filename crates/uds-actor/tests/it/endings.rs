//! How connections end, and that the report is right whatever was half done: on a stream that does what it is told.

use std::{
    future::Future,
    io::{self, Write as _},
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Decoder, Delimited, LengthPrefixed, Limits};
use test_kit::soon::{LONG, soon};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::UnixStream,
    sync::mpsc,
};
use uds_actor::{Actor, Control, FlushError, Owned, Reason, SendError, Sender, spawn_with_channels};

/// A stream whose reads and writes are two functions. A function that returns `Pending` wakes no task.
struct Puppet<R, W> {
    read: R,
    write: W,
}

fn silent(_: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    Poll::Pending
}

fn stuck(_: &[u8]) -> Poll<io::Result<usize>> {
    Poll::Pending
}

impl<R, W> AsyncRead for Puppet<R, W>
where
    R: FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> + Unpin,
    W: Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        (self.read)(buf)
    }
}

impl<R, W> AsyncWrite for Puppet<R, W>
where
    R: Unpin,
    W: FnMut(&[u8]) -> Poll<io::Result<usize>> + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        (self.write)(buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_dropped_receiver_ends_a_connection_that_has_nothing_left_to_write() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    soon("our direction's end", sender.finish()).await.unwrap();
    assert_eq!(soon("the same over there", there.read(&mut [0; 1])).await.unwrap(), 0);
    drop(receiver);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Closed), "{}", report.reason);
}

/// This many lines to read, and then nothing more for now.
fn lines(mut left: usize) -> impl FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    move |buf| {
        if left == 0 {
            return Poll::Pending;
        }
        left -= 1;
        buf.put_slice(b"line\n");
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_flush_waits_for_what_was_taken_up_while_something_else_was_told() {
    let slot: Arc<Mutex<Option<Sender>>> = Arc::default();
    let senders = Arc::clone(&slot);
    let mut writes = 0;
    // Each of two writes succeeds and finds another frame queued behind it; the third finds the kernel full.
    let write = move |bytes: &[u8]| {
        writes += 1;
        if writes > 2 {
            return Poll::Pending;
        }
        senders.lock().unwrap().as_ref().unwrap().try_send(b"next").unwrap();
        Poll::Ready(Ok(bytes.len()))
    };
    let (sender, mut receiver, control) =
        Actor::new(Owned(Puppet { read: lines(5), write }), Delimited::lines()).spawn();
    *slot.lock().unwrap() = Some(sender.clone());
    sender.send(b"first").await.unwrap();
    for _ in 0..5 {
        soon("a line", receiver.recv_batch()).await.unwrap();
    }
    let flushing = tokio::spawn(async move { sender.flush().await });
    tokio::task::yield_now().await;
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (2, 1));
    assert_eq!(soon("the flush", flushing).await.unwrap(), Err(FlushError), "one frame came back");
}

#[tokio::test]
async fn a_flush_does_not_wait_for_what_was_taken_up_behind_it() {
    type Flush = Pin<Box<dyn Future<Output = Result<(), FlushError>> + Send>>;
    let slot: Arc<Mutex<Option<Sender>>> = Arc::default();
    let flushing: Arc<Mutex<Option<Flush>>> = Arc::default();
    let (senders, flushes) = (Arc::clone(&slot), Arc::clone(&flushing));
    let mut writes = 0;
    // As above; while the second frame is written, one task waits for that, and then another queues the third.
    let write = move |bytes: &[u8]| {
        writes += 1;
        if writes > 2 {
            return Poll::Pending;
        }
        let sender = senders.lock().unwrap().clone().unwrap();
        if writes == 2 {
            let waiting = sender.clone();
            let mut flush: Flush = Box::pin(async move { waiting.flush().await });
            assert!(flush.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            *flushes.lock().unwrap() = Some(flush);
        }
        sender.try_send(b"next").unwrap();
        Poll::Ready(Ok(bytes.len()))
    };
    let (sender, mut receiver, _control) =
        Actor::new(Owned(Puppet { read: lines(5), write }), Delimited::lines()).spawn();
    *slot.lock().unwrap() = Some(sender.clone());
    sender.send(b"first").await.unwrap();
    for _ in 0..5 {
        soon("a line", receiver.recv_batch()).await.unwrap();
    }
    let flush = flushing.lock().unwrap().take().unwrap();
    assert_eq!(soon("the flush", flush).await, Ok(()), "the kernel has the second frame");
}

#[tokio::test]
async fn a_flush_of_what_was_written_succeeds_although_the_connection_breaks_behind_it() {
    let mut room = 6;
    let write = move |bytes: &[u8]| match bytes.len().min(room) {
        0 => Poll::Pending,
        count => {
            room -= count;
            Poll::Ready(Ok(count))
        }
    };
    let (sender, _receiver, control) = Actor::new(Owned(Puppet { read: silent, write }), Delimited::lines()).spawn();
    sender.send(b"first").await.unwrap();
    let mut flushing = Box::pin(sender.flush());
    tokio::select! {
        biased;
        done = &mut flushing => panic!("nothing can be written yet: {done:?}"),
        () = std::future::ready(()) => {}
    }
    // Queued before the actor runs, so that it takes both together.
    sender.try_send(b"second").unwrap();
    tokio::task::yield_now().await;
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (1, 1));
    assert_eq!(soon("the flush", flushing).await, Ok(()));
}

#[tokio::test]
async fn what_was_read_of_an_incomplete_frame_is_truncated_however_the_connection_ends() {
    // A drain takes what has arrived for the whole: a last line may end with it, and is marked. The others know that more
    // may come.
    for ending in ["abort", "drain", "deadline", "dropped receiver"] {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
        there.write_all(b"whole\npart").await.unwrap();
        assert_eq!(soon("the whole line", receiver.recv_batch()).await.unwrap().len(), 1);
        let report = match ending {
            "abort" => soon(ending, control.abort()).await,
            "drain" => soon(ending, control.drain(LONG)).await,
            "deadline" => soon(ending, control.close(Duration::from_millis(10))).await,
            _ => {
                drop((sender, receiver));
                soon(ending, control.finished()).await
            }
        };
        let expected = if ending == "drain" { (2, 0, true) } else { (1, 4, false) };
        let seen = (report.received.frames, report.truncated_receiving, report.unterminated);
        assert_eq!(seen, expected, "{ending}: {report}");
    }
}

#[tokio::test]
async fn frames_that_were_read_are_received_although_the_inbox_had_no_room_for_them() {
    let read_bytes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read_bytes);
    let read = move |buf: &mut ReadBuf<'_>| {
        let len = buf.remaining();
        buf.put_slice(&vec![b'\n'; len]);
        counter.fetch_add(len, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    };
    let (_sender, mut receiver, control) =
        Actor::new(Owned(Puppet { read, write: stuck }), Delimited::lines()).inbox_bytes(1).spawn();
    let mut frames = 0;
    for _ in 0..3 {
        frames += soon("a batch", receiver.recv_batch()).await.unwrap().len();
    }
    drop(control.abort());
    while let Some(batch) = soon("what is left", receiver.recv_batch()).await {
        frames += batch.len();
    }
    let report = soon("the report", control.finished()).await;
    assert_eq!(report.received.frames as usize, read_bytes.load(Ordering::Relaxed), "each byte was a frame");
    assert_eq!((report.delivered.frames as usize, report.lost.frames), (frames, 0));
}

#[tokio::test]
async fn an_actor_that_is_kept_busy_writing_still_hears_what_is_asked_of_it() {
    const ENOUGH: usize = 1_000_000;
    let slot: Arc<Mutex<Option<Sender>>> = Arc::default();
    let senders = Arc::clone(&slot);
    let writes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&writes);
    // Whenever the stream has taken everything, there is one more frame.
    let write = move |bytes: &[u8]| {
        if counter.fetch_add(1, Ordering::Relaxed) < ENOUGH {
            senders.lock().unwrap().as_ref().unwrap().try_send(&[0; 1000]).unwrap();
        }
        Poll::Ready(Ok(bytes.len()))
    };
    let (sender, _receiver, control) =
        Actor::new(Owned(Puppet { read: silent, write }), LengthPrefixed::u32_be()).spawn();
    *slot.lock().unwrap() = Some(sender.clone());
    sender.send(b"first").await.unwrap();
    tokio::task::yield_now().await;
    let report = soon("the report", control.abort()).await;
    assert!(matches!(report.reason, Reason::Aborted), "{}", report.reason);
    assert!(writes.load(Ordering::Relaxed) < ENOUGH, "no other task ran");
}

#[tokio::test]
async fn an_inbox_of_no_bytes_takes_one_read_at_a_time() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, _control) = Actor::new(here, Delimited::lines()).inbox_bytes(0).spawn();
    there.write_all(b"a line\n").await.unwrap();
    drop(there);
    assert_eq!(soon("the line", receiver.recv_batch()).await.unwrap().len(), 1);
    assert!(soon("the end", receiver.recv_batch()).await.is_none());
}

#[tokio::test]
async fn dropping_the_handles_does_not_change_a_deadline_that_was_given() {
    // Much to write, and a peer that does not read: only a deadline ends it.
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).linger(10 * LONG).spawn();
    sender.send(&[0; 900_000]).await.unwrap();
    drop(control.close(Duration::from_millis(20)));
    tokio::task::yield_now().await;
    drop((sender, receiver, control));
    soon("the actor's end", async {
        while there.try_write(b"x").is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // The other way round: time was given, and the default does not take it away.
    let (here, mut there) = UnixStream::pair().unwrap();
    let linger = Duration::from_millis(1);
    let (sender, receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).linger(linger).spawn();
    sender.send(&[0; 900_000]).await.unwrap();
    drop(control.close(LONG));
    tokio::task::yield_now().await;
    drop((sender, receiver, control));
    tokio::time::sleep(20 * linger).await; // longer than it would have lingered
    let mut bytes = Vec::new();
    soon("all of it", there.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes.len(), 900_004);
}

#[tokio::test]
async fn messages_that_trickle_in_are_charged_for_more_than_their_bytes() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    let read = move |buf: &mut ReadBuf<'_>| {
        counter.fetch_add(1, Ordering::Relaxed);
        buf.put_slice(b"\n");
        Poll::Ready(Ok(()))
    };
    let (_sender, _receiver, _control) =
        Actor::new(Owned(Puppet { read, write: stuck }), Delimited::lines()).inbox_bytes(64 << 10).spawn();
    for _ in 0..1000 {
        tokio::task::yield_now().await; // more turns than it takes to fill the inbox
    }
    let waiting = reads.load(Ordering::Relaxed);
    assert!((100..=256).contains(&waiting), "{waiting} batches wait in 64 KiB");
}

#[tokio::test]
async fn a_frame_that_does_not_end_does_not_keep_the_actor_from_hearing() {
    let slot: Arc<Mutex<Option<Control>>> = Arc::default();
    let controls = Arc::clone(&slot);
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    // There is always more of the line, and during the first read a handle aborts.
    let read = move |buf: &mut ReadBuf<'_>| {
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(control) = controls.lock().unwrap().take() {
            drop(control.abort());
        }
        let len = buf.remaining();
        buf.put_slice(&vec![b'x'; len]);
        Poll::Ready(Ok(()))
    };
    let limits = Limits::default().with_max_frame(64 << 20);
    let (_sender, _receiver, control) =
        Actor::new(Owned(Puppet { read, write: stuck }), Delimited::lines()).limits(limits).spawn();
    *slot.lock().unwrap() = Some(control.clone());
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Aborted), "{}", report.reason);
    assert!(report.truncated_receiving <= 1 << 20, "{} bytes in one turn", report.truncated_receiving);
    assert!(reads.load(Ordering::Relaxed) < 50);
}

#[tokio::test]
async fn a_drain_of_a_stream_that_cannot_tell_receives_a_long_frame_that_is_there() {
    let line = [vec![b'x'; 3 << 20], b"\n".to_vec()].concat();
    let mut rest = line;
    let read = move |buf: &mut ReadBuf<'_>| {
        if rest.is_empty() {
            return Poll::Pending;
        }
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        rest.drain(..len);
        Poll::Ready(Ok(()))
    };
    let limits = Limits::default().with_max_frame(64 << 20);
    let (_sender, mut receiver, control) =
        Actor::new(Owned(Puppet { read, write: stuck }), Delimited::lines()).limits(limits).spawn();
    drop(control.drain(LONG));
    assert_eq!(soon("the line", receiver.recv_batch()).await.unwrap().byte_len(), 3 << 20);
    assert_eq!(soon("the report", control.finished()).await.truncated_receiving, 0);
}

#[tokio::test]
async fn senders_that_gave_up_waiting_leave_nothing_behind() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let (sender, _receiver, _control) =
        Actor::new(Owned(Puppet { read: silent, write: stuck }), Delimited::lines()).outbox_bytes(2000).spawn();
    while sender.try_send(&[b'x'; 900]).is_ok() {
        tokio::task::yield_now().await; // the actor runs, and is stuck
    }
    let tasks: Vec<Arc<Nobody>> = (0..100).map(|_| Arc::new(Nobody)).collect();
    for (n, task) in tasks.iter().enumerate() {
        let waker = Waker::from(Arc::clone(task));
        let mut cx = Context::from_waker(&waker);
        if n % 2 == 0 {
            assert!(Box::pin(sender.send(&[b'x'; 900])).as_mut().poll(&mut cx).is_pending());
        } else {
            assert!(Box::pin(sender.flush()).as_mut().poll(&mut cx).is_pending());
        }
    }
    assert!(tasks.iter().all(|task| Arc::strong_count(task) == 1), "a task that is gone is still held");
}

#[tokio::test]
async fn messages_that_a_dropped_channel_did_not_take_are_lost_and_not_delivered() {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.write_all(b"1\n2\n3\n4\n5\n").await.unwrap();
    let (inbound, mut messages) = mpsc::channel(1);
    let (replies, outbound) = mpsc::channel::<Bytes>(1);
    let control = spawn_with_channels(here, Delimited::lines(), inbound, outbound);
    assert_eq!(soon("the first", messages.recv()).await.unwrap(), "1");
    tokio::task::yield_now().await; // the second takes its place in the channel
    drop((messages, replies));
    let report = soon("the report", control.finished()).await;
    assert_eq!((report.received.frames, report.delivered.frames, report.lost.frames), (5, 2, 3), "{report}");
    assert_eq!((report.delivered.bytes, report.lost.bytes), (2, 3), "{report}");
}

#[tokio::test]
async fn an_idle_actor_writes_what_was_only_tried_to_send() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = Actor::new(here, Delimited::lines()).spawn();
    for _ in 0..3 {
        tokio::task::yield_now().await; // the actor finds nothing to do
    }
    sender.try_send(b"a word").unwrap();
    soon("the word", there.read_exact(&mut [0; 7])).await.unwrap();
}

#[tokio::test]
async fn those_who_wait_hear_of_a_failed_write_although_the_peer_goes_on_writing() {
    let (here, there) = UnixStream::pair().unwrap();
    let there = there.into_std().unwrap();
    there.shutdown(Shutdown::Read).unwrap();
    let (sender, mut receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(1000).spawn();
    // Both wait before the actor first runs.
    let large = vec![0; 900_000];
    sender.send(&large).await.unwrap();
    let (flushed, sent) = soon("bad news", async { tokio::join!(sender.flush(), sender.send(&large)) }).await;
    assert_eq!((flushed, sent), (Err(FlushError), Err(SendError::Closed)));
    (&there).write_all(b"\0\0\0\x02ok").unwrap();
    assert_eq!(soon("the frame", receiver.recv_batch()).await.unwrap().len(), 1);
    drop(there);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Failed(_)), "{}", report.reason);
    assert_eq!((report.handed_to_kernel.bytes, report.unsent.len()), (0, 1));
}

#[tokio::test]
async fn what_the_actor_had_taken_comes_back_in_front_of_what_was_queued_behind_it() {
    let (sender, _receiver, control) =
        Actor::new(Owned(Puppet { read: silent, write: stuck }), Delimited::lines()).spawn();
    for frame in [b"one", b"two", b"six", b"ten"] {
        sender.send(frame).await.unwrap();
        tokio::task::yield_now().await; // the actor takes the first
    }
    let report = soon("the report", control.abort()).await;
    assert_eq!(report.unsent.iter().collect::<Vec<_>>(), [b"one", b"two", b"six", b"ten"]);
}

#[tokio::test]
async fn unsent_messages_of_the_channel_come_after_those_of_the_actor() {
    for closes in [false, true] {
        // No reader: the first messages fill the socket and the outbox, and the last ones their channel.
        let (here, mut there) = UnixStream::pair().unwrap();
        let (inbound, _messages) = mpsc::channel(1);
        let (replies, outbound) = mpsc::channel(100);
        let control = spawn_with_channels(here, LengthPrefixed::u32_be(), inbound, outbound);
        let mut sent: u64 = 0;
        while replies.capacity() > 50 {
            // Let every task that can move something run twice.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let mut message = vec![0; 20_000];
            message[..8].copy_from_slice(&sent.to_be_bytes());
            replies.try_send(Bytes::from(message)).unwrap();
            sent += 1;
        }
        if !closes {
            // The peer goes, with what was not read.
            drop(there);
            let report = soon("the report", control.finished()).await;
            let truncated = u64::from(report.truncated_sending > 0);
            assert_eq!(report.handed_to_kernel.frames + truncated + report.unsent.len() as u64, sent, "{report}");
            assert!(report.unsent.len() >= 50, "{report}");
            continue;
        }
        let report = soon("the report", control.abort()).await;
        let mut wire = Vec::new();
        soon("what was written", there.read_to_end(&mut wire)).await.unwrap();
        let read = whole_frames(&wire);
        let unsent = report.unsent.iter().map(|frame| u64::from_be_bytes(*frame.first_chunk().unwrap()));
        let truncated = u64::from(report.truncated_sending > 0);
        let expected: Vec<u64> = (0..read).chain(read + truncated..sent).collect();
        assert_eq!((0..read).chain(unsent).collect::<Vec<_>>(), expected, "{report}");
    }
}

/// How many whole frames these bytes are.
fn whole_frames(wire: &[u8]) -> u64 {
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
    decoder.feed(wire);
    std::iter::from_fn(|| decoder.next_batch().expect("whole frames were written"))
        .map(|batch| batch.len() as u64)
        .sum()
}
