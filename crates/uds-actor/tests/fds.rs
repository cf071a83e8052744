//! Descriptors go with their frames: none lost, none mixed up, none left open, and none taken by those who want none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/descriptors.rs"]
mod descriptors;
#[path = "support/process.rs"]
mod process;

use std::{
    fs,
    future::Future,
    io::Read as _,
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use bytes::Bytes;
use frame_codec::{Delimited, LengthPrefixed};
use rustix::{
    io::Errno,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use uds_actor::{
    Actor, Bind, Connect, Control, Overflow, Reason, Refusal, Report,
    channel::{Blocking, Channel, Json},
    fds::{Fault, Limits, MAX_PER_FRAME, Receiver, Sender},
};

use self::{
    descriptors::{can_refuse, file, frame, receive, send, text, texts, watched},
    process::{Watchdog, as_nobody},
};

const LONG: Duration = Duration::from_secs(20);

/// A hang is a failure with a name.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting for {what}"),
    }
}

fn spawn(stream: UnixStream) -> (Sender, Receiver, Control) {
    spawn_with(stream, Limits::default())
}

fn spawn_with(stream: UnixStream, limits: Limits) -> (Sender, Receiver, Control) {
    Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(limits).spawn()
}

/// Payloads and the texts of their descriptors, until the end.
async fn drain(receiver: &mut Receiver) -> Vec<(String, Vec<String>)> {
    let mut messages = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        let lent = batch.iter().map(|(payload, descriptors)| (payload.len(), descriptors.len())).collect::<Vec<_>>();
        assert_eq!(batch.len(), lent.len());
        for (message, lent) in batch.into_iter().zip(lent) {
            assert_eq!((message.payload.len(), message.descriptors.len()), lent);
            messages.push((String::from_utf8(message.payload.to_vec()).unwrap(), texts(&message.descriptors)));
        }
    }
    messages
}

fn message(payload: &str, texts: &[&str]) -> (String, Vec<String>) {
    (payload.into(), texts.iter().map(|&text| text.into()).collect())
}

/// Sent, returned, received, delivered, closed.
fn account(report: &Report) -> (u64, u64, u64, u64, u64) {
    let account = report.descriptors.as_ref().unwrap();
    (account.sent(), account.returned(), account.received(), account.delivered(), account.closed())
}

#[track_caller]
fn fault(report: &Report) -> &Fault {
    match &report.reason {
        Reason::Descriptors(fault) => fault,
        other => panic!("{other}"),
    }
}

/// Whether bare messages are all there before any is read, or each is read before the next is sent.
#[derive(Clone, Copy, PartialEq)]
enum Sent {
    AtOnce,
    OneByOne,
}

/// What a receiver of these bare messages makes of them, and how the connection ended.
async fn hear(sent: Sent, messages: &[(&[u8], &[OwnedFd])]) -> (Vec<(String, Vec<String>)>, Report) {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = spawn(here);
    for (bytes, descriptors) in messages {
        match send(&there, bytes, descriptors) {
            Err(Errno::PIPE) if sent == Sent::OneByOne => break, // it was given up already
            outcome => assert_eq!(outcome, Ok(bytes.len())),
        }
        if sent == Sent::OneByOne {
            tokio::task::yield_now().await;
        }
    }
    drop(there);
    let heard = drain(&mut receiver).await;
    (heard, soon("the report", control.finished()).await)
}

// --- both ends ours -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn frames_arrive_with_their_own_descriptors_in_both_directions() {
    let (here, there) = UnixStream::pair().unwrap();
    let (left, mut left_receiver, left_control) = spawn(here);
    let (right, mut right_receiver, right_control) = spawn(there);
    left.send_with(b"two", &mut vec![file("a"), file("b")]).await.unwrap();
    left.send(b"none").await.unwrap();
    left.send_with(b"none either", &mut Vec::new()).await.unwrap();
    left.try_send_with(b"one", &mut vec![file("c")]).unwrap();
    left.try_send(b"").unwrap();
    right.send_with(b"back", &mut vec![file("d")]).await.unwrap();
    soon("left's finish", left.finish()).await.unwrap();
    soon("right's finish", right.finish()).await.unwrap();
    let expected = [
        message("two", &["a", "b"]),
        message("none", &[]),
        message("none either", &[]),
        message("one", &["c"]),
        message("", &[]),
    ];
    assert_eq!(drain(&mut right_receiver).await, expected);
    assert_eq!(drain(&mut left_receiver).await, [message("back", &["d"])]);
    let (left, right) = (left_control.finished().await, right_control.finished().await);
    assert_eq!((account(&left), account(&right)), ((3, 0, 1, 1, 0), (1, 0, 3, 3, 0)));
    assert!(left.to_string().ends_with("descriptors: handed over 3, returned 0, received 1, delivered 1, closed 0"));
}

