//! `mpsr ls` and `mpsr sweep`: who is in a directory, and away with what nobody needs.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::PermissionsExt as _,
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    listen::{bound, directory, unix},
    running::{Ended, Running, eventually, finish, mpsr},
};

/// A socket whose server is gone.
fn leave(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    // Another test of this process may be starting a child, which has everything open that we have, for a moment.
    while UnixStream::connect(path).is_ok() {
        std::thread::yield_now();
    }
}

fn ran(arguments: &[&str], directory: &Path) -> Ended {
    let mut command = mpsr(arguments);
    finish(command.arg(directory), b"")
}

fn lines(ended: &Ended) -> Vec<String> {
    String::from_utf8(ended.stdout.clone()).expect("mpsr speaks UTF-8").lines().map(str::to_owned).collect()
}

/// The objects that were printed, by the last part of their paths.
#[track_caller]
fn objects(ended: &Ended) -> Vec<(String, Value)> {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let objects = lines(ended).into_iter().map(|line| {
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let name = object["path"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("").to_owned();
        (name, object)
    });
    objects.collect()
}

#[test]
fn a_listener_is_listed_with_its_process_until_it_is_killed() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Running::start(mpsr(["listen", &unix(&path)]).stdin(Stdio::null()).stderr(Stdio::null()));
    eventually("it listens", || UnixStream::connect(&path).is_ok());
    let listed = objects(&ran(&["ls", "--json"], directory.path()));
    let [(name, socket)] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&**name, &socket["event"], &socket["state"]), ("in.sock", &"socket".into(), &"live".into()));
    assert_eq!((&socket["kind"], &socket["mode"]), (&"stream".into(), &"600".into()));
    let process = &socket["processes"][0];
    assert_eq!((&process["pid"], &process["name"]), (&listen.pid().into(), &"mpsr".into()));
    assert_eq!(process["command"][1], "listen");
    assert!(socket["backlog"]["limit"].as_u64().is_some() && socket["age"].as_f64().is_some());

    let table = ran(&["ls"], directory.path());
    let [head, row] = &lines(&table)[..] else { panic!("{table:?}") };
    let words = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(head), ["NAME", "STATE", "PID", "COMMAND", "UID", "MODE", "AGE", "BACKLOG"]);
    assert_eq!(words(row)[..4], ["in.sock", "live", &*listen.pid().to_string(), "mpsr"]);
    for column in ["STATE", "PID", "COMMAND"] {
        let at = head.find(column).unwrap();
        assert!(row.as_bytes()[at - 1] == b' ' && row.as_bytes()[at] != b' ', "aligned:\n{head}\n{row}");
    }

    // Its socket and its lock stay, and nobody is behind them.
    listen.signal(Signal::KILL);
    listen.wait();
    let swept = objects(&ran(&["sweep", "--min-age", "0", "--json"], directory.path()));
    assert_eq!((&swept[0].1["event"], &swept[0].1["fate"]), (&"swept".into(), &"removed".into()), "{swept:?}");
    assert!(!path.exists());
}

