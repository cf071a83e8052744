//! What `mpsr send` calls a success: all of the input was handed to the kernel, and the receiver left nothing unread.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    process::{Command, Stdio},
    thread,
};

use rustix::process::getuid;

use crate::{
    listen::{Listen, directory, texts, unix},
    running::{LIMIT, Running, all, finish, listened_on, mpsr},
};

fn send(address: &str) -> Running {
    Running::start(mpsr(["send", address]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()))
}

#[test]
fn a_receiver_that_hangs_up_before_the_input_ends_is_a_failure() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    for (input, sent) in [("a\n", "1 message was sent"), ("", "0 messages were sent")] {
        let mut sender = send(&unix(&path));
        // Kept open: the input has not ended.
        let mut stdin = sender.stdin();
        stdin.write_all(input.as_bytes()).unwrap();
        let (mut taken, _) = server.accept().unwrap();
        taken.read_exact(&mut vec![0; input.len()]).unwrap();
        // In an orderly way: nothing is left unread.
        drop(taken);
        assert_eq!(sender.wait(), Some(1), "{input:?}");
        let said = sender.stderr().rest();
        assert!(said.len() == 1 && said[0].contains("hung up") && said[0].contains(sent), "{said:?}");
        assert!(said[0].contains("nor was the rest of standard input"), "{said:?}");
        drop(stdin);
    }
}

#[test]
fn a_receiver_that_closes_in_front_of_what_was_sent_is_a_failure_though_all_was_handed_over() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    for input in ["m\n", "a few\nmore\nlines\n"] {
        let mut sender = send(&unix(&path));
        let mut stdin = sender.stdin();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let (taken, _) = server.accept().unwrap();
        // All is in the kernel as soon as something is: it is written in one piece.
        taken.set_read_timeout(Some(LIMIT)).unwrap();
        let mut peeked = [std::mem::MaybeUninit::uninit(); 1];
        rustix::net::recv(&taken, &mut peeked[..], rustix::net::RecvFlags::PEEK).unwrap();
        drop(taken);
        assert_eq!(sender.wait(), Some(1), "{input:?}");
        let said = sender.stderr().rest();
        assert!(said.len() == 1 && said[0].contains("closed before it had read everything"), "{said:?}");
    }
}

#[test]
fn of_a_thousand_arguments_those_that_were_not_sent_are_counted() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let messages = vec!["m".repeat(2000); 1000];
    let mut sender =
        Running::start(mpsr(["send", &unix(&path)]).args(&messages).stdin(Stdio::null()).stderr(Stdio::piped()));
    let (mut taken, _) = server.accept().unwrap();
    taken.read_exact(&mut [0; 100_000]).unwrap();
    drop(taken);
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    let numbers: Vec<u64> =
        said[0].rsplit("; ").next().unwrap().split(' ').filter_map(|word| word.parse().ok()).collect();
    let [sent, unsent] = numbers[..] else { panic!("{said:?}") };
    assert!(sent >= 49 && unsent > 0 && sent + unsent == 1000, "{said:?}");
}

#[test]
fn a_receiver_that_answers_everything_is_heard_out_and_hears_an_orderly_end() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    // Far more than both directions hold, with answers that are not in our framing.
    let lines = "a line of some length\n".repeat(200_000);
    for framing in ["lines", "u32be", "netstring"] {
        let mut sender = Running::start(
            mpsr(["send", &unix(&path), "--framing", framing]).stdin(Stdio::piped()).stderr(Stdio::piped()),
        );
        let mut stdin = sender.stdin();
        let input = lines.clone();
        let feeding = thread::spawn(move || stdin.write_all(input.as_bytes()));
        let (mut taken, _) = server.accept().unwrap();
        taken.set_read_timeout(Some(LIMIT)).unwrap();
        taken.set_write_timeout(Some(LIMIT)).unwrap();
        let mut room = vec![0; 64 << 10];
        let mut heard = 0;
        loop {
            match taken.read(&mut room).unwrap_or_else(|error| panic!("{framing}: no orderly end: {error}")) {
                0 => break,
                count => {
                    heard += count;
                    taken.write_all(&room[..count]).unwrap_or_else(|error| panic!("{framing}: not read: {error}"));
                }
            }
        }
        // An answer after the end still finds a reader.
        taken.write_all(b"ok\n").unwrap();
        drop(taken);
        assert_eq!(sender.wait(), Some(0), "{framing}: {:?}", sender.stderr().rest());
        feeding.join().unwrap().unwrap();
        assert!(heard >= lines.len(), "{framing}");
    }
}

