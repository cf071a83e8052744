//! An actor that passes no descriptors rejects them, and the sender is told.

use test_kit::descriptors::try_to_pass;

use super::*;

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
    let report = soon("the report", control.finished()).await;
    assert_eq!((report.received.frames, report.delivered.frames, report.lost.frames), (2, 2, 0));
}

#[tokio::test]
async fn data_after_rejected_descriptors_is_read_without_waiting_for_more() {
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

#[tokio::test]
async fn a_peer_that_takes_no_descriptors_is_named_and_they_come_back() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_peer, mut heard, _there) = Actor::new(there, LengthPrefixed::u32_be()).spawn();
    let (sender, _receiver, control) = spawn(here);
    sender.send(b"plain").await.unwrap();
    sender.send_with(b"with", &mut vec![file("not wanted")]).await.unwrap();
    let flushed = soon("the flush", sender.flush()).await;
    if !can_refuse() {
        // The kernel takes them, closes them when the bytes are read, and does not say so.
        assert_eq!(flushed, Ok(()));
        assert_eq!(counts(&soon("the report", control.abort()).await), (1, 0, 0, 0, 0));
        return;
    }
    assert_eq!(flushed, Err(FlushError));
    assert_eq!(soon("the first", heard.recv_batch()).await.unwrap().get(0), Some(&b"\0plain"[..]));
    let report = soon("the report", control.finished()).await;
    assert_eq!(fault(&report), &Fault::Rejected);
    assert_eq!((counts(&report), report.unsent.get(0)), ((0, 1, 0, 0, 0), Some(&b"with"[..])));
    assert_eq!(texts(&report.descriptors.take_unsent()[0]), ["not wanted"]);
}
