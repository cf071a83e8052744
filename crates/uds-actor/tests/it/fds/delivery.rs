//! Frames and descriptors between two actors, and as they are on the wire.

use super::*;

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
    assert_eq!((counts(&left), counts(&right)), ((3, 0, 1, 1, 0), (1, 0, 3, 3, 0)));
    assert!(left.to_string().ends_with("descriptors: handed over 3, unsent 0, received 1, delivered 1, closed 0"));
}

#[tokio::test]
async fn a_frame_carries_as_many_as_the_kernel_takes_and_more_are_given_back() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = spawn(here);
    let (_sender, mut receiver, _there) = spawn(there);
    let mut many: Vec<OwnedFd> = (0..=MAX_PER_FRAME).map(|number| file(&number.to_string())).collect();
    let error = sender.send_with(b"254", &mut many).await.unwrap_err();
    assert_eq!(error, SendError::TooManyDescriptors { count: 254, max: 253 });
    assert_eq!(many.len(), 254, "they are still the caller's");
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
    assert!(matches!(sender.send_with(b"two\nlines", &mut one).await, Err(SendError::Unsendable(_))));
    let mut ten: Vec<OwnedFd> = (0..10).map(|_| file("count is a line feed")).collect();
    assert!(matches!(sender.try_send_with(b"line", &mut ten), Err(TrySendError::Never(SendError::Unsendable(_)))));
    assert_eq!((texts(&one), ten.len()), (vec!["mine".to_owned()], 10));
}

#[tokio::test]
async fn frames_taken_one_by_one_have_their_own_descriptors_and_are_counted_as_they_are_taken() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, _receiver, _control) = spawn(here);
    let (_sender, mut receiver, control) = spawn(there);
    for (payload, texts) in [("two", &["1", "2"][..]), ("none", &[]), ("one", &["3"]), ("last", &["4"])] {
        let mut own = texts.iter().map(|text| file(text)).collect();
        soon("room", sender.send_with(payload.as_bytes(), &mut own)).await.unwrap();
    }
    soon("the end", sender.finish()).await.unwrap();
    for (payload, expected) in [("two", &["1", "2"][..]), ("none", &[]), ("one", &["3"])] {
        let message = soon("a frame", receiver.recv()).await.unwrap();
        assert_eq!(
            (&message.payload[..], texts(&message.descriptors)),
            (payload.as_bytes(), expected.iter().map(|&text| text.to_owned()).collect())
        );
    }
    assert_eq!(
        counts(&soon("the report", control.drain(soon::LONG)).await),
        (0, 0, 4, 3, 0),
        "the last one was not taken"
    );
    let batch = soon("the rest", receiver.recv_batch()).await.unwrap();
    assert_eq!(
        batch.iter().map(|(payload, own)| (payload.to_vec(), texts(own))).collect::<Vec<_>>(),
        [(b"last".to_vec(), vec!["4".to_owned()])]
    );
    assert!(soon("the end", receiver.recv()).await.is_none());
    assert_eq!(counts(&control.finished().await), (0, 0, 4, 4, 0));
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
    assert_eq!(counts(&soon("the report", control.abort()).await).0, 800);
}

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
    // No other task has run since.
    let (bytes, descriptors) = receive(&there);
    assert_eq!((bytes, descriptors.len()), (frame(1, b"at once"), 1));
    assert!(!watch.is_closed());
    drop(descriptors);
    assert!(watch.is_closed(), "it was closed here when it was sent");
    sender.send_with(b"and by the actor", &mut vec![file("second")]).await.unwrap();
    soon("the flush", sender.flush()).await.unwrap();
    assert_eq!(texts(&receive(&there).1), ["second"]);
    assert_eq!(counts(&soon("the report", control.abort()).await).0, 2);
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
        assert_eq!((heard, report.reason.to_string().as_str()), (expected.to_vec(), "the peer hung up"));
    }
}

#[tokio::test]
async fn plain_bytes_in_front_are_no_trouble() {
    // What is written in one piece with an orderly end still arrives as frames.
    let (here, mut there) = UnixStream::pair().unwrap();
    let (_sender, mut receiver, control) = spawn(here);
    there.write_all(&[frame(0, b"a"), frame(0, b"b")].concat()).await.unwrap();
    drop(there);
    assert_eq!(drain(&mut receiver).await, [message("a", &[]), message("b", &[])]);
    assert!(matches!(soon("the report", control.finished()).await.reason, Reason::HungUp));
}
