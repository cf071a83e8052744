//! Every option of `mpsr send` with every kind of address, connecting and binding.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    listen::{Listen, directory, texts, unix},
    options::assert_all_tested,
    running::{LIMIT, Running, eventually, finish, mpsr},
};

/// What a test sends through: arguments before the address, and what of the messages "a" and "b" arrives.
const OPTIONS: &[(&[&str], &str)] = &[
    (&[], "a\nb\n"),
    (&["--wait", "20s"], "a\nb\n"),
    (&["--reconnect"], "a\nb\n"),
    (&["--timeout", "20s"], "a\nb\n"),
    (&["--count", "1"], "a\n"),
    (&["--max-frame", "1k"], "a\nb\n"),
    (&["--verbose"], "a\nb\n"),
    (&["--framing", "nul"], "a\0b\0"),
    (&["--framing", "fixed:1"], "ab"),
];

/// Options about a socket that is bound, and whether they are about its file.
const BINDING: &[(&[&str], bool)] = &[
    (&["--mode", "660"], true),
    (&["--group", "GROUP"], true),
    (&["--shared-directory"], true),
    (&["--any-filesystem"], true),
    (&["--rebind"], true),
    (&["--allow-uid", "USER"], false),
    (&["--allow-gid", "GROUP"], false),
    (&["--allow-any"], false),
];

/// The options with our own ids in their places.
fn with_ids(options: &[&str]) -> Vec<String> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let fill = |option: &&str| match *option {
        "USER" => user.to_string(),
        "GROUP" => group.to_string(),
        option => option.to_owned(),
    };
    options.iter().map(fill).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Path,
    PlainPath,
    Abstract,
    Systemd,
}

const KINDS: [Kind; 4] = [Kind::Path, Kind::PlainPath, Kind::Abstract, Kind::Systemd];

fn address(kind: Kind, directory: &TempDir) -> (String, SocketAddr) {
    let path = directory.path().join("x.sock");
    let plain = path.display().to_string();
    let by_path = || SocketAddr::from_pathname(&path).unwrap();
    match kind {
        Kind::Path => (unix(&path), by_path()),
        Kind::PlainPath => (plain, by_path()),
        Kind::Abstract => {
            // Unlike any other test's.
            let name = plain.replace('/', "-");
            (format!("unix:@{name}"), SocketAddr::from_abstract_name(&name).unwrap())
        }
        Kind::Systemd => ("systemd:out".to_owned(), by_path()),
    }
}

fn hear(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn every_option_works_with_every_kind_of_address_that_is_connected_to() {
    for kind in KINDS {
        for (options, expected) in OPTIONS {
            let directory = directory();
            let (address, at) = address(kind, &directory);
            let mut command = mpsr(["send", &address]);
            command.args(*options).args(["a", "b"]);
            if kind == Kind::Systemd {
                let sent = finish(&mut command, b"");
                assert_eq!(sent.code, Some(2), "{kind:?} {options:?}");
                assert!(sent.stderr.contains("--bind"), "{kind:?} {options:?}: {}", sent.stderr);
                continue;
            }
            let server = UnixListener::bind_addr(&at).unwrap();
            let mut sender = Running::start(command.stdin(Stdio::null()).stderr(Stdio::piped()));
            let heard = hear(server.accept().unwrap().0);
            assert_eq!(sender.wait(), Some(0), "{kind:?} {options:?}: {:?}", sender.stderr().rest());
            assert_eq!(heard, *expected, "{kind:?} {options:?}");
        }
    }
}

#[test]
fn every_option_works_with_every_kind_of_address_that_is_bound() {
    for kind in KINDS {
        for (options, expected) in OPTIONS {
            assert_offers(kind, options, expected);
        }
        let has_file = matches!(kind, Kind::Path | Kind::PlainPath);
        for (options, is_about_file) in BINDING {
            if has_file || !is_about_file {
                assert_offers(kind, options, "a\nb\n");
            } else {
                assert_rejected(&["--bind"], kind, options, "is about a socket file");
            }
        }
    }
}

#[test]
fn an_option_about_a_bound_socket_is_rejected_where_none_is_bound() {
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Systemd) {
        for (options, _) in BINDING {
            assert_rejected(&[], kind, options, "it goes with --bind");
        }
    }
}

#[test]
fn no_option_is_missing_here() {
    let tested = OPTIONS.iter().map(|(options, _)| options).chain(BINDING.iter().map(|(options, _)| options));
    assert_all_tested("send", tested.flat_map(|options| *options).chain([&"--bind"]));
}

fn assert_rejected(bind: &[&str], kind: Kind, options: &[&str], words: &str) {
    let directory = directory();
    let (address, _) = address(kind, &directory);
    let ended = finish(mpsr(["send"]).args(bind).arg(&address).args(with_ids(options)).arg("a"), b"");
    assert_eq!(ended.code, Some(2), "{kind:?} {options:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(words), "{kind:?} {options:?}: {}", ended.stderr);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{kind:?} {options:?}");
}