#[tokio::test]
async fn a_frame_carries_as_many_as_the_kernel_takes_and_more_are_given_back() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = spawn(here);
    let (_sender, mut receiver, _there) = spawn(there);
    let mut many: Vec<OwnedFd> = (0..=MAX_PER_FRAME).map(|number| file(&number.to_string())).collect();
    let refusal = sender.send_with(b"254", &mut many).await.unwrap_err();
    assert_eq!(refusal, Refusal::TooManyDescriptors { count: 254, max: 253 });
    assert_eq!((many.len(), refusal.is_retryable()), (254, false));
    assert_eq!(text(many.pop().unwrap()), "253");

    sender.send_with(b"253", &mut many).await.unwrap();
    assert!(many.is_empty());
    let batch = soon("the frame", receiver.recv_batch()).await.unwrap();
    let message = batch.into_iter().next().unwrap();
    assert_eq!(texts(&message.descriptors), (0..253).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_payload_that_the_framing_refuses_leaves_the_descriptors_with_their_owner() {
    let (here, _there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) =
        Actor::new(here, Delimited::lines()).pass_descriptors(Limits::default()).spawn();
    let mut one = vec![file("mine")];
    assert!(matches!(sender.send_with(b"two\nlines", &mut one).await, Err(Refusal::Unsendable(_))));
    let mut ten: Vec<OwnedFd> = (0..10).map(|_| file("count is a line feed")).collect();
    assert!(matches!(sender.try_send_with(b"line", &mut ten), Err(Refusal::Unsendable(_))));
    assert_eq!((texts(&one), ten.len()), (vec!["mine".to_owned()], 10));
}

#[tokio::test]
async fn signs_of_life_are_frames_without_descriptors() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, _receiver, _control) = Actor::new(here, LengthPrefixed::u32_be())
        .keep_alive(Duration::from_millis(1), || Bytes::from_static(b"alive"))
        .pass_descriptors(Limits::default())
        .spawn();
    let (_sender, mut receiver, _there) = spawn(there);
    let batch = soon("a sign of life", receiver.recv_batch()).await.unwrap();
    let (payload, descriptors) = batch.iter().next().unwrap();
    assert_eq!((payload, descriptors.len()), (&b"alive"[..], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn senders_on_several_threads_mix_up_nothing() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = spawn_with(here, Limits::default().with_queued(8));
    let (_sender, mut receiver, _there) = spawn_with(there, Limits::default().with_held(8));
    let senders: Vec<_> = (0..4)
        .map(|who| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for number in 0..300 {
                    let text = format!("{who} {number}");
                    // One in three has none, and is written alone if it finds the actor idle.
                    let mut own = if number % 3 == 0 { Vec::new() } else { vec![file(&text)] };
                    sender.send_with(text.as_bytes(), &mut own).await.unwrap();
                    if number % 7 == 0 {
                        sender.flush().await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let mut next = [0; 4];
    for (payload, texts) in drain(&mut receiver).await {
        let (who, number) = payload.split_once(' ').unwrap();
        let (who, number): (usize, usize) = (who.parse().unwrap(), number.parse().unwrap());
        assert_eq!(std::mem::replace(&mut next[who], number + 1), number, "in the order in which it sent them");
        assert_eq!(texts, if number % 3 == 0 { vec![] } else { vec![payload] });
    }
    assert_eq!(next, [300; 4]);
    for sender in senders {
        soon("a sender", sender).await.unwrap();
    }
    assert_eq!(account(&soon("the report", control.abort()).await).0, 800);
}

// --- on the wire --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn descriptors_are_attached_to_the_first_byte_of_their_frame() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = spawn(here);
    sender.send(b"before").await.unwrap();
    sender.send_with(b"with", &mut vec![file("a"), file("b")]).await.unwrap();
    sender.send(b"behind").await.unwrap();
    sender.send_with(b"last", &mut vec![file("c")]).await.unwrap();
    soon("the flush", sender.flush()).await.unwrap();
    // The kernel puts what was sent before in front, and ends a read behind the message that has descriptors.
    let (bytes, descriptors) = receive(&there);
    assert_eq!(bytes, [frame(0, b"before"), frame(2, b"with"), frame(0, b"behind")].concat());
    assert_eq!(texts(&descriptors), ["a", "b"]);
    let (bytes, descriptors) = receive(&there);
    assert_eq!((bytes, texts(&descriptors)), (frame(1, b"last"), vec!["c".to_owned()]));
}

#[tokio::test]
async fn a_lone_frame_is_written_by_its_sender_with_its_descriptors() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = spawn(here);
    tokio::task::yield_now().await; // the actor has looked, found nothing, and is idle
    let (descriptor, watch) = watched();
    sender.try_send_with(b"at once", &mut vec![descriptor]).unwrap();
    // Nobody else had a turn since.
    let (bytes, descriptors) = receive(&there);
    assert_eq!((bytes, descriptors.len()), (frame(1, b"at once"), 1));
    assert!(!watch.is_closed());
    drop(descriptors);
    assert!(watch.is_closed(), "it was closed here when it was sent");
    sender.send_with(b"and by the actor", &mut vec![file("second")]).await.unwrap();
    soon("the flush", sender.flush()).await.unwrap();
    assert_eq!(texts(&receive(&there).1), ["second"]);
    assert_eq!(account(&soon("the report", control.abort()).await).0, 2);
}

#[tokio::test]
async fn a_frame_may_come_in_pieces_behind_its_first_byte() {
    let whole = frame(2, b"in pieces");
    let (first, rest) = whole.split_at(1);
    let messages: [(&[u8], &[OwnedFd]); 5] = [
        (&frame(0, b"plain"), &[]),
        (first, &[file("a"), file("b")]),
        (&rest[..3], &[]),
        (&rest[3..], &[]),
        (&[frame(1, b"with its neighbour"), frame(0, b"neighbour")].concat(), &[file("c")]),
    ];
    let expected = [
        message("plain", &[]),
        message("in pieces", &["a", "b"]),
        message("with its neighbour", &["c"]),
        message("neighbour", &[]),
    ];
    for sent in [Sent::AtOnce, Sent::OneByOne] {
        let (heard, report) = hear(sent, &messages).await;
        assert_eq!((heard, report.reason.to_string().as_str()), (expected.to_vec(), "closed"));
    }
}

// --- peers that break the rules -----------------------------------------------------------------------------------

/// A good frame, then these messages, each with so many descriptors: that they end the connection with `expected`, that
/// the good frame is delivered, and that nothing stays open.
async fn check_broken(messages: &[(&[u8], usize)], expected: Fault) {
    for sent in [Sent::AtOnce, Sent::OneByOne] {
        check_broken_if(sent, messages, &expected).await;
    }
}

async fn check_broken_if(sent: Sent, messages: &[(&[u8], usize)], expected: &Fault) {
    let mut watches = Vec::new();
    let broken: Vec<(&[u8], Vec<OwnedFd>)> = messages
        .iter()
        .map(|&(bytes, count)| {
            let (descriptors, watched): (Vec<_>, Vec<_>) = (0..count).map(|_| watched()).unzip();
            watches.extend(watched);
            (bytes, descriptors)
        })
        .collect();
    let (good, files) = (frame(1, b"good"), [file("own")]);
    let mut all: Vec<(&[u8], &[OwnedFd])> = vec![(&good, &files)];
    all.extend(broken.iter().map(|(bytes, descriptors)| (*bytes, &descriptors[..])));
    let (heard, report) = hear(sent, &all).await;
    drop(broken);
    assert_eq!((fault(&report), &heard[0]), (expected, &message("good", &["own"])));
    assert!(report.reason.is_peer_fault(), "{}", report.reason);
    let left: Vec<_> = watches.iter().filter(|watch| !watch.is_closed()).collect();
    assert!(left.is_empty(), "{expected}: {} left open", left.len());
    let (.., received, delivered, closed) = account(&report);
    assert_eq!(received, delivered + closed, "{expected}");
}

#[tokio::test]
async fn descriptors_that_no_frame_announces_end_the_connection() {
    check_broken(&[(&frame(0, b"says none"), 2)], Fault::Unannounced { count: 2 }).await;
    let (two, one) = (frame(2, b"two"), frame(1, b"one"));
    // Attached to a byte that is not the first, behind descriptors that were.
    check_broken(&[(&two[..4], 2), (&two[4..], 1)], Fault::Unannounced { count: 1 }).await;
    check_broken(&[(&two[..2], 2), (&two[2..4], 1), (&two[4..6], 0)], Fault::Unannounced { count: 1 }).await;
    // A stray one in front of a frame that has its own must not become that frame's.
    check_broken(&[(&frame(0, b"stray"), 1), (&one, 1)], Fault::Unannounced { count: 1 }).await;
}

#[tokio::test]
async fn a_frame_with_another_number_than_it_announces_ends_the_connection() {
    check_broken(&[(&frame(2, b"two"), 1)], Fault::Missing { announced: 2, arrived: 1 }).await;
    check_broken(&[(&frame(1, b"one"), 2)], Fault::Missing { announced: 1, arrived: 2 }).await;
    check_broken(&[(&frame(3, b"three"), 0)], Fault::Missing { announced: 3, arrived: 0 }).await;
    let two = [frame(1, b"one"), frame(1, b"another")].concat();
    check_broken(&[(&two, 2)], Fault::Missing { announced: 1, arrived: 2 }).await;
    // What the second brings must not become the first one's.
    check_broken(&[(&frame(1, b"lies"), 0), (&frame(1, b"one"), 1)], Fault::Missing { announced: 1, arrived: 0 }).await;
}

#[tokio::test]
async fn a_frame_without_a_count_ends_the_connection() {
    check_broken(&[(b"\0\0\0\0", 0)], Fault::NoCount).await;
    check_broken(&[(&frame(254, b"too many to be"), 1)], Fault::NoCount).await;
    check_broken(&[(b"\0\0\0\x05plain", 0)], Fault::Missing { announced: b'p'.into(), arrived: 0 }).await;
}

#[tokio::test]
async fn a_frame_that_is_cut_has_its_descriptors_closed() {
    let (descriptor, watch) = watched();
    let sent = [descriptor];
    let (heard, report) =
        hear(Sent::AtOnce, &[(&frame(0, b"whole"), &[]), (&frame(1, b"never comes to its end")[..9], &sent)]).await;
    drop(sent);
    assert_eq!(heard, [message("whole", &[])]);
    assert_eq!((report.cut_receiving, account(&report), watch.is_closed()), (9, (0, 0, 1, 0, 1), true));
}

#[tokio::test]
async fn what_is_refused_for_its_descriptors_is_reported_as_cut() {
    let (_, report) =
        hear(Sent::AtOnce, &[(&[frame(0, b"good"), frame(2, b"bad"), frame(0, b"behind")].concat(), &[])]).await;
    assert_eq!(fault(&report), &Fault::Missing { announced: 2, arrived: 0 });
    assert_eq!((report.received.frames, report.cut_receiving), (1, 4 + 7));
}

// --- bounds -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn no_more_are_read_than_may_wait_and_all_arrive_in_the_end() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = spawn_with(here, Limits::default().with_queued(5));
    let (_sender, mut receiver, control) = spawn_with(there, Limits::default().with_held(4));
    let sending = tokio::spawn(async move {
        for number in 0..100 {
            let mut both = vec![file(&format!("{number}a")), file(&format!("{number}b"))];
            sender.send_with(number.to_string().as_bytes(), &mut both).await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    while !sending.is_finished() {
        tokio::task::yield_now().await; // everybody has done what there was to do
    }
    let first = soon("a batch", receiver.recv_batch()).await.unwrap();
    let so_far = first.iter().map(|(_, descriptors)| descriptors.len()).sum::<usize>();
    assert!(so_far <= 5, "{so_far} in one batch");
    drop(first);
    let rest = drain(&mut receiver).await;
    for (number, (payload, texts)) in (so_far / 2..100).zip(&rest) {
        assert_eq!((payload, &texts[..]), (&number.to_string(), &[format!("{number}a"), format!("{number}b")][..]));
    }
    assert_eq!(rest.len(), 100 - so_far / 2);
    let report = soon("the report", control.abort()).await;
    assert_eq!(account(&report), (0, 0, 200, 200, 0));
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_takes_nothing_is_bounded() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, receiver, control) = spawn_with(here, Limits::default().with_held(10));
    for _ in 0..30 {
        send(&there, &frame(1, b"one"), &[file("x")]).unwrap();
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let report = soon("the report", control.abort()).await;
    assert_eq!(account(&report).2, 10, "{report}");
    drop(receiver);
    assert_eq!(account(&report), (0, 0, 10, 0, 10));
}

#[tokio::test]
async fn a_full_outbox_leaves_descriptors_with_their_owner_or_does_what_was_chosen() {
    // The peer reads nothing, so what is queued stays queued.
    let stuffed = |policy| {
        let (here, there) = UnixStream::pair().unwrap();
        let (sender, receiver, control) = Actor::new(here, LengthPrefixed::u32_be())
            .on_full(policy)
            .pass_descriptors(Limits::default().with_queued(3))
            .spawn();
        // Before the actor has had a turn: three wait.
        sender.try_send_with(b"first", &mut vec![file("1"), file("2"), file("3")]).unwrap();
        (sender, receiver, control, there)
    };
    let (sender, _receiver, _control, _there) = stuffed(Overflow::Wait);
    let (descriptor, watch) = watched();
    let mut mine = vec![descriptor];
    assert_eq!(sender.try_send_with(b"second", &mut mine), Err(Refusal::Full));
    sender.try_send(b"without any there is room").unwrap();
    assert_eq!((mine.len(), watch.is_closed()), (1, false));
    soon("room", sender.send_with(b"second", &mut mine)).await.unwrap();

    let (sender, _receiver, control, _there) = stuffed(Overflow::DropNewest);
    let (descriptor, watch) = watched();
    sender.send_with(b"second", &mut vec![descriptor]).await.unwrap();
    assert!(watch.is_closed());
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.dropped, report.descriptors.unwrap().dropped()), (1, 1));

    let (sender, _receiver, control, _there) = stuffed(Overflow::Disconnect);
    let mut mine = vec![file("mine")];
    assert_eq!(sender.send_with(b"second", &mut mine).await, Err(Refusal::Closed));
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::Overflow));
    assert_eq!(texts(&mine), ["mine"]);
}

