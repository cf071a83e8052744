//! Under a sandbox that forbids the kernel's table of sockets, as systemd's `RestrictAddressFamilies=AF_UNIX` does.

use std::{
    os::unix::net::UnixListener,
    process::{Command, Stdio},
    thread,
};

use rustix::process::Signal;
use serde_json::Value;
use test_kit::kernel::{Op, lacks};

use crate::{
    listen::directory,
    running::{Lines, Running, mpsr},
};

/// Starts the command where `socket(2)` knows no family but `AF_UNIX`. A filter belongs to a thread and what it starts.
fn start(mut command: Command) -> Running {
    let starting = thread::spawn(move || {
        lacks(libc::SYS_socket, 0, Op::Ne, libc::AF_UNIX as u64, libc::EAFNOSUPPORT);
        Running::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))
    });
    starting.join().unwrap()
}

fn next(events: &Lines) -> Value {
    serde_json::from_str(&events.next().expect("it runs")).unwrap()
}

#[test]
fn it_is_told_once_that_live_sockets_cannot_be_told_from_stale_ones() {
    const NOT_KNOWN: &str = "which sockets are live is not known: cannot open a socket to the kernel's socket table";
    let directory = directory();
    let path = directory.path().join("a.sock");
    let live = UnixListener::bind(&path).unwrap();
    let place = directory.path().to_str().unwrap().to_owned();

    let mut watch = start(mpsr(["watch", "--json", &place]));
    let events = watch.stdout();
    let kinds: Vec<_> = (0..4).map(|_| next(&events)).collect();
    assert_eq!(
        kinds.iter().map(|event| &event["event"]).collect::<Vec<_>>(),
        ["init", "present", "init-done", "degraded"]
    );
    let text = kinds[3]["text"].as_str().unwrap();
    assert!(text.starts_with(NOT_KNOWN) && text.ends_with("; --connect asks the sockets themselves"), "{text}");
    // What comes and goes is told as ever, and the rest not again.
    let _second = UnixListener::bind(directory.path().join("b.sock")).unwrap();
    assert_eq!(next(&events)["event"], "added");
    std::fs::remove_file(directory.path().join("b.sock")).unwrap();
    assert_eq!(next(&events)["event"], "removed");
    watch.signal(Signal::TERM);
    assert_eq!(events.rest(), [""; 0]);
    assert_eq!(watch.wait(), Some(0));

    // The remedy that it names.
    let mut watch = start(mpsr(["watch", "--json", "--connect", &place]));
    let events = watch.stdout();
    let kinds: Vec<_> = (0..4).map(|_| next(&events)["event"].clone()).collect();
    assert_eq!(kinds, ["init", "present", "init-done", "ready"]);
    watch.signal(Signal::TERM);
    assert_eq!(events.rest(), [""; 0]);
    assert_eq!(watch.wait(), Some(0));
    drop(live.accept().unwrap());

    let mut ls = start(mpsr(["ls", "--json", &place]));
    let events = ls.stdout();
    let told = [next(&events), next(&events)];
    assert_eq!((&told[0]["state"], &told[1]["event"]), (&"unknown".into(), &"warning".into()), "{told:?}");
    let text = told[1]["text"].as_str().unwrap();
    assert!(text.starts_with("cannot open a socket to the kernel's socket table: Address family"), "{text}");
    assert_eq!((events.rest().len(), ls.wait()), (0, Some(0)));

    let mut listen = start(mpsr(["listen", "--json", &format!("dir:{place}")]));
    let events = listen.stdout();
    let mut told = Vec::new();
    while !told.iter().any(|event: &Value| event["event"] == "warning") {
        told.push(next(&events));
    }
    let warning = told.last().unwrap();
    assert_eq!(warning["address"], format!("dir:{place}"), "{told:?}");
    assert!(warning["text"].as_str().unwrap().contains(NOT_KNOWN), "{told:?}");
    listen.signal(Signal::TERM);
    let rest = events.rest().join("\n");
    assert!(!rest.contains("warning"), "{rest}");
    assert_eq!(listen.wait(), Some(0));
}
