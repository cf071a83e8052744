//! What the kernel does rarely: on a socket that does what it is told.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustix::io::Errno;
use test_kit::soon::soon;
use uds_actor::{
    FlushError, Peer, Reason, SendError,
    packet::{Actor, Control, Received, Semantics, Socket, TwoWay},
};

use super::drain;

/// A socket whose receiving and sending are two functions. A function that returns `Pending` wakes no task.
struct Puppet<R, W> {
    receive: R,
    send: W,
}

impl<R, W> Socket for Puppet<R, W>
where
    R: Fn(&mut [u8]) -> Poll<io::Result<Received>> + Send + 'static,
    W: Fn(&[u8]) -> Poll<io::Result<()>> + Send + 'static,
{
    const SEMANTICS: Semantics = Semantics::Datagrams;

    fn peer(&self) -> Option<Peer> {
        None
    }

    fn largest(&self) -> usize {
        1000
    }

    fn poll_recv(&self, _: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<Received>> {
        (self.receive)(room)
    }

    fn poll_send(&self, _: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<()>> {
        (self.send)(packet)
    }

    fn has_unread(&self) -> bool {
        false
    }

    fn is_hung_up(&self) -> bool {
        false
    }

    fn finish(&self) {}

    fn close_intake(&mut self) {}
}

impl<R, W> TwoWay for Puppet<R, W> where Self: Socket {}

fn silent(_: &mut [u8]) -> Poll<io::Result<Received>> {
    Poll::Pending
}

fn stuck(_: &[u8]) -> Poll<io::Result<()>> {
    Poll::Pending
}

/// Answers with these errors one after the other, then succeeds.
fn failing(errors: &[Errno]) -> impl Fn(&[u8]) -> Poll<io::Result<()>> + Send + use<> {
    let errors = Mutex::new(errors.iter().rev().copied().collect::<Vec<_>>());
    move |_| Poll::Ready(errors.lock().unwrap().pop().map_or(Ok(()), |errno| Err(errno.into())))
}

#[tokio::test(start_paused = true)]
async fn a_shortage_of_memory_is_waited_out() {
    let errors = [Errno::NOBUFS, Errno::NOBUFS, Errno::NOMEM, Errno::NOBUFS];
    let (sender, _receiver, control) = Actor::new(Puppet { receive: silent, send: failing(&errors) }).spawn();
    let began = tokio::time::Instant::now();
    sender.send(b"one").await.unwrap();
    sender.flush().await.unwrap();
    let waited = began.elapsed();
    assert!((15..30).contains(&waited.as_millis()), "1 + 2 + 4 + 8 ms: {waited:?}");
    sender.send(b"two").await.unwrap();
    sender.flush().await.unwrap();
    assert_eq!(began.elapsed(), waited, "the pause is over");
    assert_eq!(control.abort().await.handed_to_kernel.frames, 2);
}

#[tokio::test]
async fn a_packet_that_has_become_too_large_is_rejected_and_the_next_is_sent() {
    let (sender, _receiver, control) = Actor::new(Puppet { receive: silent, send: failing(&[Errno::MSGSIZE]) }).spawn();
    sender.send(b"too large by now").await.unwrap();
    sender.send(b"small").await.unwrap();
    sender.flush().await.unwrap();
    assert!(matches!(sender.send(&[0; 1001]).await, Err(SendError::Unsendable(_))));
    let report = control.abort().await;
    assert_eq!((report.rejected, report.handed_to_kernel.frames, report.unsent.len()), (2, 1, 0));
    assert_eq!(report.handed_to_kernel.bytes, 5);
}

#[tokio::test]
async fn each_way_a_receiver_can_be_gone_is_named_so_and_other_failures_are_not() {
    for errno in [Errno::CONNREFUSED, Errno::NOTCONN, Errno::CONNRESET, Errno::PIPE] {
        let (sender, _receiver, control) = Actor::new(Puppet { receive: silent, send: failing(&[errno]) }).spawn();
        sender.send(b"lost?").await.unwrap();
        assert_eq!(sender.flush().await, Err(FlushError));
        let report = soon("the report", control.finished()).await;
        assert!(matches!(report.reason, Reason::ReceiverGone), "{errno}: {report}");
        assert_eq!(report.unsent.len(), 1);
    }
    let (sender, _receiver, control) = Actor::new(Puppet { receive: silent, send: failing(&[Errno::PERM]) }).spawn();
    sender.send(b"lost?").await.unwrap();
    let report = soon("the report", control.finished()).await;
    assert!(
        matches!(&report.reason, Reason::Failed(error) if error.kind() == io::ErrorKind::PermissionDenied),
        "{report}"
    );
}

#[tokio::test]
async fn an_error_ahead_of_what_is_queued_does_not_lose_it() {
    let answers = Mutex::new(vec![
        Err(Errno::CONNRESET), // asked again, it is still broken: that is the end
        Err(Errno::CONNRESET),
        Ok(Received::Packet(1)),
        Ok(Received::Packet(1)),
        Err(Errno::CONNRESET),
        Ok(Received::Packet(1)),
    ]);
    let receive = move |_: &mut [u8]| match answers.lock().unwrap().pop() {
        Some(answer) => Poll::Ready(answer.map_err(io::Error::from)),
        None => Poll::Pending,
    };
    let (_sender, mut receiver, control) = Actor::new(Puppet { receive, send: stuck }).spawn();
    assert_eq!(drain(&mut receiver).await.len(), 3);
    let report = soon("the report", control.finished()).await;
    assert!(
        matches!(&report.reason, Reason::Failed(error) if error.kind() == io::ErrorKind::ConnectionReset),
        "{report}"
    );
    assert_eq!(report.received.frames, 3);
}

/// An actor that always has something to do, told to abort from within its second turn or so.
async fn hears_an_abort(receive: fn() -> Received, packets_at_most: usize) {
    let slot: Arc<Mutex<Option<Control>>> = Arc::default();
    let controls = Arc::clone(&slot);
    let received = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&received);
    let receive = move |_: &mut [u8]| {
        if counter.fetch_add(1, Ordering::Relaxed) == 1
            && let Some(control) = controls.lock().unwrap().take()
        {
            drop(control.abort());
        }
        Poll::Ready(Ok(receive()))
    };
    let sent = |_: &[u8]| Poll::Ready(Ok(()));
    let (_sender, _receiver, control) = Actor::new(Puppet { receive, send: sent }).inbox_bytes(1 << 30).spawn();
    *slot.lock().unwrap() = Some(control.clone());
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Aborted), "{report}");
    let received = received.load(Ordering::Relaxed);
    assert!(received <= packets_at_most, "{received} packets in one turn");
}

