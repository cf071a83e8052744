//! What waits is bounded in descriptors, in both directions.

use super::*;

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
        tokio::task::yield_now().await; // every task has done what there was to do
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
    assert_eq!(counts(&report), (0, 0, 200, 200, 0));
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
    assert_eq!(counts(&report).2, 10, "{report}");
    drop(receiver);
    assert_eq!(counts(&report), (0, 0, 10, 0, 10));
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
        // Before the actor runs, three wait.
        sender.try_send_with(b"first", &mut vec![file("1"), file("2"), file("3")]).unwrap();
        (sender, receiver, control, there)
    };
    let (sender, _receiver, _control, _there) = stuffed(Overflow::Wait);
    let (descriptor, watch) = watched();
    let mut mine = vec![descriptor];
    assert_eq!(sender.try_send_with(b"second", &mut mine), Err(TrySendError::Full));
    sender.try_send(b"without any there is room").unwrap();
    assert_eq!((mine.len(), watch.is_closed()), (1, false));
    soon("room", sender.send_with(b"second", &mut mine)).await.unwrap();

    let (sender, _receiver, control, _there) = stuffed(Overflow::DropNewest);
    let (descriptor, watch) = watched();
    sender.send_with(b"second", &mut vec![descriptor]).await.unwrap();
    assert!(watch.is_closed());
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.dropped, report.descriptors.dropped()), (1, 1));

    let (sender, _receiver, control, _there) = stuffed(Overflow::Disconnect);
    let mut mine = vec![file("mine")];
    assert_eq!(sender.send_with(b"second", &mut mine).await, Err(SendError::Closed));
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::Overflow));
    assert_eq!(texts(&mine), ["mine"]);
}

/// A full inbox of descriptors keeps us from listening, as one of bytes does.
#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_listened_to_for_its_descriptors_is_not_called_silent_or_late() {
    let minute = Duration::from_secs(60);
    let stuffed = || {
        let (here, there) = UnixStream::pair().unwrap();
        let actor = Actor::new(here, LengthPrefixed::u32_be()).idle_timeout(minute);
        let handles = actor.pass_descriptors(Limits::default().with_held(1)).spawn();
        for _ in 0..3 {
            send(&there, &frame(1, b"one"), &[file("x")]).unwrap();
        }
        (handles, there)
    };
    let ((_sender, mut receiver, control), there) = stuffed();
    tokio::time::sleep(10 * minute).await;
    for _ in 0..3 {
        assert_eq!(soon("a batch", receiver.recv_batch()).await.unwrap().len(), 1);
    }
    // Listened to, it is silent for too long.
    let report = control.finished().await;
    assert!(matches!(report.reason, Reason::Idle), "{}", report.reason);
    drop(there);

    for drains in [false, true] {
        let ((_sender, _receiver, control), _there) = stuffed();
        let report = if drains { control.drain(minute).await } else { control.close(minute).await };
        assert!(matches!(report.reason, Reason::InboxFull), "{}", report.reason);
        assert!(!report.reason.is_peer_fault());
    }
}
