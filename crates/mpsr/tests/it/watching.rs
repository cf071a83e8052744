//! `mpsr watch`: which sockets are in a directory, now and from now on.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use rustix::{io::ioctl_fionread, process::Signal};
use serde_json::Value;

use crate::{
    listen::directory,
    running::{Lines, Running, eventually, mpsr},
};

/// What a pipe holds at least, unless its user has too many (`pipe(7)`), but for a line that does not fit.
const PIPE: u64 = 60 << 10;

struct Watch {
    running: Running,
    events: Lines,
}

impl Watch {
    fn start(path: &Path) -> Self {
        let mut command = mpsr(["watch", "--json"]);
        let mut running = Running::start(command.arg(path).stdin(Stdio::null()).stdout(Stdio::piped()));
        let events = running.stdout();
        Self { running, events }
    }

    fn next(&self) -> Value {
        let line = self.events.next().expect("it runs");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next event is this one, of this socket; gives its generation.
    #[track_caller]
    fn expect(&self, kind: &str, path: &Path) -> u64 {
        let event = self.next();
        assert_eq!([&event["event"], &event["path"]], [kind, path.to_str().unwrap()], "{event}");
        event["generation"].as_u64().expect("a generation")
    }
}

#[test]
fn sockets_are_seen_as_they_come_and_go() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let present = UnixListener::bind(at("present.sock")).unwrap();
    fs::write(at("file"), "not a socket").unwrap();

    let mut watch = Watch::start(directory.path());
    assert_eq!(watch.next()["event"], "init");
    let first = watch.expect("present", &at("present.sock"));
    assert_eq!(watch.next()["event"], "init-done");
    assert_eq!(watch.expect("ready", &at("present.sock")), first);

    // Bound, and listened on.
    let _late = UnixListener::bind(at("late.sock")).unwrap();
    let late = watch.expect("added", &at("late.sock"));
    assert_eq!(watch.expect("ready", &at("late.sock")), late);
    // What is not a socket, or hidden, is none of its business.
    fs::write(at("other-file"), "").unwrap();
    let _hidden = UnixListener::bind(at(".hidden.sock")).unwrap();
    // Unlinked: the socket itself is still open.
    fs::remove_file(at("present.sock")).unwrap();
    assert_eq!(watch.expect("removed", &at("present.sock")), first);
    drop(present);
    // Renamed.
    fs::rename(at("late.sock"), at("renamed.sock")).unwrap();
    let mut events = [watch.next(), watch.next(), watch.next()];
    events.sort_by_key(|event| event["event"].to_string());
    assert_eq!([&events[0]["event"], &events[1]["event"], &events[2]["event"]], ["added", "ready", "removed"]);
    assert_eq!(events[0]["path"], at("renamed.sock").to_str().unwrap());
    assert_eq!(events[2]["path"], at("late.sock").to_str().unwrap());
    assert_eq!(events[2]["generation"], late);
    let renamed = events[0]["generation"].as_u64().unwrap();
    // Replaced in one step by another socket: the name is the same, the socket is not.
    let _new = UnixListener::bind(at(".new")).unwrap();
    fs::rename(at(".new"), at("renamed.sock")).unwrap();
    assert_eq!(watch.expect("removed", &at("renamed.sock")), renamed);
    assert_ne!(watch.expect("added", &at("renamed.sock")), renamed);
    watch.expect("ready", &at("renamed.sock"));

    watch.running.signal(Signal::INT);
    assert_eq!(watch.running.wait(), Some(0));
    assert_eq!(watch.events.rest(), [""; 0]);
}

#[test]
fn facts_of_a_socket_are_told() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let directory = directory();
    let path = directory.path().join("a.sock");
    let _socket = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let facts = fs::metadata(&path).unwrap();
    let mut watch = Watch::start(directory.path());
    assert_eq!(watch.next()["event"], "init");
    let event = watch.next();
    assert_eq!([&event["mode"], &event["event"]], ["640", "present"]);
    assert_eq!([&event["uid"], &event["gid"]], [facts.uid(), facts.gid()]);
    watch.running.signal(Signal::TERM);
    assert_eq!(watch.running.wait(), Some(0));
}

