//! Seqpacket connections: an end that is not an empty packet, resets, half-close, limits, and nothing left behind.

use std::{
    io::{self, IoSlice},
    os::fd::AsFd as _,
    time::Duration,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use test_kit::soon::{LONG, soon};
use uds_actor::{
    FlushError, Overflow, Reason, SendError, Seqpacket, TrySendError,
    packet::{Actor, Received},
};

use super::{drain, take};

/// Sends a packet past everything that forbids it.
fn send_raw(socket: &Seqpacket, packet: &[u8]) {
    rustix::net::send(socket, packet, SendFlags::NOSIGNAL).unwrap();
}

#[tokio::test]
async fn what_waits_is_received_as_one_batch() {
    let (here, there) = Seqpacket::pair().unwrap();
    for _ in 0..100 {
        there.send(b"packet").await.unwrap();
    }
    let (_sender, mut receiver, _control) = Actor::new(here).spawn();
    let batch = soon("a batch", receiver.recv_batch()).await.unwrap();
    assert_eq!((batch.len(), batch.byte_len()), (100, 600));
}

#[tokio::test]
async fn an_empty_packet_is_not_the_end() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (_sender, mut receiver, control) = Actor::new(here).spawn();
    send_raw(&there, b"");
    assert_eq!(take(&mut receiver, 1).await, [b""]);
    for packet in [&b"one"[..], b"", b"", b"two"] {
        send_raw(&there, packet);
    }
    drop(there); // right behind them, so that the end is there when the empty ones are read
    assert_eq!(drain(&mut receiver).await, [&b"one"[..], b"", b"", b"two"]);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::HungUp), "{report}");
    assert_eq!((report.received.frames, report.delivered.frames), (5, 5));
}

#[tokio::test]
async fn empty_packets_right_before_the_end_are_taken_for_it_and_nothing_else_is() {
    let (here, there) = Seqpacket::pair().unwrap();
    for packet in [&b"last"[..], b"", b""] {
        send_raw(&there, packet);
    }
    drop(there);
    let (_sender, mut receiver, control) = Actor::new(here).spawn();
    assert_eq!(drain(&mut receiver).await, [b"last"]);
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::HungUp));
}

#[tokio::test]
async fn an_empty_packet_cannot_be_sent() {
    let (here, there) = Seqpacket::pair().unwrap();
    assert_eq!(there.send(b"").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let (sender, _receiver, control) = Actor::new(here).spawn();
    assert_eq!(sender.send(b"").await, Err(SendError::Unsendable(frame_codec::EncodeError::EmptyPayload)));
    sender.send(b"a packet").await.unwrap();
    let mut room = [0; 16];
    assert_eq!(soon("the packet", there.recv(&mut room)).await.unwrap(), Received::Packet(8));
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.rejected, report.handed_to_kernel.frames), (1, 1));
}

#[tokio::test]
async fn only_a_packet_too_large_for_the_send_buffer_is_rejected() {
    let (here, there) = Seqpacket::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&here, 20_000).unwrap();
    let max = 40_000 - 32;
    let (sender, _receiver, control) = Actor::new(here).spawn();
    let error = sender.send(&vec![1; max + 1]).await;
    assert_eq!(error, Err(SendError::Unsendable(frame_codec::EncodeError::PayloadTooLarge { len: max + 1, max })));
    sender.send(&vec![2; max]).await.unwrap();
    let mut room = vec![0; max];
    assert_eq!(soon("the packet", there.recv(&mut room)).await.unwrap(), Received::Packet(max));
    sender.send(b"and another").await.unwrap();
    sender.finish().await.unwrap();
    assert_eq!(soon("the report", control.abort()).await.handed_to_kernel.frames, 2);
}

#[tokio::test]
async fn a_packet_over_the_limit_ends_the_connection_behind_those_before_it() {
    let (here, there) = Seqpacket::pair().unwrap();
    for packet in [&b"fits"[..], b"fits, too", b"does not fit", b"late"] {
        there.send(packet).await.unwrap();
    }
    let (_sender, mut receiver, control) = Actor::new(here).max_packet(9).spawn();
    assert_eq!(drain(&mut receiver).await, [&b"fits"[..], b"fits, too"]);
    let report = soon("the report", control.finished()).await;
    let Reason::Malformed(error) = &report.reason else { panic!("{report}") };
    assert_eq!(*error, frame_codec::DecodeError::FrameTooLarge { len: 12, max: 9 });
    assert!(report.reason.is_peer_fault());
    assert_eq!((report.received.frames, report.delivered.frames), (2, 2));
}

#[tokio::test]
async fn a_half_closed_connection_still_receives() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, mut answers, here) = Actor::new(here).spawn();
    let (back, mut receiver, there) = Actor::new(there).spawn();
    sender.send(b"the question").await.unwrap();
    soon("our end", sender.finish()).await.unwrap();
    assert_eq!(drain(&mut receiver).await, [b"the question"]);
    back.send(b"the answer").await.unwrap();
    soon("their end", back.finish()).await.unwrap();
    assert_eq!(drain(&mut answers).await, [b"the answer"]);
    for control in [here, there] {
        let report = soon("a report", control.finished()).await;
        assert!(matches!(report.reason, Reason::Closed), "{report}");
        assert_eq!((report.handed_to_kernel.frames, report.delivered.frames), (1, 1));
    }
}

