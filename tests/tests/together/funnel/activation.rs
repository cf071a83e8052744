//! Receivers that a service manager starts, with sockets that outlive them.

use std::{
    io::Write as _,
    os::unix::net::{UnixListener, UnixStream},
};

use crate::funnel::{framings, kills::Receiver};

#[test]
fn every_framing_arrives_through_passed_sockets_although_two_have_one_name() {
    let dir = tempfile::tempdir().unwrap();
    for choice in framings::all() {
        let paths = ["first", "second"].map(|name| dir.path().join(format!("{}.{name}", choice.name)));
        let sockets = paths.each_ref().map(|path| UnixListener::bind(path).unwrap());
        let mut receiver = Receiver::activated(sockets, choice.name);
        let count = if choice.is_one_message() { 1 } else { 5 };
        let texts: Vec<_> = (0..count).map(|number| format!("<{number}> text")).collect();
        let payloads: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        let wire = frame_codec::testing::encode(&choice.framing, &payloads).unwrap();
        for path in &paths {
            UnixStream::connect(path).unwrap().write_all(&wire).unwrap();
        }
        receiver.read_until(|receiver| receiver.left.len() == 2);
        receiver.stop();
        let messages = std::mem::take(&mut receiver.messages);
        if choice.keeps_messages() {
            assert_eq!(messages.into_values().collect::<Vec<_>>(), [texts.clone(), texts], "{}", choice.name);
        } else {
            let bytes: Vec<_> = messages.into_values().map(|pieces| pieces.concat()).collect();
            assert_eq!(bytes, [texts.concat(), texts.concat()], "{}", choice.name);
        }
        assert!(paths.iter().all(|path| path.exists()), "a passed socket keeps its name");
    }
}

/// The sockets stay, and with them what is in their queues, however a receiver ends.
#[test]
fn what_comes_between_two_receivers_is_in_the_queue_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["first", "second"].map(|name| dir.path().join(name));
    let sockets = paths.each_ref().map(|path| UnixListener::bind(path).unwrap());
    for choice in framings::all() {
        for is_killed in [false, true] {
            let here = format!("{}, killed: {is_killed}", choice.name);
            let receive =
                || Receiver::activated(sockets.each_ref().map(|socket| socket.try_clone().unwrap()), choice.name);
            let text = |when: &str, path: usize| format!("{when} {path}");
            let send = |when: &str| {
                for (number, path) in paths.iter().enumerate() {
                    // As long as the framing of fixed length wants it.
                    let payload = text(when, number).into_bytes();
                    let wire = frame_codec::testing::encode(&choice.framing, &[payload]).unwrap();
                    UnixStream::connect(path).unwrap().write_all(&wire).unwrap();
                }
            };
            let received = |receiver: &mut Receiver| {
                let mut texts: Vec<_> =
                    std::mem::take(&mut receiver.messages).into_values().map(|texts| texts.concat()).collect();
                texts.sort();
                texts
            };
            let mut first = receive();
            send("during");
            first.read_until(|receiver| receiver.left.len() == 2);
            assert_eq!(received(&mut first), [text("during", 0), text("during", 1)], "{here}");
            if is_killed {
                drop(first);
            } else {
                first.stop();
            }
            send("behind");
            let mut next = receive();
            next.read_until(|receiver| receiver.left.len() == 2);
            next.stop();
            assert_eq!(received(&mut next), [text("behind", 0), text("behind", 1)], "{here}");
        }
    }
}