#[test]
fn it_ends_when_nobody_reads_any_longer() {
    let directory = directory();
    let Watch { mut running, events } = Watch::start(directory.path());
    events.next();
    events.next();
    // The thread that reads ends with the next line, and closes the pipe.
    drop(events);
    let _one = UnixListener::bind(directory.path().join("one.sock")).unwrap();
    let _two = UnixListener::bind(directory.path().join("two.sock")).unwrap();
    assert_eq!(running.wait(), Some(1));
}

/// As by `| head -1`: what is asked to go on until it is told to end has not done so.
#[test]
fn a_reader_that_has_enough_ends_it_with_words_although_nothing_happens() {
    let directory = directory();
    let socket = format!("unix:{}", directory.path().join("in.sock").display());
    let watched = directory.path().to_str().unwrap();
    for arguments in [&["watch", "--json", watched][..], &["listen", "--json", &socket]] {
        let mut command = mpsr(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command);
        let (mut head, stderr) = (BufReader::new(running.child().stdout.take().unwrap()), running.stderr());
        let mut line = String::new();
        head.read_line(&mut line).unwrap();
        assert!(line.starts_with('{'), "{line}");
        drop(head);
        assert_eq!(running.wait(), Some(1), "{arguments:?}");
        let said = stderr.rest();
        let words = "mpsr: cannot write to standard output: broken pipe";
        let is_said = said.iter().any(|line| line.to_lowercase().starts_with(words));
        assert!(is_said, "{arguments:?}: {said:?}");
    }
}

#[test]
fn signals_that_come_together_are_one_request_to_end() {
    let directory = directory();
    for number in 0..1000 {
        drop(UnixListener::bind(directory.path().join(format!("{number:040}"))).unwrap());
    }
    for second in [Signal::TERM, Signal::HUP] {
        let mut command = mpsr(["watch", "--json"]);
        command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(&mut command);
        let errors = running.stderr();
        let unread = running.child().stdout.take().expect("it is piped");
        eventually("the pipe is full", || ioctl_fionread(&unread).unwrap() >= PIPE);
        // It cannot end before its output is read, for which it has a second.
        for signal in [Signal::TERM, second] {
            running.signal(signal);
            thread::sleep(Duration::from_millis(100));
        }
        let read = crate::running::all(Some(unread));
        assert_eq!(running.wait(), Some(0), "{second:?}: {:?}", errors.rest());
        let printed = String::from_utf8(read.join().unwrap()).unwrap();
        assert!(printed.starts_with('{') && printed.ends_with("}\n"), "in whole lines");
    }
}