#[tokio::test]
async fn what_was_sent_before_a_reset_is_received_before_it_is_reported() {
    let (here, there) = Seqpacket::pair().unwrap();
    here.send(b"never read over there").await.unwrap();
    for packet in [b"one", b"two"] {
        there.send(packet).await.unwrap();
    }
    drop(there); // with something unread: that is a reset
    let (_sender, mut receiver, control) = Actor::new(here).spawn();
    assert_eq!(drain(&mut receiver).await, [b"one", b"two"]);
    let report = soon("the report", control.finished()).await;
    let Reason::Failed(error) = &report.reason else { panic!("{report}") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(report.received.frames, 2);
}

#[tokio::test]
async fn a_sender_hears_that_the_peer_is_gone_and_gets_back_what_was_not_sent() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, _receiver, control) = Actor::new(here).spawn();
    let mut sent = 0;
    // More than the kernel takes, so that some of it waits in the outbox.
    while sender.try_send(&[7; 50_000]).is_ok() {
        sent += 1;
        tokio::task::yield_now().await;
    }
    drop(there);
    let report = soon("the report", control.finished()).await;
    assert!(report.reason.is_peer_fault(), "{report}");
    assert_eq!(report.handed_to_kernel.frames + report.unsent.len() as u64, sent);
    assert!(!report.unsent.is_empty() && report.unsent.iter().all(|packet| packet == [7; 50_000]));
    assert_eq!(sender.send(b"late").await, Err(SendError::Closed));
    assert_eq!(sender.flush().await, Err(FlushError));
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_back_and_loses_nothing() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, _back, _here) = Actor::new(here).outbox_bytes(10_000).spawn();
    let (_answers, mut receiver, there) = Actor::new(there).inbox_bytes(10_000).spawn();
    let sending = tokio::spawn(async move {
        for number in 0..5000_u32 {
            sender.send(&[&number.to_be_bytes()[..], &[0; 500]].concat()).await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished(), "5000 packets do not fit anywhere");
    let packets = drain(&mut receiver).await;
    let numbers = packets.iter().map(|packet| u32::from_be_bytes(*packet.first_chunk().unwrap()));
    assert!(numbers.eq(0..5000));
    soon("the sender", sending).await.unwrap();
    assert_eq!(there.abort().await.delivered.frames, 5000);
}

#[tokio::test]
async fn a_full_outbox_does_what_was_chosen() {
    let fill = |overflow| {
        let (here, there) = Seqpacket::pair().unwrap();
        let (sender, receiver, control) = Actor::new(here).outbox_bytes(1000).on_full(overflow).spawn();
        let mut queued = 0;
        while sender.try_send(&[1; 400]).is_ok() {
            queued += 1;
        }
        assert_eq!(queued, 2, "464 each");
        (sender, receiver, control, there)
    };
    let (sender, _receiver, control, _there) = fill(Overflow::DropNewest);
    sender.send(&[2; 400]).await.unwrap();
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.dropped, report.unsent.len() as u64 + report.handed_to_kernel.frames), (1, 2));

    let (sender, _receiver, control, _there) = fill(Overflow::Disconnect);
    assert_eq!(sender.send(&[2; 400]).await, Err(SendError::Closed));
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Overflow), "{report}");

    let (sender, _receiver, _control, _there) = fill(Overflow::Wait);
    assert_eq!(sender.try_send(&[2; 400]), Err(TrySendError::Full));
    soon("room", sender.send(&[2; 400])).await.unwrap();
}

#[tokio::test]
async fn a_drain_takes_in_what_has_arrived_and_ends() {
    let (here, there) = Seqpacket::pair().unwrap();
    for _ in 0..150 {
        there.send(b"already here").await.unwrap();
    }
    let (_sender, mut receiver, control) = Actor::new(here).inbox_bytes(500).spawn();
    drop(control.drain(LONG));
    assert_eq!(drain(&mut receiver).await.len(), 150);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");
    assert_eq!((report.received.frames, report.delivered.frames), (150, 150));
    assert!(there.send(b"late").await.is_err(), "the peer hears of it");
}