// --- the end ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn what_was_never_sent_comes_back_with_its_frames() {
    let (here, there) = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&here, 1).unwrap();
    let (sender, _receiver, control) = spawn(here);
    let large = vec![b'x'; 100_000];
    sender.send_with(&large, &mut vec![file("goes out with the first byte")]).await.unwrap();
    sender.send_with(b"one", &mut vec![file("a"), file("b")]).await.unwrap();
    sender.send(b"two").await.unwrap();
    sender.send_with(b"three", &mut vec![file("c")]).await.unwrap();
    tokio::task::yield_now().await;
    let report = soon("the report", control.abort()).await;
    assert_eq!(report.returned.iter().collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
    assert!(report.cut_sending > 0);
    assert_eq!(account(&report), (1, 3, 0, 0, 0));
    let returned = report.descriptors.as_ref().unwrap().take_returned();
    let returned: Vec<_> = returned.iter().map(|descriptors| texts(descriptors)).collect();
    assert_eq!(returned, [&["a", "b"][..], &[], &["c"]]);
    assert!(control.finished().await.descriptors.unwrap().take_returned().is_empty(), "they have one owner");
    drop(there);
    let mut late = vec![file("late")];
    assert_eq!(sender.send_with(b"late", &mut late).await, Err(Refusal::Closed));
    assert_eq!(texts(&late), ["late"]);
}

