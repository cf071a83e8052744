//! Standard input of `mpsr send`, whatever it is.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    process::{Command, Stdio},
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use crate::{
    listen::{Listen, directory, texts, unix},
    running::{Ended, Running, finish, mpsr},
};

fn set_nonblocking(fd: impl AsFd, on: bool) {
    let flags = fcntl_getfl(&fd).unwrap();
    fcntl_setfl(&fd, if on { flags | OFlags::NONBLOCK } else { flags - OFlags::NONBLOCK }).unwrap();
}

fn is_nonblocking(fd: impl AsFd) -> bool {
    fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

/// Whether one sender's input arrives line by line, also where it pauses, with and without `O_NONBLOCK`; and the flag stays.
fn assert_sends(reading: impl Fn() -> (OwnedFd, Box<dyn std::io::Write>)) {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    for is_set in [true, false] {
        let (ours, mut writer) = reading();
        set_nonblocking(&ours, is_set);
        let theirs = ours.try_clone().unwrap();
        let mut sender = Running::start(mpsr(["send", &unix(&path)]).stdin(theirs).stderr(Stdio::piped()));
        let producer = listen.until("joined")["producer"].clone();
        // Each is there before the next is written, so that the sender has to wait in between.
        for line in ["one", "two", "three"] {
            writeln!(writer, "{line}").unwrap();
            assert_eq!(listen.until("message")["text"], line, "O_NONBLOCK {is_set}");
        }
        assert_eq!(is_nonblocking(&ours), is_set);
        writer.write_all(b"\x04").unwrap();
        drop(writer);
        drop(ours);
        assert_eq!(sender.wait(), Some(0), "O_NONBLOCK {is_set}: {:?}", sender.stderr().rest());
        listen.until("left");
        let heard = texts(&listen.events, &producer);
        assert_eq!(heard.get(..3).unwrap(), ["one", "two", "three"]);
    }
    assert_eq!(listen.stop().code, Some(0));
}

#[test]
fn a_pipe_is_waited_for_and_its_flags_are_left_alone() {
    assert_sends(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        (reader.into(), Box::new(writer))
    });
}

#[test]
fn a_socket_is_waited_for_and_its_flags_are_left_alone() {
    assert_sends(|| {
        let (reader, writer) = UnixStream::pair().unwrap();
        (reader.into(), Box::new(writer))
    });
}

#[test]
fn a_terminal_is_waited_for_and_its_flags_are_left_alone() {
    assert_sends(|| {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let reader = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        // What is written ends with the character for the end of input.
        (reader.into(), Box::new(File::from(terminal)))
    });
}

#[test]
fn files_and_devices_are_read_to_their_end_and_what_cannot_be_read_is_named() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let file = directory.path().join("file");
    fs::write(&file, "a\nb\n").unwrap();
    let send_with = |redirection: &str| -> Ended {
        let script = format!("exec {} send {} {redirection}", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
        finish(Command::new("sh").args(["-c", &script]), b"")
    };
    for (redirection, expected) in [
        (format!("<{}", file.display()), &["a", "b"][..]),
        ("</dev/null".to_owned(), &[]),
        // The runtime of every Rust program opens /dev/null in its place.
        ("<&-".to_owned(), &[]),
    ] {
        let sent = send_with(&redirection);
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""), "{redirection}");
        let left = listen.until("left");
        assert_eq!(texts(&listen.events, &left["producer"]), *expected, "{redirection}");
    }
    for (redirection, words) in [
        (format!("<{}", directory.path().display()), "Is a directory"),
        (format!("7>{} <&7", file.display()), "Bad file descriptor"),
    ] {
        let sent = send_with(&redirection);
        assert_eq!(sent.code, Some(1), "{redirection}");
        assert!(sent.stderr.contains("cannot read standard input") && sent.stderr.contains(words), "{}", sent.stderr);
    }
    assert_eq!(listen.stop().code, Some(0));
}

#[test]
fn input_that_ends_inside_a_record_is_an_error() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "fixed:4"]);
    let sent = finish(&mut mpsr(["send", &unix(&path), "--framing", "fixed:4"]), b"one.two.thr");
    assert_eq!(sent.code, Some(1));
    assert!(sent.stderr.contains("message 3") && sent.stderr.contains("3 bytes into it"), "{}", sent.stderr);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["one.", "two."]);
    assert_eq!(listen.stop().code, Some(0));
}

#[test]
fn input_is_divided_as_the_framing_says_and_arguments_may_be_any_bytes() {
    let directory = directory();
    for (framing, input, expected) in [
        ("nul", &b"a\nb\0c\0"[..], &["a\nb", "c"][..]),
        ("fixed:2", b"abcd", &["ab", "cd"]),
        ("octet-count", b"a b\nc\n", &["a b", "c"]),
        ("netstring", b"a\n\nc\n", &["a", "", "c"]),
        ("varint", b"a\nb\n", &["a", "b"]),
        ("u8", b"a\nb\n", &["a", "b"]),
        ("u16le", b"a\nb\n", &["a", "b"]),
        ("u64be", b"a\nb\n", &["a", "b"]),
        ("until-eof", b"a\nb\n", &["a\nb\n"]),
    ] {
        let path = directory.path().join(format!("{framing}.sock"));
        let mut listen = Listen::start([&unix(&path), "--framing", framing]);
        let sent = finish(&mut mpsr(["send", &unix(&path), "--framing", framing]), input);
        assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""), "{framing}");
        let left = listen.until("left");
        assert_eq!(texts(&listen.events, &left["producer"]), *expected, "{framing}");
        assert_eq!(listen.stop().code, Some(0));
    }
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let sent = finish(mpsr(["send", &unix(&path)]).arg(OsStr::from_bytes(b"\xff\xfe")), b"");
    assert_eq!((sent.code, sent.stderr.as_str()), (Some(0), ""));
    assert_eq!(listen.until("message")["base64"], "//4=");
    assert_eq!(listen.stop().code, Some(0));
}

#[test]
fn one_pipe_with_two_readers_blocks_neither() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let mut senders: Vec<Running> = (0..2)
        .map(|_| {
            let stdin = reader.try_clone().unwrap();
            Running::start(mpsr(["send", &unix(&path)]).stdin(stdin).stderr(Stdio::piped()))
        })
        .collect();
    listen.until_count("joined", 2);
    for number in 0..50 {
        // In one piece, or the two would share it.
        writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        // Whichever sender reads it: the other must not hang in a read that found nothing.
        assert_eq!(listen.until("message")["text"], number.to_string());
    }
    drop(writer);
    for sender in &mut senders {
        assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    }
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    listen.stop().assert_report(2, 50, 0);
}