/// A receiver that connects gets what is expected of the messages "a" and "b".
fn assert_offers(kind: Kind, options: &[&str], expected: &str) {
    let directory = directory();
    let (address, at) = address(kind, &directory);
    let mut command = mpsr(["send", "--bind", &address]);
    if kind == Kind::Systemd {
        // As a service manager does: the socket is descriptor 3, and the environment names it.
        let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=out exec "$0" "$@""#;
        command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_mpsr"), "send", "--bind", &address]);
        command.stdin(OwnedFd::from(UnixListener::bind_addr(&at).unwrap()));
    } else {
        command.stdin(Stdio::null());
    }
    let mut sender = Running::start(command.args(with_ids(options)).args(["a", "b"]).stderr(Stdio::piped()));
    let mut receiver = None;
    eventually("it listens", || {
        receiver = UnixStream::connect_addr(&at).ok();
        receiver.is_some() || sender.has_ended()
    });
    let Some(receiver) = receiver else { panic!("{kind:?} {options:?}: {:?}", sender.stderr().rest()) };
    let heard = hear(receiver);
    assert_eq!(sender.wait(), Some(0), "{kind:?} {options:?}: {:?}", sender.stderr().rest());
    assert_eq!(heard, *expected, "{kind:?} {options:?}");
    let is_left = Path::exists(&directory.path().join("x.sock"));
    assert_eq!(is_left, kind == Kind::Systemd, "{kind:?} {options:?}: it takes back its own name and no other");
}

#[test]
fn a_receiver_that_takes_nothing_for_too_long_is_given_up() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    for input in ["much", "little"] {
        let mut sender = Running::start(
            mpsr(["send", &unix(&path), "--timeout", "300ms"]).stdin(Stdio::piped()).stderr(Stdio::piped()),
        );
        let mut stdin = sender.stdin();
        let (taken, _) = server.accept().unwrap();
        if input == "much" {
            let feeding =
                std::thread::spawn(
                    move || while stdin.write_all(&[b"x".repeat(999).as_slice(), b"\n"].concat()).is_ok() {},
                );
            assert_eq!(sender.wait(), Some(1));
            feeding.join().unwrap();
            let said = sender.stderr().rest();
            assert!(said[0].contains("took nothing for 0.3 s") && !said[0].contains(" 0 were not"), "{said:?}");
        } else {
            // It is in the kernel: there is nothing to wait for, however long the input takes.
            stdin.write_all(b"one\n").unwrap();
            std::thread::sleep(std::time::Duration::from_millis(700));
            drop(stdin);
            assert_eq!(hear(taken), "one\n");
            assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
        }
    }
}

/// Data waits although the input has nothing more to say for now.
#[test]
fn a_receiver_that_takes_nothing_is_given_up_while_the_input_is_silent() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender =
        Running::start(mpsr(["send", &unix(&path), "--timeout", "300ms"]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    let (_taken, _) = server.accept().unwrap();
    // More than the kernel takes, and less than makes the sender wait.
    stdin.write_all(&[&[b'x'; 999][..], b"\n"].concat().repeat(230)).unwrap();
    assert_eq!(sender.wait(), Some(1));
    let said = sender.stderr().rest();
    assert!(said[0].contains("took nothing for 0.3 s") && said[0].contains("were not"), "{said:?}");
    drop(stdin);
}

/// The kernel says that there is room only when the receiver has taken most of what it holds.
#[test]
fn a_receiver_that_takes_little_is_not_given_up() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let server = UnixListener::bind(&path).unwrap();
    let mut sender =
        Running::start(mpsr(["send", &unix(&path), "--timeout", "1s"]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    let input = [&[b'x'; 999][..], b"\n"].concat().repeat(1000);
    let length = input.len();
    let feeding = std::thread::spawn(move || stdin.write_all(&input));
    let (mut taken, _) = server.accept().unwrap();
    taken.set_read_timeout(Some(LIMIT)).unwrap();
    let mut piece = vec![0; 40 << 10];
    for _ in 0..12 {
        std::thread::sleep(std::time::Duration::from_millis(400));
        taken.read_exact(&mut piece).unwrap();
    }
    assert_eq!(12 * piece.len() + hear(taken).len(), length);
    assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    feeding.join().unwrap().unwrap();
}

#[test]
fn a_count_ends_the_input_without_waiting_for_more() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut sender =
        Running::start(mpsr(["send", "--count", "2", &unix(&path)]).stdin(Stdio::piped()).stderr(Stdio::piped()));
    let mut stdin = sender.stdin();
    // The input does not end, and may hold more.
    stdin.write_all(b"one\ntwo\nthree\n").unwrap();
    assert_eq!(sender.wait(), Some(0), "{:?}", sender.stderr().rest());
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["one", "two"]);
    drop(stdin);
    listen.stop().assert_report(1, 2, 0);
}