#[tokio::test]
async fn what_nobody_takes_is_closed_with_the_handles() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = spawn(here);
    let (_peer, _peer_receiver, _there) = spawn(there);
    let (descriptor, watch) = watched();
    sender.try_send_with(b"queued", &mut vec![descriptor]).unwrap();
    let report = soon("the report", control.abort()).await;
    assert!(!watch.is_closed());
    drop((sender, receiver, control));
    assert!(!watch.is_closed(), "the report has it");
    drop(report);
    assert!(watch.is_closed());
}

#[tokio::test]
async fn what_waits_for_a_receiver_is_closed_with_it() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, receiver, control) = spawn(here);
    let (descriptor, watch) = watched();
    send(&there, &frame(1, b"waits"), &[descriptor]).unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!watch.is_closed());
    drop(receiver);
    assert!(watch.is_closed());
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.lost.frames, account(&report)), (1, (0, 0, 1, 0, 1)));
}

#[test]
fn nothing_is_left_open_when_connections_end_in_any_way() {
    let _watchdog = Watchdog::start();
    // In a process of its own, in which nobody else opens anything.
    process::Actor::start("child_counts_its_descriptors").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_counts_its_descriptors() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let round = |number: u32| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = UnixStream::pair().unwrap();
            let (sender, mut receiver, control) = spawn_with(here, Limits::default().with_held(3));
            let (echo, mut heard, echo_control) = spawn(there);
            for _ in 0..20 {
                if sender.try_send_with(&[b'x'; 3000], &mut vec![file("a"), file("b")]).is_err() {
                    break;
                }
            }
            match number % 5 {
                0 => drop(soon("a batch", heard.recv_batch()).await),
                1 => {
                    let batch = soon("a batch", heard.recv_batch()).await.unwrap();
                    for message in batch {
                        let mut descriptors = message.descriptors;
                        let _ = echo.try_send_with(&message.payload, &mut descriptors);
                    }
                    drop(soon("an echo", receiver.recv_batch()).await);
                }
                2 => drop(heard),
                3 => drop(soon("the report", control.abort()).await),
                _ => drop((soon("the report", echo_control.abort()).await, sender, receiver)),
            }
        });
    };
    round(0);
    let before = open();
    for number in 0..100 {
        round(number);
        assert_eq!(open(), before, "round {number}");
    }
}

