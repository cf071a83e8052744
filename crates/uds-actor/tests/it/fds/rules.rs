//! Peers that break the rules end the connection, and leave nothing open.

use super::*;

/// A good frame, then these messages, each with this many descriptors: that they end the connection with `expected`, that
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
    let (.., received, delivered, closed) = counts(&report);
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
async fn a_truncated_frame_has_its_descriptors_closed() {
    let (descriptor, watch) = watched();
    let sent = [descriptor];
    let (heard, report) =
        hear(Sent::AtOnce, &[(&frame(0, b"whole"), &[]), (&frame(1, b"never comes to its end")[..9], &sent)]).await;
    drop(sent);
    assert_eq!(heard, [message("whole", &[])]);
    assert_eq!((report.truncated_receiving, counts(&report), watch.is_closed()), (9, (0, 0, 1, 0, 1), true));
}

#[tokio::test]
async fn a_frame_rejected_for_its_descriptors_is_reported_as_truncated() {
    let (_, report) =
        hear(Sent::AtOnce, &[(&[frame(0, b"good"), frame(2, b"bad"), frame(0, b"behind")].concat(), &[])]).await;
    assert_eq!(fault(&report), &Fault::Missing { announced: 2, arrived: 0 });
    assert_eq!((report.received.frames, report.truncated_receiving), (1, 4 + 7));
}
