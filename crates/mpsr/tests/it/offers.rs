//! `mpsr send --bind` while it waits for a receiver: it says what keeps one from coming.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::Stdio,
};

use rustix::{process::Signal, process::getuid};

use crate::{
    listen::{directory, unix},
    running::{Lines, Running, eventually, listened_on, mpsr},
};

/// A sender of "hello" that listens at this path and watches its name, and what it says.
fn offer(path: &Path, options: &[&str]) -> (Running, Lines) {
    let mut command = mpsr(["send", "--bind", &unix(path), "hello"]);
    let mut sender = Running::start(command.args(options).stdin(Stdio::null()).stderr(Stdio::piped()));
    let said = sender.stderr();
    listened_on(path);
    let descriptors = format!("/proc/{}/fd", sender.child().id());
    let watches = |link: io::Result<fs::DirEntry>| {
        link.and_then(|link| fs::read_link(link.path())).is_ok_and(|target| target.ends_with("anon_inode:inotify"))
    };
    eventually("it watches its name", || fs::read_dir(&descriptors).unwrap().any(watches));
    (sender, said)
}

fn receive(path: &Path) -> String {
    let mut heard = String::new();
    UnixStream::connect(path).unwrap().read_to_string(&mut heard).unwrap();
    heard
}

#[test]
fn a_name_that_is_lost_is_told_at_once_and_taken_again_if_that_was_asked_for() {
    for options in [&["--rebind"][..], &[]] {
        for what in ["removed", "replaced by another"] {
            let directory = directory();
            let path = directory.path().join("a.sock");
            let (mut sender, said) = offer(&path, options);
            if what == "removed" {
                fs::remove_file(&path).unwrap();
            } else {
                // A socket that no process has.
                drop(UnixListener::bind(directory.path().join("other")).unwrap());
                fs::rename(directory.path().join("other"), &path).unwrap();
            }
            let address = unix(&path);
            let hint = if options.is_empty() { " (--rebind takes the name again)" } else { "" };
            let lost = format!("mpsr: {address}: its file was {what}, so that no receiver finds it{hint}");
            assert_eq!(said.next(), Some(lost));
            if options.is_empty() {
                assert!(UnixStream::connect(&path).is_err());
                sender.signal(Signal::TERM);
                assert_eq!(sender.wait(), Some(1));
                assert_eq!(path.exists(), what != "removed", "what is not its own stays");
                continue;
            }
            assert_eq!(said.next(), Some(format!("mpsr: {address}: it has its name again")));
            assert_eq!(receive(&path), "hello\n");
            assert_eq!(sender.wait(), Some(0));
            assert!(!path.exists());
        }
    }
}

#[test]
fn another_live_server_keeps_the_name_until_it_ends() {
    let directory = directory();
    let path = directory.path().join("a.sock");
    let (mut sender, said) = offer(&path, &["--rebind"]);
    let other = UnixListener::bind(directory.path().join("other")).unwrap();
    fs::rename(directory.path().join("other"), &path).unwrap();
    assert!(said.next().unwrap().contains("its file was replaced"));
    let why = said.next().unwrap();
    assert!(why.contains("cannot take the name again") && why.contains("listening"), "{why}");
    drop(other);
    assert_eq!(said.next(), Some(format!("mpsr: {}: it has its name again", unix(&path))), "the reason is told once");
    assert_eq!(receive(&path), "hello\n");
    assert_eq!(sender.wait(), Some(0));
}

#[test]
fn a_receiver_that_is_not_admitted_is_named() {
    let directory = directory();
    let path = directory.path().join("a.sock");
    let (mut sender, said) = offer(&path, &["--allow-uid", "60003"]);
    assert_eq!(receive(&path), "", "it is turned away");
    let line = said.next().unwrap();
    assert!(line.contains("--allow-uid 60003 has no effect while the mode of the file is 0600"), "{line}");
    let line = said.next().unwrap();
    let (start, end) = (format!("mpsr: rejected pid {}", std::process::id()), "not admitted");
    assert!(line.starts_with(&start) && line.contains(&getuid().as_raw().to_string()), "{line}");
    assert!(line.contains(&unix(&path)) && line.ends_with(end), "{line}");
    sender.signal(Signal::TERM);
    assert_eq!(sender.wait(), Some(1));
}