// --- those who want none ------------------------------------------------------------------------------------------

/// Sends a line with a descriptor to somebody who wants none.
#[track_caller]
fn try_to_pass(socket: impl std::os::fd::AsFd, line: &[u8]) -> descriptors::Watch {
    let (descriptor, watch) = watched();
    let sent = send(&socket, line, &[descriptor]);
    match sent {
        Err(Errno::PERM) => {
            assert!(can_refuse(), "the option is there");
            assert!(watch.is_closed());
            send(socket, line, &[]).unwrap();
        }
        Ok(_) => assert!(!can_refuse(), "it was not refused"),
        Err(errno) => panic!("{errno}"),
    }
    watch
}

#[tokio::test]
async fn an_actor_refuses_descriptors_and_takes_what_they_came_with() {
    let (here, there) = UnixStream::pair().unwrap();
    // On its way before the actor has the stream, so that no kernel refuses it.
    let (descriptor, early) = watched();
    send(&there, b"early\n", &[descriptor]).unwrap();
    let (_sender, mut receiver, control) = Actor::new(here, Delimited::lines()).spawn();
    let late = try_to_pass(&there, b"late\n");
    drop(there);
    let mut lines = Vec::new();
    while let Some(batch) = soon("a batch", receiver.recv_batch()).await {
        lines.extend(batch.iter().map(<[u8]>::to_vec));
    }
    assert_eq!(lines, [b"early".to_vec(), b"late".to_vec()]);
    assert!(early.is_closed() && late.is_closed());
    assert!(soon("the report", control.finished()).await.descriptors.is_none());
}