#[test]
fn every_state_has_its_word() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let _live = UnixListener::bind(at("live")).unwrap();
    let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
    leave(&at("left"));
    let _bound = bound(&at("bound"));
    fs::write(at("file"), "").unwrap();
    let listed = loop {
        // So soon after its last change it might be about to listen where we cannot see it.
        let changed = Instant::now();
        fs::set_permissions(at("left"), fs::Permissions::from_mode(0o700)).unwrap();
        let listed = objects(&ran(&["ls", "--json"], directory.path()));
        if changed.elapsed() < Duration::from_secs(2) {
            break listed;
        }
    };
    let states: Vec<_> = listed.iter().map(|(name, object)| (&**name, object["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("bound", "bound"), ("datagrams", "live"), ("left", "unknown"), ("live", "live")]);
    eventually("it counts as stale", || {
        let listed = objects(&ran(&["ls", "--json"], directory.path()));
        listed.iter().any(|(name, object)| name == "left" && object["state"] == "stale")
    });
    let quiet = objects(&ran(&["ls", "--json", "--no-connect"], directory.path()));
    assert!(quiet.iter().any(|(name, object)| name == "left" && object["state"] == "unknown"), "{quiet:?}");
}

#[test]
fn names_cannot_command_the_terminal_nor_break_the_table() {
    let directory = directory();
    let names: [&[u8]; 4] = [b"a\nb", b"clear\x1b[2J", b"\xff", b"tab\ttab"];
    let _listeners: Vec<_> =
        names.iter().map(|name| UnixListener::bind(directory.path().join(OsStr::from_bytes(name))).unwrap()).collect();
    for command in [&["ls"][..], &["sweep", "--min-age", "0"]] {
        let ended = ran(command, directory.path());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let lines = lines(&ended);
        assert_eq!(lines.len(), names.len() + usize::from(command == ["ls"]), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains(|c: char| c.is_control())), "{lines:?}");
        for shown in [r"a\nb", r"clear\u{1b}[2J", r"\xff", r"tab\ttab"] {
            assert!(lines.iter().any(|line| line.contains(shown)), "{shown}: {lines:?}");
        }
    }
    // Objects have what there is, in base64 where it is no text.
    let listed = objects(&ran(&["ls", "--json"], directory.path()));
    assert_eq!(listed.iter().filter(|(_, object)| object["path_base64"].is_string()).count(), 1);
    assert!(listed.iter().any(|(name, _)| name == "a\nb"));
}

#[test]
fn a_dry_run_removes_nothing_and_a_sweep_only_the_stale() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let _live = UnixListener::bind(at("live")).unwrap();
    leave(&at("left"));
    fs::write(at("file.sock"), "precious").unwrap();

    // So young it stays.
    let young = ran(&["sweep"], directory.path());
    assert_eq!(young.code, Some(0));
    assert!(
        lines(&young).iter().any(|line| line.starts_with("kept") && line.contains("left: it is only")),
        "{young:?}"
    );

    let dry = ran(&["sweep", "--min-age", "0", "--dry-run"], directory.path());
    assert_eq!(lines(&dry), ["would remove  left", "kept          live: somebody has it"]);
    assert_eq!((dry.code, &*dry.stderr), (Some(0), "would remove 1 of 2\n"));
    assert!(at("left").exists());

    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert_eq!(lines(&swept), ["removed       left", "kept          live: somebody has it"]);
    assert_eq!((swept.code, &*swept.stderr), (Some(0), "removed 1 of 2\n"));
    let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["file.sock", "live"]);
}

#[test]
fn what_is_no_directory_is_said() {
    let directory = directory();
    leave(&directory.path().join("socket"));
    for command in ["ls", "sweep"] {
        for (name, word) in [("none", "no directory at"), ("socket", "is not a directory")] {
            let ended = ran(&[command], &directory.path().join(name));
            assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{ended:?}");
            assert!(ended.stderr.starts_with("mpsr: cannot ") && ended.stderr.contains(word), "{}", ended.stderr);
        }
        let wrong = finish(&mut mpsr([command]), b"");
        assert_eq!(wrong.code, Some(2));
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(ran(&[command], empty.path()).code, Some(0));
    }
}

#[test]
fn ten_thousand_sockets_are_listed_and_swept() {
    // In memory where there is such a place: to make so many takes a disk longer than everything else here.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for number in 0..10_000 {
        leave(&directory.path().join(format!("{number:05}.sock")));
    }
    let _live = UnixListener::bind(directory.path().join("live.sock")).unwrap();
    let listed = ran(&["ls"], directory.path());
    assert_eq!((listed.code, lines(&listed).len()), (Some(0), 10_002));
    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert_eq!((swept.code, &*swept.stderr), (Some(0), "removed 10000 of 10001\n"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