#[test]
fn a_receiver_that_never_closes_is_not_waited_for_without_end() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender = Running::start(mpsr(["send", &unix(&path), "m"]).stdin(Stdio::null()).stderr(Stdio::piped()));
    let (mut taken, _) = server.accept().unwrap();
    let mut heard = String::new();
    taken.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "m\n");
    assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    drop(taken);
}

#[test]
fn a_sender_that_binds_ignores_those_that_hang_up_before_anything_was_handed_over() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut sender =
        Running::start(mpsr(["send", "--bind", &unix(&path), "-v"]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    listened_on(&path);
    // Probes that go at once, and one that stays a while and goes before there is a message.
    for _ in 0..5 {
        drop(UnixStream::connect(&path).unwrap());
    }
    let patient = UnixStream::connect(&path).unwrap();
    patient.shutdown(Shutdown::Write).unwrap();
    thread::sleep(std::time::Duration::from_millis(100));
    drop(patient);
    let mut receiver = UnixStream::connect(&path).unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    drop(stdin);
    let mut heard = String::new();
    receiver.read_to_string(&mut heard).unwrap();
    drop(receiver);
    assert_eq!(heard, "one\ntwo\n");
    assert_eq!(sender.wait(), Some(0));
    let said = sender.stderr().rest();
    assert!(said.last().unwrap().starts_with("sent 2 messages, 8 bytes with framing"), "{said:?}");
}

#[test]
fn a_sender_that_is_not_admitted_says_so_and_never_succeeds() {
    const TEST: &str = "a_sender_that_is_not_admitted_says_so_and_never_succeeds";
    if !getuid().is_root() {
        println!("SKIPPED {TEST}: only root can be another user");
        return;
    }
    let directory = directory();
    let path = directory.path().join("x.sock");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Readable for others, wherever the build put it.
    let program = directory.path().join("mpsr");
    std::fs::copy(env!("CARGO_BIN_EXE_mpsr"), &program).unwrap();
    let listen = Listen::start([&unix(&path), "--mode", "666", "--allow-uid", "60003"]);
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=60004", "--regid=60004", "--clear-groups"]).arg(&program);
        command.args(["send", &unix(&path)]).args(arguments);
        command
    };
    for _ in 0..10 {
        for (arguments, input) in [(&["m"][..], &b""[..]), (&[], b"m\n"), (&[], &b"m\n".repeat(100_000))] {
            let sent = finish(&mut as_nobody(arguments), input);
            assert_eq!(sent.code, Some(1), "{}", sent.stderr);
            assert!(sent.stderr.contains("not admitted") && sent.stderr.contains("uid 60004"), "{}", sent.stderr);
        }
    }
    listen.stop().assert_report(0, 0, 0);
}

/// In a container every process is root, and so are those that a receiver names others to turn away.
#[test]
fn a_sender_of_the_receivers_own_user_that_is_turned_away_is_told_what_may_be_the_reason() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let listen = Listen::start([&unix(&path), "--mode", "666", "--allow-uid", "60003"]);
    for (arguments, input) in [(&["m"][..], &b""[..]), (&[], &b"m\n".repeat(100_000))] {
        let sent = finish(mpsr(["send", &unix(&path)]).args(arguments), input);
        let words = format!(" (perhaps uid {} is not admitted); ", getuid().as_raw());
        assert_eq!(sent.code, Some(1));
        assert!(sent.stderr.contains(&words), "{}", sent.stderr);
    }
    assert_eq!(listen.stop().report["rejected"], 2);
}

#[test]
fn a_stalled_standard_error_holds_up_no_sender() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let (reader, writer) = std::io::pipe().unwrap();
    // Full, and not read until the end.
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut sender = Running::start(mpsr(["send", "-v", &unix(&path), "m"]).stdin(Stdio::null()).stderr(writer));
    assert_eq!(sender.wait(), Some(0));
    drop(reader);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["m"]);
    // And one that no process has open.
    let script = format!("exec {} send -v {} n 2>&-", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut sender =
        Running::start(Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()));
    let stdout = all(sender.child().stdout.take());
    assert_eq!(sender.wait(), Some(0));
    assert_eq!(stdout.join().unwrap(), b"");
    listen.until("left");
    listen.stop().assert_report(2, 2, 0);
}