#[tokio::test]
async fn what_is_behind_refused_descriptors_is_read_without_waiting_for_more() {
    let (here, there) = UnixStream::pair().unwrap();
    // The kernel ends a read behind each of these.
    for line in [&b"one\n"[..], b"two\n", b"three\n"] {
        send(&there, line, &[file("not wanted")]).unwrap();
    }
    send(&there, b"four\n", &[]).unwrap();
    let (_sender, mut receiver, _control) = Actor::new(here, Delimited::lines()).spawn();
    let mut heard = 0;
    while heard < 4 {
        heard += soon("the rest", receiver.recv_batch()).await.unwrap().len();
    }
    // And from now on one read is enough for one message.
    send(&there, b"five\n", &[]).unwrap();
    assert_eq!(soon("the last", receiver.recv_batch()).await.unwrap().get(0), Some(&b"five"[..]));
}

#[tokio::test]
async fn listeners_and_connections_refuse_from_the_first_byte_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let client = Connect::path(&path).connect().await.unwrap();
    let to_server = try_to_pass(&client, b"nobody has accepted yet\n");
    let (server, _) = soon("the client", listener.accept()).await.unwrap();
    let to_client = try_to_pass(&server, b"nobody reads yet\n");
    for (mut stream, watch) in [(client, to_client), (server, to_server)] {
        assert!(soon("a line", stream.read(&mut [0; 80])).await.unwrap() > 0);
        assert!(watch.is_closed());
    }
}

