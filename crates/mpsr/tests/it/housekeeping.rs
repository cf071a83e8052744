//! `mpsr ls` and `mpsr sweep`: list the sockets of a directory, and remove those that have no server.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::PermissionsExt as _,
        net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::Signal;
use serde_json::Value;
use test_kit::kernel::{Op, lacks};

use crate::{
    clients::{find_or_skip, skip_forbidden},
    listen::{bound, directory, unix},
    options::assert_all_tested,
    running::{Ended, Running, eventually, finish, mpsr},
};

/// A socket without its server.
fn leave(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    // Another test of this process may be starting a child, which has everything open that we have, for a moment.
    while UnixStream::connect(path).is_ok() {
        std::thread::yield_now();
    }
}

/// Waits until the file is older than a server can take to get through `bind`.
fn wait_until_old(path: &Path) {
    let old = fs::symlink_metadata(path).unwrap().created().unwrap() + Duration::from_secs(2);
    eventually("the file is two seconds old", || SystemTime::now() >= old);
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
    assert_eq!(words(head), ["NAME", "STATE", "KIND", "PID", "COMMAND", "OWNER", "MODE", "AGE", "BACKLOG"]);
    assert_eq!(words(row)[..5], ["in.sock", "live", "stream", &*listen.pid().to_string(), "mpsr"]);
    if rustix::process::geteuid().is_root() {
        assert_eq!(words(row)[5], "root");
    }
    for column in ["STATE", "PID", "COMMAND"] {
        let at = head.find(column).unwrap();
        assert!(row.as_bytes()[at - 1] == b' ' && row.as_bytes()[at] != b' ', "aligned:\n{head}\n{row}");
    }

    // Its socket and its lock file stay, without a process.
    listen.signal(Signal::KILL);
    listen.wait();
    wait_until_old(&path);
    let swept = objects(&ran(&["sweep", "--min-age", "0", "--json"], directory.path()));
    assert_eq!((&swept[0].1["event"], &swept[0].1["fate"]), (&"swept".into(), &"removed".into()), "{swept:?}");
    let [_, (lock, swept)] = &swept[..] else { panic!("{swept:?}") };
    assert_eq!((&**lock, &swept["kind"], &swept["fate"]), (".in.sock.lock", &"lock".into(), &"removed".into()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
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
        let state = if command == ["ls"] { " live " } else { "kept " };
        assert_eq!(lines.iter().filter(|line| line.contains(state)).count(), names.len(), "{lines:?}");
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

/// As for `listen` and `send`: a path may be any bytes.
#[test]
fn a_directory_may_have_any_name() {
    let top = directory();
    let named = top.path().join(OsStr::from_bytes(b"sockets \xff"));
    fs::create_dir(&named).unwrap();
    let _live = UnixListener::bind(named.join("live")).unwrap();
    for prefix in [&b""[..], b"dir:"] {
        let place = OsString::from_vec([prefix, named.as_os_str().as_bytes()].concat());
        for command in ["ls", "sweep"] {
            let ended = finish(mpsr([command, "--json"]).arg(&place), b"");
            assert_eq!((ended.code, &ended.stderr[..]), (Some(0), ""), "{command} {place:?}");
            let object: Value = serde_json::from_slice(&ended.stdout).unwrap();
            let path = BASE64_STANDARD.decode(object["path_base64"].as_str().unwrap()).unwrap();
            assert!(path.ends_with(b"sockets \xff/live"), "{command}: {object}");
        }
        let mut watch =
            Running::start(mpsr(["watch", "--json"]).arg(&place).stdin(Stdio::null()).stdout(Stdio::piped()));
        let events = watch.stdout();
        let present = std::iter::from_fn(|| events.next()).find(|line| line.contains(r#""event":"present""#)).unwrap();
        assert!(present.contains(r#""path_base64":""#), "watch {place:?}: {present}");
    }
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

    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert!(lines(&swept).iter().any(|line| line.contains("left: it is only")), "never within two seconds: {swept:?}");
    wait_until_old(&at("left"));
    let dry = ran(&["sweep", "--min-age", "0", "--dry-run"], directory.path());
    assert_eq!(lines(&dry), ["would remove  left", "kept          live: in use"]);
    assert_eq!((dry.code, &*dry.stderr), (Some(0), "would remove 1 of 2\n"));
    assert!(at("left").exists());

    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert_eq!(lines(&swept), ["removed       left", "kept          live: in use"]);
    assert_eq!((swept.code, &*swept.stderr), (Some(0), "removed 1 of 2\n"));
    let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["file.sock", "live"]);
}

#[test]
fn what_can_be_neither_listed_nor_swept_is_said() {
    let directory = directory();
    leave(&directory.path().join("socket"));
    fs::write(directory.path().join("file"), "").unwrap();
    for (command, name, word) in [
        ("ls", "none", "there is no"),
        ("ls", "file", "neither a socket nor a directory"),
        ("sweep", "none", "there is no"),
        ("sweep", "socket", "is not a directory"),
    ] {
        let ended = ran(&[command], &directory.path().join(name));
        assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{ended:?}");
        assert!(ended.stderr.starts_with("mpsr: cannot ") && ended.stderr.contains(word), "{}", ended.stderr);
    }
    assert_eq!(finish(&mut mpsr(["sweep"]), b"").code, Some(2));
    let empty = tempfile::tempdir().unwrap();
    for command in ["ls", "sweep"] {
        assert_eq!(ran(&[command], empty.path()).code, Some(0));
    }
}

#[test]
fn the_current_directory_is_listed_unless_others_are_named_and_sockets_can_be() {
    let directory = directory();
    let _a = UnixListener::bind(directory.path().join("a")).unwrap();
    fs::create_dir(directory.path().join("other")).unwrap();
    let _b = UnixListener::bind(directory.path().join("other/b")).unwrap();
    let listed = |arguments: &[&str]| {
        let ended = finish(mpsr(["ls"]).args(arguments).current_dir(directory.path()), b"");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let lines = lines(&ended);
        let names = lines[1..].iter().map(|line| line.split(' ').next().unwrap().to_owned());
        names.filter(|name| !name.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), ["a"]);
    assert_eq!(listed(&["other"]), ["b"]);
    assert_eq!(listed(&["a", "dir:other", "unix:other/b"]), ["a", "other/b", "other/b"]);
}

#[test]
fn what_is_passed_over_is_said_with_the_option_that_shows_it() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("driver")).unwrap();
    let _listeners = [".s.PGSQL.5432", "driver/csi.sock"].map(|name| UnixListener::bind(at(name)).unwrap());
    std::os::unix::fs::symlink("driver/csi.sock", at("link.sock")).unwrap();
    let plain = ran(&["ls"], directory.path());
    assert_eq!(lines(&plain).len(), 1);
    for part in ["1 socket with a dot-name (--all", "1 symbolic link to a socket (--all", "below (--recursive"] {
        assert!(plain.stderr.contains(part), "{part}: {}", plain.stderr);
    }
    let json = objects(&ran(&["ls", "--json"], directory.path()));
    assert_eq!((&json[0].1["event"], &json[0].1["dot_names"]), (&"passed-over".into(), &1.into()));
    let all = ran(&["ls", "--all", "--recursive"], directory.path());
    let lines = lines(&all);
    // A name that is too long for its column has a separate line, and the next one begins with spaces.
    let names: Vec<_> =
        lines[1..].iter().map(|line| line.split(' ').next().unwrap()).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, [".s.PGSQL.5432", "driver/csi.sock", "link.sock@"]);
    assert!(!all.stderr.contains("passed over"), "{}", all.stderr);
}

#[test]
fn a_listing_that_is_read_no_further_ends_silently() {
    // More than a pipe holds.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for number in 0..3000 {
        drop(UnixListener::bind(directory.path().join(format!("{number:040}"))).unwrap());
    }
    for arguments in [&["ls"][..], &["ls", "--json"], &["sweep", "-n", "--json"], &["sweep", "-n"]] {
        let mut command = mpsr(arguments);
        command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command);
        let (listed, errors) = (running.stdout(), running.stderr());
        listed.next();
        drop(listed);
        // The thread that reads takes one line more, and closes the pipe.
        assert_eq!(running.wait(), Some(0), "{arguments:?}");
        let summary = (*arguments == ["sweep", "-n"]).then_some("would remove 0 of 3000");
        assert_eq!(errors.rest(), Vec::from_iter(summary), "{arguments:?}");
    }
}

#[test]
fn a_sweep_that_cannot_be_printed_fails_and_still_says_how_much_it_has_removed() {
    let directory = directory();
    drop(UnixListener::bind(directory.path().join("x.sock")).unwrap());
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = mpsr(["sweep", "--min-age", "2s"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
    std::thread::sleep(Duration::from_millis(2100));
    let mut sweep = Running::start(&mut command);
    assert_eq!(sweep.wait(), Some(1));
    let said = sweep.stderr().rest();
    assert!(said[0] == "removed 1 of 1" && said[1].contains("No space left on device"), "{said:?}");
}

#[test]
fn a_server_in_another_network_namespace_is_unknown_until_it_may_be_asked() {
    const TEST: &str = "a_server_in_another_network_namespace_is_unknown_until_it_may_be_asked";
    let Some(unshare) = find_or_skip(TEST, "unshare") else { return };
    let can = std::process::Command::new(&unshare).args(["-n", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return skip_forbidden(TEST, "it takes a network namespace");
    }
    let directory = directory();
    let path = directory.path().join("p.sock");
    let mut command = std::process::Command::new(&unshare);
    // One that serves the first connection and no other.
    command.arg("-n").arg(env!("CARGO_BIN_EXE_mpsr")).args(["send", "--bind", &unix(&path), "only once"]);
    let mut server = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("it is bound", || path.exists());
    eventually("its state is known", || {
        let listed = ran(&["ls", "--json"], directory.path());
        lines(&listed)[0].contains("a socket is bound to it")
    });
    let listed = ran(&["ls"], directory.path());
    assert!(lines(&listed)[1].contains("unknown"), "{listed:?}");
    assert!(listed.stderr.contains("--connect"), "{}", listed.stderr);
    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert!(lines(&swept)[0].starts_with("kept"), "{swept:?}");
    assert!(!server.has_ended(), "it was disturbed");
    // A client that connects gets what there is.
    let mut text = String::new();
    std::io::Read::read_to_string(&mut UnixStream::connect(&path).unwrap(), &mut text).unwrap();
    assert_eq!(text, "only once\n");
    assert_eq!(server.wait(), Some(0));
}

/// As in a service with `RestrictAddressFamilies=AF_UNIX`: a lookup tells what is dead, and no server notices.
#[test]
fn without_the_kernels_table_what_is_dead_is_still_told_from_what_may_live() {
    const TEST: &str = "without_the_kernels_table_what_is_dead_is_still_told_from_what_may_live";
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    if release.starts_with(['3', '4', '5']) {
        return skip_forbidden(TEST, "this kernel may be too old for a lookup to prove anything");
    }
    let directory = directory();
    let live = UnixListener::bind(directory.path().join("live.sock")).unwrap();
    live.set_nonblocking(true).unwrap();
    leave(&directory.path().join("stale.sock"));
    let path = directory.path().to_owned();
    // A filter belongs to its thread and to what that starts.
    let removed = std::thread::spawn(move || {
        lacks(libc::SYS_socket, 0, Op::Ne, libc::AF_UNIX as u64, libc::EAFNOSUPPORT);
        let mut watch = Running::start(
            mpsr(["watch", "--json"]).arg(&path).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let events = watch.stdout();
        let removed = std::iter::from_fn(|| events.next())
            .find(|event| event.contains(r#""event":"removed""#))
            .expect("an event");
        wait_until_old(&path.join("stale.sock"));
        let listed = ran(&["ls", "--json"], &path);
        let (sockets, others): (Vec<_>, Vec<_>) =
            objects(&listed).into_iter().partition(|(_, object)| object["event"] == "socket");
        assert!(matches!(&others[..], [(_, warning)] if warning["event"] == "warning"), "{others:?}");
        let states = sockets.into_iter().map(|(name, socket)| format!("{name} {}", socket["state"]));
        assert_eq!(states.collect::<Vec<_>>(), [r#"live.sock "unknown""#, r#"stale.sock "stale""#]);
        assert!(listed.stderr.contains("--connect"), "{}", listed.stderr);
        let hint = watch.stderr().next().expect("a hint");
        assert!(hint.starts_with("mpsr: 1 unknown socket: ") && hint.contains("--connect"), "{hint}");
        watch.signal(Signal::TERM);
        assert_eq!(watch.wait(), Some(0));
        removed
    });
    let removed = removed.join().unwrap();
    assert!(removed.contains("stale.sock") && removed.contains(r#""reason":"stale""#), "{removed}");
    assert_eq!(live.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "no one has connected");
}

#[test]
fn ten_thousand_sockets_are_listed_and_swept() {
    // In memory where there is such a place: to make so many takes a disk longer than everything else here.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    for number in 0..10_000 {
        leave(&directory.path().join(format!("{number:05}.sock")));
    }
    let _live = UnixListener::bind(directory.path().join("live.sock")).unwrap();
    wait_until_old(&directory.path().join("09999.sock"));
    let listed = ran(&["ls"], directory.path());
    assert_eq!((listed.code, lines(&listed).len()), (Some(0), 10_002));
    let swept = ran(&["sweep", "--min-age", "0"], directory.path());
    assert_eq!((swept.code, &*swept.stderr), (Some(0), "removed 10000 of 10001\n"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn what_cannot_be_listed_keeps_nothing_else_from_being_shown() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("sockets")).unwrap();
    fs::write(at("file"), "").unwrap();
    let _listeners = ["sockets/a.sock", "b.sock"].map(|name| UnixListener::bind(at(name)).unwrap());
    let (none, file) = (at("none"), at("file"));
    let errors = [
        format!("mpsr: cannot list: there is no {none:?}"),
        format!("mpsr: cannot list: {file:?} is neither a socket nor a directory"),
    ];
    let ended = finish(&mut mpsr(["ls", "--json", &none, &at("sockets"), &file, &at("b.sock")]), b"");
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), errors);
    assert_eq!(ended.code, Some(1));
    let shown = objects(&Ended { code: Some(0), ..ended });
    let states: Vec<_> = shown.iter().map(|(name, object)| (name.as_str(), object["state"].as_str())).collect();
    assert_eq!(states, [("a.sock", Some("live")), ("b.sock", Some("live"))]);
    // With nothing to list, there is no table either.
    let ended = finish(&mut mpsr(["ls", &none, &file]), b"");
    assert_eq!((ended.code, &ended.stdout[..]), (Some(1), &b""[..]));
    assert_eq!(ended.stderr.lines().collect::<Vec<_>>(), errors);
}

/// The options of the commands that look at directories, each with each way to write a place.
#[test]
fn every_option_works_with_every_way_to_name_a_directory_or_a_socket() {
    const LS: &[&[&str]] = &[&[], &["--all"], &["--recursive"], &["--connect"], &["--json"]];
    const WATCH: &[&[&str]] = LS;
    const SWEEP: &[&[&str]] =
        &[&[], &["--dry-run"], &["--min-age", "1h"], &["--any-owner"], &["--any-filesystem"], &["--json"]];
    let directory = directory();
    let path = directory.path().join("a.sock");
    let _live = UnixListener::bind(&path).unwrap();
    let (place, socket) = (directory.path().display().to_string(), path.display().to_string());
    let of_directory = [place.clone(), format!("dir:{place}"), format!("{place}/")];
    let of_socket = [socket.clone(), format!("unix:{socket}")];
    for (command, options, places) in [
        ("ls", LS, &[&of_directory[..], &of_socket].concat()),
        ("sweep", SWEEP, &of_directory.to_vec()),
        ("watch", WATCH, &of_directory.to_vec()),
    ] {
        assert_all_tested(command, options.iter().flat_map(|options| *options));
        for (options, place) in options.iter().flat_map(|options| places.iter().map(move |place| (options, place))) {
            let mut line = mpsr([command, place]);
            let mut running =
                Running::start(line.args(*options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
            let (stdout, stderr) = (running.stdout(), running.stderr());
            let shown = std::iter::from_fn(|| stdout.next()).any(|line| line.contains("a.sock"));
            if command == "watch" {
                running.signal(Signal::TERM);
            }
            let said = (running.wait(), stderr.rest());
            assert!(shown && said.0 == Some(0), "{command} {place} {options:?}: {said:?}");
        }
    }
}
