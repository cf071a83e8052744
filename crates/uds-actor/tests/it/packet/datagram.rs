//! Connected datagram sockets: pairs, a receiver that is slow, one that is gone, one that was restarted.

use std::{future::poll_fn, io::IoSlice, os::fd::AsFd as _};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use test_kit::soon::{LONG, soon};
use tokio::net::UnixDatagram;
use uds_actor::{
    Bind, Connect, ConnectError, Reason, SendError, SocketKind,
    packet::{Actor, Received, Socket},
};

use super::{drain, take};

#[tokio::test]
async fn empty_datagrams_are_packets_like_others() {
    let (here, there) = UnixDatagram::pair().unwrap();
    let (sender, _back, _here) = Actor::new(here).spawn();
    let (_answers, mut receiver, _there) = Actor::new(there).spawn();
    for packet in [&b""[..], b"one", b"", b""] {
        sender.send(packet).await.unwrap();
    }
    assert_eq!(take(&mut receiver, 4).await, [&b""[..], b"one", b"", b""]);
}

#[tokio::test]
async fn empty_datagrams_do_not_fill_memory_for_free() {
    let (here, _there) = UnixDatagram::pair().unwrap();
    let (sender, _receiver, _control) = Actor::new(here).outbox_bytes(10_000).spawn();
    let mut queued = 0;
    while sender.try_send(b"").is_ok() {
        queued += 1;
    }
    assert!((100..200).contains(&queued), "{queued}");
}

#[tokio::test]
async fn a_full_queue_of_the_receiver_holds_the_sender_back_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let bound = Bind::path(&path).bind_datagram().unwrap();
    let limit: u64 = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap().trim().parse().unwrap();
    let (sender, _back, control) =
        Actor::new(Connect::path(&path).connect_datagram().await.unwrap()).outbox_bytes(1000).spawn();
    let other = Connect::path(&path).connect_datagram().await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..500_u32 {
            sender.send(&number.to_be_bytes()).await.unwrap();
        }
        sender.flush().await.unwrap();
    });
    soon("the queue to fill", async {
        while other.try_send(b"").is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "the queue holds {limit}");
    let (mut receiver, bound) = Actor::new(bound).spawn_receiver();
    let mut numbers = Vec::new();
    while numbers.len() < 500 {
        let batch = soon("more", receiver.recv_batch()).await.unwrap();
        numbers.extend(batch.iter().filter_map(|packet| packet.first_chunk().copied()).map(u32::from_be_bytes));
    }
    assert!(numbers.into_iter().eq(0..500));
    soon("the sender", sending).await.unwrap();
    assert_eq!(soon("the report", control.close(LONG)).await.handed_to_kernel.frames, 500);
    drop(bound.drain(LONG));
    drain(&mut receiver).await;
}

#[tokio::test]
async fn a_receiver_that_was_restarted_is_found_again_and_nothing_queued_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let old = Bind::path(&path).bind_datagram().unwrap();
    let connect = Connect::path(&path).deadline(LONG);
    let (sender, _back, control) = Actor::new(connect.connect_datagram().await.unwrap()).spawn();
    sender.send(b"read by the old one").await.unwrap();
    sender.flush().await.unwrap();
    let (mut receiver, old) = Actor::new(old).spawn_receiver();
    assert_eq!(take(&mut receiver, 1).await, [b"read by the old one"]);
    let report = soon("the old one's report", old.close(LONG)).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");

    let bound = Bind::path(&path).bind_datagram().unwrap();
    sender.send(b"first").await.unwrap();
    sender.try_send(b"second").unwrap();
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::ReceiverGone), "{report}");
    assert!(report.reason.is_peer_fault());
    assert_eq!((report.handed_to_kernel.frames, report.unsent.len()), (1, 2));
    assert_eq!(sender.send(b"late").await, Err(SendError::Closed));

    let (mut receiver, _bound) = Actor::new(bound).spawn_receiver();
    let (sender, _back, _control) = Actor::new(connect.connect_datagram().await.unwrap()).spawn();
    sender.send_batch(&report.unsent).await.unwrap();
    assert_eq!(take(&mut receiver, 2).await, [&b"first"[..], b"second"]);
}