#[tokio::test]
async fn listeners_and_connections_let_descriptors_through_if_they_are_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).pass_descriptors().listen().unwrap();
    let client = Connect::path(&path).pass_descriptors().connect().await.unwrap();
    send(&client, &frame(1, b"nobody has accepted yet"), &[file("up")]).unwrap();
    let (server, _) = soon("the client", listener.accept()).await.unwrap();
    send(&server, &frame(1, b"nobody reads yet"), &[file("down")]).unwrap();
    for (stream, expected) in [(client, "down"), (server, "up")] {
        let (_sender, mut receiver, _control) = spawn(stream);
        let batch = soon("a frame", receiver.recv_batch()).await.unwrap();
        assert_eq!(texts(batch.iter().next().unwrap().1), [expected]);
    }
}

#[tokio::test]
async fn an_actor_that_passes_descriptors_lets_them_through_whatever_was_set_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen().unwrap();
    let client = Connect::path(&path).connect().await.unwrap();
    let (server, _) = soon("the client", listener.accept()).await.unwrap();
    let (sender, _receiver, _control) = spawn(client);
    let (_sender, mut receiver, _server) = spawn(server);
    sender.send_with(b"late enough", &mut vec![file("through")]).await.unwrap();
    let batch = soon("a frame", receiver.recv_batch()).await.unwrap();
    assert_eq!(texts(batch.iter().next().unwrap().1), ["through"]);
}

#[test]
fn a_channel_refuses_descriptors() {
    let _watchdog = Watchdog::start();
    let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut channel = Channel::<String, String, Blocking, Json>::from_stream(here);
    let watch = try_to_pass(&there, b"\x0b\0\0\0\0\0\0\0\"a\"");
    assert_eq!(channel.recv().unwrap(), "a");
    assert!(watch.is_closed());
    channel.send(&"b".to_owned()).unwrap();
    assert_eq!(there.read(&mut [0; 80]).unwrap(), 11);
}

#[tokio::test]
async fn a_peer_that_takes_no_descriptors_is_named_and_they_come_back() {
    if !can_refuse() {
        // Then the kernel delivers bytes alone, and there is nothing to be told.
        return;
    }
    let (here, there) = UnixStream::pair().unwrap();
    let (_peer, mut heard, _there) = Actor::new(there, LengthPrefixed::u32_be()).spawn();
    let (sender, _receiver, control) = spawn(here);
    sender.send(b"plain").await.unwrap();
    sender.send_with(b"with", &mut vec![file("not wanted")]).await.unwrap();
    assert_eq!(soon("the flush", sender.flush()).await, Err(Refusal::Closed));
    assert_eq!(soon("the first", heard.recv_batch()).await.unwrap().get(0), Some(&b"\0plain"[..]));
    let report = soon("the report", control.finished()).await;
    assert_eq!(fault(&report), &Fault::Refused);
    assert_eq!((account(&report), report.returned.get(0)), ((0, 1, 0, 0, 0), Some(&b"with"[..])));
    assert_eq!(texts(&report.descriptors.unwrap().take_returned()[0]), ["not wanted"]);
}

// --- shortage -----------------------------------------------------------------------------------------------------

#[test]
fn descriptors_that_the_kernel_cuts_off_end_the_connection_and_say_so() {
    let _watchdog = Watchdog::start();
    process::Actor::start("child_has_no_room_for_descriptors").passes();
}

