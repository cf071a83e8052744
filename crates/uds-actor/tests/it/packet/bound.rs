//! Datagram sockets with a name: only admitted senders are received, and the end loses nothing.

use std::{
    io::{self, IoSlice},
    os::{fd::AsFd as _, unix::net::UnixDatagram as StdDatagram},
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use test_kit::{
    process::{NOBODY, as_nobody},
    soon::{LONG, soon},
};
use uds_actor::{
    Admit, Bind, Connect, Reason,
    packet::{Actor, Socket as _},
};

use super::{drain, take};

#[tokio::test]
async fn many_senders_reach_one_receiver() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let (mut receiver, control) = Actor::new(Bind::path(&path).bind_datagram().unwrap()).spawn_receiver();
    assert!(control.peer().is_none());
    let mut senders = Vec::new();
    for name in 0..5_u8 {
        let socket = Connect::path(&path).connect_datagram().await.unwrap();
        senders.push(tokio::spawn(async move {
            let (sender, _back, control) = Actor::new(socket).spawn();
            for number in 0..100_u8 {
                sender.send(&[name, number]).await.unwrap();
            }
            sender.flush().await.unwrap();
            control.close(LONG).await.handed_to_kernel.frames
        }));
    }
    let packets = take(&mut receiver, 500).await;
    for name in 0..5 {
        let numbers = packets.iter().filter(|packet| packet[0] == name).map(|packet| packet[1]);
        assert!(numbers.eq(0..100), "each sender's packets keep their order");
    }
    for sender in senders {
        assert_eq!(soon("a sender", sender).await.unwrap(), 100);
    }
    assert!(path.exists());
    let report = soon("the report", control.close(LONG)).await;
    assert!(!path.exists());
    assert_eq!((report.delivered.frames, report.lost.frames), (500, 0));
}

#[tokio::test]
async fn who_is_not_admitted_is_turned_away_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let own = rustix::process::geteuid().as_raw();
    // The user `nobody` cannot enter our directory, but every process can reach an abstract name.
    let name = format!("uds-actor-uninvited-{}", directory.path().file_name().unwrap().display());
    let bound = Bind::abstract_name(&*name).admit(Admit::none().uid(own)).bind_datagram().unwrap();
    let (mut receiver, control) = Actor::new(bound).spawn_receiver();
    let send = |what: &[u8]| {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&*name).unwrap();
        StdDatagram::unbound().unwrap().send_to_addr(what, &address).unwrap();
    };
    send(b"ours");
    as_nobody(|| send(b"theirs"));
    send(b"ours again");
    let is_root = own == 0;
    if is_root {
        assert_eq!(take(&mut receiver, 2).await, [&b"ours"[..], b"ours again"]);
        let turned_away = control.turned_away();
        let stranger = turned_away.last_uninvited.clone().unwrap();
        assert_eq!((turned_away.uninvited, stranger.uid(), stranger.gid()), (1, NOBODY, NOBODY));
        assert_eq!(stranger.pid(), Some(std::process::id()));
        let report = soon("the report", control.close(LONG)).await;
        assert_eq!((report.received.frames, report.turned_away.uninvited), (2, 1));
        assert!(report.to_string().contains("1 uninvited (last: pid"), "{report}");
    } else {
        assert_eq!(take(&mut receiver, 3).await.len(), 3, "there is nobody else to be");
    }

    let bound = Bind::path(directory.path().join("x.sock")).admit(Admit::none()).bind_datagram().unwrap();
    let sender = Connect::to(bound.address().clone()).connect_datagram().await.unwrap();
    let (mut receiver, control) = Actor::new(bound).spawn_receiver();
    sender.send(b"even ours").await.unwrap();
    drop(control.close(LONG));
    assert_eq!(drain(&mut receiver).await, [b""; 0]);
    assert_eq!(control.finished().await.turned_away.uninvited, 1);
}

#[tokio::test]
async fn an_oversized_datagram_of_another_user_affects_no_other_sender() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let bound = Bind::path(&path).bind_datagram().unwrap();
    let (mut receiver, control) = Actor::new(bound).max_packet(1000).spawn_receiver();
    let sender = StdDatagram::unbound().unwrap();
    for round in 1..=50 {
        sender.send_to(&vec![0; 200_000], &path).unwrap();
        sender.send_to(b"small", &path).unwrap();
        assert_eq!(take(&mut receiver, 1).await, [b"small"]);
        assert_eq!(control.turned_away().oversized, round);
    }
    let report = soon("the report", control.drain(LONG)).await;
    assert_eq!((report.received.frames, report.turned_away.oversized), (50, 50));
    assert_eq!(report.turned_away.last_oversized, 200_000);
}

#[tokio::test]
async fn a_drain_receives_what_was_sent_and_tells_later_senders_that_it_is_over() {
    for is_close in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.sock");
        let bound = Bind::path(&path).bind_datagram().unwrap();
        let sender = Connect::path(&path).connect_datagram().await.unwrap();
        for number in 0..8_u8 {
            sender.send(&[number]).await.unwrap();
        }
        let (mut receiver, control) = Actor::new(bound).inbox_bytes(1).spawn_receiver();
        drop(if is_close {
            Box::pin(control.close(LONG)) as std::pin::Pin<Box<dyn Future<Output = _>>>
        } else {
            Box::pin(control.drain(LONG))
        });
        assert_eq!(take(&mut receiver, 1).await, [[0]]);
        assert!(!path.exists(), "nobody new finds it");
        // Seven wait, the receiver is slow, and the actor still holds the socket.
        let (late, _back, late_control) = Actor::new(sender).spawn();
        late.send(b"late").await.unwrap();
        let late = soon("the late one's report", late_control.finished()).await;
        assert!(matches!(late.reason, Reason::ReceiverGone), "{late}");
        assert_eq!(late.unsent.get(0), Some(&b"late"[..]));
        assert_eq!(drain(&mut receiver).await, (1..8).map(|number| vec![number]).collect::<Vec<_>>());
        let report = soon("the report", control.finished()).await;
        assert!(matches!(report.reason, Reason::Closed), "{report}");
        assert_eq!((report.received.frames, report.delivered.frames), (8, 8));
    }
}

#[tokio::test]
async fn a_dropped_receiver_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let (receiver, control) = Actor::new(Bind::path(&path).bind_datagram().unwrap()).spawn_receiver();
    drop(receiver);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");
    assert!(!path.exists());
    // The lock is free as well.
    drop(Bind::path(&path).bind_datagram().unwrap());
}

#[tokio::test]
async fn a_bound_socket_cannot_send() {
    let directory = tempfile::tempdir().unwrap();
    let bound = Bind::path(directory.path().join("x.sock")).bind_datagram().unwrap();
    let sent = std::future::poll_fn(|cx| bound.poll_send(cx, b"to whom?")).await;
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn descriptors_sent_with_a_datagram_are_rejected_or_closed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let (mut receiver, _control) = Actor::new(Bind::path(&path).bind_datagram().unwrap()).spawn_receiver();
    let (reader, writer) = io::pipe().unwrap();
    let rights = [writer.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
    let sender = StdDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    if sendmsg(&sender, &[IoSlice::new(b"with a pipe")], &mut control, SendFlags::NOSIGNAL).is_err() {
        sender.send(b"with a pipe").unwrap();
    }
    drop(writer);
    assert_eq!(take(&mut receiver, 1).await, [b"with a pipe"]);
    let ended = tokio::task::spawn_blocking(move || io::read_to_string(reader).unwrap());
    assert_eq!(soon("the end of the pipe: no process holds it", ended).await.unwrap(), "");
}
