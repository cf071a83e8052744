//! Who may send: those that the mode lets connect, or those who are named.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::MetadataExt as _, net::UnixStream, process::CommandExt as _},
    process::Stdio,
};

use rustix::{
    fs::chown,
    process::{Signal, Uid},
};
use serde_json::json;
use test_kit::process::public_directory;

use crate::{
    clients::{find_or_skip, skip_forbidden, socat},
    listen::{Listen, directory, of_kind, texts, unix},
    running::{Running, finish, listened_on, mpsr},
};

/// `nobody` on most systems. Any id other than ours and root's will do.
pub(crate) const STRANGER: u32 = 65534;

/// Which of two users are admitted: a stranger, and ourselves, who are root.
#[test]
fn the_mode_decides_who_is_admitted_unless_someone_is_named() {
    const TEST: &str = "the_mode_decides_who_is_admitted_unless_someone_is_named";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can run a program as another user");
    }
    let Some(program) = find_or_skip(TEST, "socat") else { return };
    for (arguments, stranger, own) in [
        (&["--mode", "666"][..], true, true),
        (&["--mode", "660", "--group", "65534"], true, true),
        (&["--mode", "666", "--allow-uid", "65534"], true, false),
        (&["--mode", "666", "--allow-gid", "65534"], true, false),
        (&["--mode", "666", "--allow-uid", "65534", "--allow-uid", "root"], true, true),
        (&["--mode", "666", "--allow-uid", "root"], false, true),
        (&["--mode", "666", "--allow-uid", "65533"], false, false),
        (&["--mode", "666", "--allow-any"], true, true),
    ] {
        let directory = public_directory();
        let path = directory.path().join("in.sock");
        let address = unix(&path);
        let mut listen = Listen::start([address.as_str()].iter().chain(arguments));
        let mut command = socat(&program, &path);
        command.uid(STRANGER).gid(STRANGER).stderr(Stdio::null());
        let sent = finish(&mut command, b"let me in\n");
        // A peer that is rejected sees an end, or a broken pipe, depending on how fast it was.
        assert!(!stranger || sent.code == Some(0), "{arguments:?}: {sent:?}");
        let _ = UnixStream::connect(&path).unwrap().write_all(b"mine\n");
        let admitted = [stranger, own].into_iter().filter(|is_admitted| *is_admitted).count();
        listen.until_count("left", admitted);
        listen.until_count("rejected", 2 - admitted);
        for (user, is_admitted, text) in [(STRANGER, stranger, "let me in"), (0, own, "mine")] {
            let of_user = |kind: &str| -> Vec<_> {
                of_kind(&listen.events, kind).into_iter().filter(|event| event["uid"] == user).collect()
            };
            assert_eq!(of_user("rejected").len(), usize::from(!is_admitted), "{arguments:?}: {:#?}", listen.events);
            if let [joined] = of_user("joined")[..] {
                assert_eq!(texts(&listen.events, &joined["producer"]), [text], "{arguments:?}");
            }
            assert_eq!(of_user("joined").len(), usize::from(is_admitted), "{arguments:?}");
        }
        let count = admitted as u64;
        let end = listen.stop();
        end.assert_report(count, count, 0);
        assert_eq!(end.report["rejected"], 2 - count);
    }
}

#[test]
fn a_peer_that_is_rejected_is_named_at_once_for_people_too() {
    const TEST: &str = "a_peer_that_is_rejected_is_named_at_once_for_people_too";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can name another user and be none of those named");
    }
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut command = mpsr(["listen", &unix(&path), "--mode", "666", "--allow-uid", "65533", "--quiet"]);
    let mut listen = Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    listened_on(&path);
    let mut stream = UnixStream::connect(&path).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let own = std::process::id();
    let expected = format!("mpsr: rejected pid {own} (uid 0, gid 0) on {}: not admitted", unix(&path));
    assert_eq!(stderr.next(), Some(expected));
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
}

/// An offer looks like one that has no takers, unless it is said that there was one.
#[test]
fn a_sender_that_binds_names_who_is_rejected_and_says_what_keeps_receivers_away() {
    let directory = directory();
    let path = directory.path().join("x.sock");
    let mut command = mpsr(["send", "--bind", &unix(&path), "--allow-uid", "65533", "m"]);
    let mut sender = Running::start(command.stdin(Stdio::null()).stderr(Stdio::piped()));
    let stderr = sender.stderr();
    listened_on(&path);
    let said = stderr.next().unwrap();
    let no_effect = "--allow-uid 65533 has no effect while the mode of the file is 0600: only its owner can connect";
    assert_eq!(said, format!("mpsr: {}: {no_effect}; see --mode", unix(&path)));
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        let who = format!("pid {} (uid {uid}, gid {gid})", std::process::id());
        assert_eq!(stderr.next(), Some(format!("mpsr: rejected {who} on {}: not admitted", unix(&path))));
    }
    fs::remove_file(&path).unwrap();
    let lost = "its file was removed, so that no receiver finds it (--rebind takes the name again)";
    assert_eq!(stderr.next(), Some(format!("mpsr: {}: {lost}", unix(&path))));
    sender.signal(Signal::TERM);
    assert_eq!(sender.wait(), Some(1));
}