#[tokio::test]
async fn no_flood_keeps_the_actor_from_hearing() {
    hears_an_abort(|| Received::Packet(10), 300).await;
    hears_an_abort(|| Received::Packet(0), 300).await;
    hears_an_abort(|| Received::Packet(200_000), 3).await;
    hears_an_abort(|| Received::Oversized(1 << 40), 300).await;
    hears_an_abort(|| Received::Uninvited(Peer::new(1, 1, None, [])), 300).await;
}

#[tokio::test]
async fn the_inbox_is_overshot_by_one_packet_at_most() {
    let received = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&received);
    let receive = move |_: &mut [u8]| {
        counter.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(Received::Packet(1000)))
    };
    let (_sender, _receiver, _control) = Actor::new(Puppet { receive, send: stuck }).inbox_bytes(10_000).spawn();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let received = received.load(Ordering::Relaxed);
    assert!((5..=11).contains(&received), "{received} packets of 1000 bytes in 10,000");
}

#[tokio::test]
async fn a_deadline_ends_what_cannot_be_sent_and_gives_it_back() {
    let (sender, _receiver, control) = Actor::new(Puppet { receive: silent, send: stuck }).spawn();
    sender.send(b"stuck").await.unwrap();
    sender.send(b"behind it").await.unwrap();
    let report = soon("the report", control.close(Duration::from_millis(20))).await;
    assert!(matches!(report.reason, Reason::DeadlineExceeded), "{report}");
    assert_eq!(report.unsent.iter().collect::<Vec<_>>(), [&b"stuck"[..], b"behind it"]);
}

#[test]
fn a_runtime_that_shuts_down_still_accounts() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (control, _receiver) = runtime.block_on(async {
        let (sender, receiver, control) = Actor::new(Puppet { receive: silent, send: stuck }).spawn();
        sender.send(b"stuck").await.unwrap();
        tokio::task::yield_now().await;
        (control, receiver)
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(soon("the report", control.finished()));
    assert!(matches!(report.reason, Reason::Aborted), "{report}");
    assert_eq!(report.unsent.len(), 1);
}