#[tokio::test]
async fn what_a_peer_sent_before_it_went_is_received_before_its_absence_is_reported() {
    let (here, there) = UnixDatagram::pair().unwrap();
    for packet in [b"one", b"two"] {
        there.send(packet).await.unwrap();
    }
    drop(there);
    let (sender, mut receiver, control) = Actor::new(here).inbox_bytes(1000).spawn();
    sender.send(b"to nobody").await.unwrap();
    assert_eq!(drain(&mut receiver).await, [b"one", b"two"]);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::ReceiverGone), "{report}");
    assert_eq!((report.received.frames, report.unsent.get(0)), (2, Some(&b"to nobody"[..])));
}

#[tokio::test]
async fn an_oversized_datagram_is_turned_away_and_told_at_once() {
    let (here, there) = UnixDatagram::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here).max_packet(10).spawn();
    for packet in [&b"before"[..], b"longer than it may be", b"behind"] {
        there.send(packet).await.unwrap();
    }
    assert_eq!(take(&mut receiver, 2).await, [b"before", b"behind"]);
    let turned_away = control.turned_away();
    assert_eq!((turned_away.oversized, turned_away.last_oversized), (1, 21));
    let report = soon("the report", control.close(LONG)).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");
    assert_eq!((&report.turned_away, report.received.frames), (&turned_away, 2));
}

#[tokio::test]
async fn a_close_does_not_wait_for_an_end_that_datagrams_do_not_have() {
    let (here, there) = UnixDatagram::pair().unwrap();
    there.send(b"in time").await.unwrap();
    let (sender, mut receiver, control) = Actor::new(here).spawn();
    sender.send(b"queued").await.unwrap();
    let report = soon("the report, long before the deadline", control.close(100 * LONG)).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");
    assert_eq!((report.handed_to_kernel.frames, report.received.frames), (1, 1));
    assert_eq!(drain(&mut receiver).await, [b"in time"]);
    let mut room = [0; 16];
    assert_eq!(soon("the packet", there.recv(&mut room)).await.unwrap(), 6);
}

#[tokio::test]
async fn a_socket_whose_receiving_side_was_shut_down_is_at_its_end_and_does_not_spin() {
    let (here, there) = UnixDatagram::pair().unwrap();
    there.send(b"in time").await.unwrap();
    here.shutdown(std::net::Shutdown::Read).unwrap();
    assert!(there.send(b"late").await.is_err());
    assert_eq!(
        soon("the packet", poll_fn(|cx| Socket::poll_recv(&here, cx, &mut [0; 16]))).await.unwrap(),
        Received::Packet(7)
    );
    assert_eq!(soon("the end", poll_fn(|cx| Socket::poll_recv(&here, cx, &mut [0; 16]))).await.unwrap(), Received::End);
}

#[tokio::test]
async fn another_kind_of_socket_is_named_for_what_it_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let error = Connect::path(&path).connect_datagram().await.unwrap_err();
    assert!(matches!(error, ConnectError::NotThere { .. }), "{error}");
    let listener = Bind::path(&path).listen_seqpacket().unwrap();
    let error = Connect::path(&path).connect_datagram().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongType { wanted: SocketKind::Datagram, .. }), "{error}");
    let error = Connect::path(&path).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongType { wanted: SocketKind::Stream, .. }), "{error}");
    assert!(error.to_string().ends_with("is not a stream socket"), "{error}");
    drop(listener);
    let _bound = Bind::path(&path).bind_datagram().unwrap();
    let error = Connect::path(&path).connect_seqpacket().await.unwrap_err();
    assert!(matches!(error, ConnectError::WrongType { wanted: SocketKind::Seqpacket, .. }), "{error}");
}

#[tokio::test]
async fn a_datagram_socket_in_an_actors_hands_takes_no_descriptors() {
    let (here, there) = UnixDatagram::pair().unwrap();
    let (_sender, mut receiver, _control) = Actor::new(here).spawn();
    let (reader, writer) = std::io::pipe().unwrap();
    let rights = [writer.as_fd()];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
    match sendmsg(&there, &[IoSlice::new(b"with a pipe")], &mut control, SendFlags::NOSIGNAL) {
        // Since Linux 6.16 the sender is told.
        Err(errno) => assert_eq!(errno, rustix::io::Errno::PERM),
        Ok(_) => assert_eq!(take(&mut receiver, 1).await, [b"with a pipe"]),
    }
    drop(writer);
    let ended = tokio::task::spawn_blocking(move || std::io::read_to_string(reader).unwrap());
    assert_eq!(soon("the end of the pipe: no process holds it", ended).await.unwrap(), "");
}