#[test]
fn a_signal_ends_it_although_nobody_reads_what_it_prints() {
    let directory = directory();
    // More than a pipe holds, and what waits to be written to it.
    for number in 0..2000 {
        drop(UnixListener::bind(directory.path().join(format!("{number:040}"))).unwrap());
    }
    let mut command = mpsr(["watch", "--json"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    let errors = running.stderr();
    let unread = running.child().stdout.take().expect("it is piped");
    eventually("the pipe is full", || ioctl_fionread(&unread).unwrap() >= PIPE);
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(1));
    let said = errors.rest().concat();
    assert!(said.contains("while its output was not read"), "{said}");
}

#[test]
fn names_cannot_command_the_terminal_nor_break_the_lines() {
    let directory = directory();
    let mut command = mpsr(["watch"]);
    let mut running = Running::start(command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()));
    let lines = running.stdout();
    assert!(lines.next().expect("it runs").starts_with("-- watching"));
    for (name, shown) in
        [(&b"a\n- b  gone"[..], r"a\n- b \u{20}gone"), (b"clear\x1b[2J", r"clear\u{1b}[2J"), (b"\xff", r"\xff")]
    {
        let _listener = UnixListener::bind(directory.path().join(OsStr::from_bytes(name))).unwrap();
        for sign in ["+ ", "! "] {
            let line = lines.next().expect("it runs");
            assert!(line.starts_with(sign) && line.contains(shown), "{line:?}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        fs::remove_file(directory.path().join(OsStr::from_bytes(name))).unwrap();
        assert!(lines.next().expect("it runs").starts_with("- "));
    }
    running.signal(Signal::INT);
    assert_eq!(running.wait(), Some(0));
}

#[test]
fn what_is_passed_over_is_said_and_shown_if_so_wanted() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("driver")).unwrap();
    let _listeners = [".hidden", "driver/csi.sock"].map(|name| UnixListener::bind(at(name)).unwrap());
    let mut command = mpsr(["watch"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    let said = running.stderr().next().expect("it says so");
    assert!(said.contains("--all") && said.contains("--recursive"), "{said}");
    running.signal(Signal::TERM);
    assert_eq!(running.wait(), Some(0));

    let watch = Watch::start(directory.path());
    assert_eq!(watch.next()["event"], "init");
    let passed = watch.next();
    let expected = serde_json::json!({
        "event": "passed-over", "dot_names": 1, "links": 0, "below": 1, "unreadable": 0, "not_searched": 0,
    });
    assert_eq!(passed, expected);
    assert_eq!(watch.next()["event"], "init-done");
    drop(watch);

    let mut command = mpsr(["watch", "--all", "--recursive", "--json"]);
    let mut running = Running::start(command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut watch = Watch { events: running.stdout(), running };
    assert_eq!(watch.next()["event"], "init");
    let mut present = [watch.next(), watch.next()].map(|event| event["path"].as_str().unwrap().to_owned());
    present.sort();
    assert_eq!(present, [".hidden", "driver/csi.sock"].map(|name| at(name).to_str().unwrap().to_owned()));
    assert_eq!(watch.next()["event"], "init-done");
    let mut ready = [watch.next(), watch.next()];
    assert!(ready.iter_mut().all(|event| event["event"] == "ready"), "{ready:?}");

    // A directory that comes, with what is in it, and goes again.
    fs::create_dir_all(at("new/deep")).unwrap();
    let late = UnixListener::bind(at("new/deep/a.sock")).unwrap();
    watch.expect("added", &at("new/deep/a.sock"));
    watch.expect("ready", &at("new/deep/a.sock"));
    drop(late);
    fs::remove_dir_all(at("new")).unwrap();
    watch.expect("removed", &at("new/deep/a.sock"));
    // And another of its name.
    fs::create_dir_all(at("new/deep")).unwrap();
    let _again = UnixListener::bind(at("new/deep/b.sock")).unwrap();
    watch.expect("added", &at("new/deep/b.sock"));
    watch.running.signal(Signal::TERM);
    assert_eq!(watch.running.wait(), Some(0));
}

#[test]
fn what_is_at_a_path_again_has_a_higher_generation_though_its_directory_is_new() {
    let directory = directory();
    let (below, path) = (directory.path().join("below"), directory.path().join("below/a.sock"));
    let mut command = mpsr(["watch", "--recursive", "--json"]);
    let mut running = Running::start(command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::piped()));
    let mut watch = Watch { events: running.stdout(), running };
    assert_eq!([watch.next(), watch.next()].map(|event| event["event"].clone()), ["init", "init-done"]);
    let mut before = 0;
    for _ in 0..3 {
        fs::create_dir(&below).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let generation = watch.expect("added", &path);
        assert!(generation > before, "{generation} after {before}");
        assert_eq!(watch.expect("ready", &path), generation);
        drop(listener);
        fs::remove_dir_all(&below).unwrap();
        assert_eq!(watch.expect("removed", &path), generation);
        before = generation;
    }
    watch.running.signal(Signal::TERM);
    assert_eq!(watch.running.wait(), Some(0));
}