#[test]
fn who_is_admitted_is_said_at_the_start() {
    for (arguments, words, warning) in [
        (&[][..], "", None),
        (&["--mode", "660"], ", admitting the file's group", None),
        (&["--mode", "666"], ", admitting everyone", None),
        (&["--mode", "666", "--allow-uid", "7", "--allow-gid", "8"], ", admitting uid 7, gid 8", None),
        (&["--allow-any"], ", admitting everyone", None),
        (
            &["--allow-uid", "7"],
            ", admitting uid 7",
            Some("--allow-uid 7 has no effect while the mode of the file is 0600"),
        ),
        (
            &["--allow-gid", "8"],
            ", admitting gid 8",
            Some("--allow-gid 8 has no effect while the mode of the file is 0600"),
        ),
        (&["--allow-uid", "0"], ", admitting uid 0", None),
        (
            &["--mode", "660", "--allow-gid", "8"],
            ", admitting gid 8",
            Some("of --allow-gid 8, only processes that are also in"),
        ),
        (&["--mode", "666", "--allow-gid", "8"], ", admitting gid 8", None),
    ] {
        let directory = directory();
        let address = unix(directory.path().join("in.sock"));
        let mut command = mpsr(["listen", &address]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut listen = Running::start(&mut command);
        let stderr = listen.stderr();
        assert_eq!(stderr.next(), Some(format!("listening on {address}{words}")));
        if let Some(warning) = warning {
            let said = stderr.next().expect("a warning");
            assert!(said.contains(warning) && said.contains("; see --"), "{said}");
        }
        listen.signal(Signal::TERM);
        assert_eq!(listen.wait(), Some(0));
        assert_eq!(stderr.rest().len(), 1, "the report");
    }
    // What the mode of a file decides is not said of a socket without one.
    let directory = directory();
    let name = format!("unix:@{}", directory.path().display());
    let address = unix(directory.path().join("in.sock"));
    let mut listen = Running::start(mpsr(["listen", &name, &address, "--mode", "666"]).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    assert_eq!(stderr.next(), Some(format!("listening on {name}")));
    assert_eq!(stderr.next(), Some(format!("listening on {address}, admitting everyone")));
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
}

#[test]
fn sockets_of_others_in_a_directory_are_rejected_unless_named() {
    const TEST: &str = "sockets_of_others_in_a_directory_are_rejected_unless_named";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can run a program as another user");
    }
    let Some(program) = find_or_skip(TEST, "socat") else { return };
    for (arguments, is_admitted) in [
        (&[][..], false),
        (&["--allow-uid", "65534"], true),
        (&["--allow-uid", "65533"], false),
        (&["--allow-any"], true),
    ] {
        let directory = public_directory();
        chown(directory.path(), Some(Uid::from_raw(STRANGER)), None).unwrap();
        let path = directory.path().join("theirs.sock");
        let mut command = std::process::Command::new(&program);
        command.arg("-u").arg("-").arg(format!("UNIX-LISTEN:{}", path.display()));
        command.uid(STRANGER).gid(STRANGER).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut server = Running::start(&mut command);
        let mut said = server.stdin();
        listened_on(&path);
        let address = format!("dir:{}", directory.path().display());
        let mut listen = Listen::start([address.as_str()].iter().chain(arguments));
        if is_admitted {
            listen.until("joined");
            said.write_all(b"theirs\n").unwrap();
            assert_eq!(listen.until("message")["text"], "theirs");
        } else {
            let rejected = listen.until("rejected");
            assert_eq!([&rejected["uid"], &rejected["address"]], [&json!(STRANGER), &json!(unix(&path))]);
        }
        assert_eq!(listen.stop().code, Some(0), "{arguments:?}");
    }
}

#[test]
fn the_socket_has_the_mode_that_was_asked_for_and_else_is_its_owners() {
    for (arguments, mode) in [(&[][..], 0o600), (&["--mode", "660"], 0o660), (&["--mode", "666"], 0o666)] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let address = unix(&path);
        let listen = Listen::start([address.as_str()].iter().chain(arguments));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        assert_eq!(listen.stop().code, Some(0));
    }
}