#[tokio::test]
async fn a_close_sends_what_is_queued_and_waits_for_the_peers_end() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here).spawn();
    sender.send(b"queued").await.unwrap();
    drop(control.close(LONG));
    tokio::task::yield_now().await; // the actor hears of it
    assert_eq!(sender.send(b"late").await, Err(SendError::Closed));
    let mut room = [0; 16];
    assert_eq!(soon("the packet", there.recv(&mut room)).await.unwrap(), Received::Packet(6));
    assert_eq!(soon("the end", there.recv(&mut room)).await.unwrap(), Received::End);
    there.send(b"the last word").await.unwrap();
    drop(there);
    assert_eq!(drain(&mut receiver).await, [b"the last word"]);
    let report = soon("the report", control.finished()).await;
    assert!(matches!(report.reason, Reason::Closed), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_left_and_one_that_is_not_listened_to_is_not() {
    let (here, there) = Seqpacket::pair().unwrap();
    let second = Duration::from_secs(1);
    let (_sender, mut receiver, control) = Actor::new(here).inbox_bytes(1).idle_timeout(10 * second).spawn();
    for _ in 0..3 {
        there.send(b"packet").await.unwrap();
    }
    // Nothing is read all the while, because the first packet is not taken.
    tokio::time::sleep(60 * second).await;
    assert_eq!(take(&mut receiver, 3).await.len(), 3);
    tokio::time::sleep(8 * second).await;
    there.send(b"another").await.unwrap();
    tokio::time::sleep(8 * second).await;
    assert_eq!(take(&mut receiver, 1).await.len(), 1);
    let report = control.finished().await;
    assert!(matches!(report.reason, Reason::Idle), "{report}");
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_are_sent_when_nothing_else_is() {
    let (here, there) = Seqpacket::pair().unwrap();
    let minute = Duration::from_secs(60);
    let (_sender, _receiver, _control) = Actor::new(here).keep_alive(minute, || "alive".into()).spawn();
    let mut room = [0; 16];
    for _ in 0..3 {
        assert_eq!(there.recv(&mut room).await.unwrap(), Received::Packet(5));
    }
}

/// Two connected sockets that were not told to reject descriptors.
fn permissive_pair() -> (Seqpacket, Seqpacket) {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let kind = rustix::net::SocketType::SEQPACKET;
    let (here, there) = rustix::net::socketpair(rustix::net::AddressFamily::UNIX, kind, flags, None).unwrap();
    (Seqpacket::from_fd(here).unwrap(), Seqpacket::from_fd(there).unwrap())
}

#[tokio::test]
async fn descriptors_that_come_with_a_packet_are_rejected_or_closed() {
    for (here, there) in [permissive_pair(), Seqpacket::pair().unwrap()] {
        let (reader, writer) = io::pipe().unwrap();
        let rights = [writer.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&rights)));
        let sent = sendmsg(&there, &[IoSlice::new(b"with a pipe")], &mut control, SendFlags::NOSIGNAL);
        if sent == Err(rustix::io::Errno::PERM) {
            there.send(b"with a pipe").await.unwrap();
        } else {
            sent.unwrap();
        }
        drop(writer);
        let (_sender, mut receiver, _control) = Actor::new(here).spawn();
        assert_eq!(take(&mut receiver, 1).await, [b"with a pipe"]);
        let ended = tokio::task::spawn_blocking(move || io::read_to_string(reader).unwrap());
        assert_eq!(soon("the end of the pipe: no process holds it", ended).await.unwrap(), "");
    }
}

#[tokio::test]
async fn abandoned_connections_leave_no_descriptor_behind() {
    test_kit::alone!();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut peers = Vec::new();
    for _ in 0..50 {
        let (here, there) = Seqpacket::pair().unwrap();
        drop(Actor::new(here).spawn());
        peers.push(there);
    }
    for peer in peers {
        assert_eq!(soon("the peer's end", peer.recv(&mut [0; 1])).await.unwrap(), Received::End);
    }
    soon("the descriptors to go", async {
        while open() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn handles_that_are_dropped_let_the_queue_be_sent() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, receiver, control) = Actor::new(here).spawn();
    for _ in 0..1000 {
        sender.send(&[3; 900]).await.unwrap();
    }
    drop((sender, receiver, control));
    let mut room = [0; 1000];
    for _ in 0..1000 {
        assert_eq!(soon("a packet", there.recv(&mut room)).await.unwrap(), Received::Packet(900));
    }
    assert_eq!(soon("the end", there.recv(&mut room)).await.unwrap(), Received::End);
}

#[tokio::test]
async fn only_a_unix_seqpacket_socket_is_taken_for_one() {
    let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(Seqpacket::from_fd(stream.into()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    // Blocking ones: they must not block the runtime.
    let (here, there) = permissive_pair();
    let mut room = [0; 4];
    let (received, sent) = tokio::join!(soon("a packet", here.recv(&mut room)), there.send(b"four"));
    assert_eq!((received.unwrap(), sent.unwrap()), (Received::Packet(4), ()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_later_than_its_last_packet_is_noticed_though_nothing_is_sent() {
    let (here, there) = Seqpacket::pair().unwrap();
    let (sender, mut receiver, control) = Actor::new(here).spawn();
    there.send(b"last words").await.unwrap();
    rustix::net::shutdown(&there, rustix::net::Shutdown::Write).unwrap();
    assert_eq!(soon("a packet", receiver.recv_batch()).await.unwrap().get(0), Some(&b"last words"[..]));
    assert!(soon("the end", receiver.recv_batch()).await.is_none());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), control.finished()).await.is_err());
    sender.send(b"still here").await.unwrap();
    let mut packet = [0; 100];
    assert_eq!(there.recv(&mut packet).await.unwrap(), Received::Packet(10), "as long as it may read it is served");
    drop(there);
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::HungUp));
    drop(sender);
}