fn limit_open_files(limit: u64) {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: before.maximum }).unwrap();
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn child_has_no_room_for_descriptors() {
    for room in [0, 2] {
        let (here, there) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, control) = spawn(here);
        let (descriptors, watches): (Vec<_>, Vec<_>) = (0..5).map(|_| watched()).unzip();
        send(&there, &frame(0, b"before"), &[]).unwrap();
        let bytes = [frame(5, b"five"), frame(0, b"behind")].concat();
        send(&there, &bytes, &descriptors).unwrap();
        drop(descriptors);
        // Not yet received: the actor has had no turn. Those that were dropped leave five numbers free.
        let free = fs::File::open("/dev/null").unwrap().as_raw_fd().unsigned_abs();
        let taken = fs::read_dir("/proc/self/fd").unwrap().count();
        let gaps: Vec<_> =
            (0..u64::from(free)).filter(|fd| fs::metadata(format!("/proc/self/fd/{fd}")).is_err()).collect();
        assert!(gaps.is_empty() && taken > 0);
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        limit_open_files(u64::from(free) + room);
        let heard = drain(&mut receiver).await;
        let report = soon("the report", control.finished()).await;
        limit_open_files(limit);
        assert_eq!(heard, [message("before", &[])]);
        // Watches lie among the free numbers, so fewer than `room` may have been left.
        let &Fault::CutOff { arrived } = fault(&report) else { panic!("{report}") };
        assert!(arrived as u64 <= room, "{arrived}");
        assert!(!report.reason.is_peer_fault());
        assert_eq!(account(&report), (0, 0, arrived as u64, 0, arrived as u64));
        assert!(watches.iter().all(descriptors::Watch::is_closed));
        drop(there);
    }
}

#[test]
fn too_many_in_flight_are_waited_for_and_then_named() {
    let _watchdog = Watchdog::start();
    process::Actor::start("child_has_too_many_in_flight").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_has_too_many_in_flight() {
    // Not root, who may have any number in flight.
    as_nobody(|| {
        limit_open_files(64);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // So many as nobody receives: the kernel lets one message over the limit through.
            let (hoard, hoarder) = UnixStream::pair().unwrap();
            let files: Vec<OwnedFd> = (0..33).map(|_| file("hoarded")).collect();
            while send(&hoarder, b"x", &files) != Err(Errno::TOOMANYREFS) {}
            drop(files);
            let (here, there) = UnixStream::pair().unwrap();
            let (sender, _receiver, control) = spawn(here);
            let (_sender, mut receiver, _there) = spawn(there);
            sender.send_with(b"waits", &mut vec![file("patient")]).await.unwrap();
            let waits = timeout(Duration::from_millis(50), receiver.recv_batch()).await;
            assert!(waits.is_err(), "nothing can be in flight");
            let mut bytes = Vec::new();
            while bytes.len() < 3 && hoard.try_read_buf(&mut bytes).is_ok() {}
            let batch = soon("what could not be in flight", receiver.recv_batch()).await.unwrap();
            assert_eq!(texts(batch.iter().next().unwrap().1), ["patient"]);
            drop(batch);

            let files: Vec<OwnedFd> = (0..33).map(|_| file("hoarded")).collect();
            while send(&hoarder, b"x", &files) != Err(Errno::TOOMANYREFS) {}
            drop(files);
            sender.send_with(b"gives up", &mut vec![file("comes back")]).await.unwrap();
            assert_eq!(soon("the flush", sender.flush()).await, Err(Refusal::Closed));
            let report = soon("the report", control.finished()).await;
            assert_eq!(fault(&report), &Fault::InFlight);
            assert_eq!(texts(&report.descriptors.unwrap().take_returned()[0]), ["comes back"]);
        });
    });
}

#[tokio::test]
async fn plain_bytes_in_front_are_no_trouble() {
    // What is written in one piece with an orderly end still arrives as frames.
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = spawn(here);
    there.write_all(&[frame(0, b"a"), frame(0, b"b")].concat()).await.unwrap();
    drop(there);
    assert_eq!(drain(&mut receiver).await, [message("a", &[]), message("b", &[])]);
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::Closed));
}
