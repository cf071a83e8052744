//! A hang-up is told apart from an orderly end: what decides is whether our senders had finished.

use frame_codec::LengthPrefixed;
use test_kit::soon::soon;
use tokio::{io::AsyncReadExt as _, net::UnixStream};
use uds_actor::{Actor, Reason, Report, Seqpacket, packet};

/// Whether the reason is the right one for senders that had, or had not, finished when the peer hung up.
fn assert_told_apart(report: &Report, had_finished: bool) {
    match had_finished {
        true => assert!(matches!(report.reason, Reason::Closed), "{report}"),
        false => assert!(matches!(report.reason, Reason::HungUp), "{report}"),
    }
    assert!(!report.reason.is_peer_fault() && report.unsent.is_empty(), "{report}");
}

#[tokio::test]
async fn a_hang_up_while_a_sender_is_alive_is_not_an_orderly_end() {
    for finishes in [true, false] {
        let (here, mut there) = UnixStream::pair().unwrap();
        let (sender, mut receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).spawn();
        let mut sender = Some(sender);
        sender.as_ref().unwrap().send(b"heard").await.unwrap();
        there.read_exact(&mut [0; 9]).await.unwrap();
        if finishes {
            soon("our end", sender.take().unwrap().finish()).await.unwrap();
        }
        drop(there);
        assert!(soon("the end", receiver.recv_batch()).await.is_none());
        assert_told_apart(&soon("the report", control.finished()).await, finishes);
        drop(sender);
    }
}

#[tokio::test]
async fn the_same_holds_for_packets() {
    for finishes in [true, false] {
        let (here, there) = Seqpacket::pair().unwrap();
        let (sender, mut receiver, control) = packet::Actor::new(here).spawn();
        let mut sender = Some(sender);
        if finishes {
            soon("our end", sender.take().unwrap().finish()).await.unwrap();
        }
        drop(there);
        assert!(soon("the end", receiver.recv_batch()).await.is_none());
        assert_told_apart(&soon("the report", control.finished()).await.connection, finishes);
        drop(sender);
    }
}

#[tokio::test]
async fn a_hang_up_in_front_of_queued_frames_is_no_orderly_end_though_senders_have_finished() {
    let (here, mut there) = UnixStream::pair().unwrap();
    let (sender, _receiver, control) = Actor::new(here, LengthPrefixed::u32_be()).outbox_bytes(8 << 20).spawn();
    // Far more than the kernel takes while the peer does not read.
    sender.send(&[7; 1 << 20]).await.unwrap();
    sender.send(b"behind it").await.unwrap();
    drop(sender);
    there.read_exact(&mut [0; 4]).await.unwrap();
    drop(there);
    let report = soon("the report", control.finished()).await;
    // The kernel may tell of the unread bytes or of the closed socket first.
    assert!(matches!(report.reason, Reason::HungUp | Reason::Failed(_)), "{report}");
    assert_eq!((report.unsent.len(), report.truncated_sending > 0), (1, true), "{report}");
}
