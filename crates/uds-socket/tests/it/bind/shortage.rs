//! A shortage of descriptors at every step of taking a name: an error that says so, and nothing left behind.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_kit::process::{Actor, Watchdog};
use uds_socket::{Bind, BindError};

use super::place::Place;

#[test]
fn whichever_descriptor_is_missing_nothing_is_left_behind() {
    let _watchdog = Watchdog::start();
    Actor::start("bind::shortage::child_without_the_next_descriptor").passes();
}

#[test]
#[ignore = "a process of its own, because its limit is everybody's in it"]
fn child_without_the_next_descriptor() {
    let place = Place::new();
    // The runtime has made what it needs when the descriptors become scarce.
    drop(place.listen(Bind::path(place.path())).unwrap());
    let path = place.path();
    // So that the mode has to be set, for which the file is opened.
    rustix::process::umask(rustix::fs::Mode::RWXU);
    for prepare in [nothing, a_stale_socket, what_a_crash_left] {
        let mut free = 0;
        loop {
            prepare(&path);
            let before = place.names();
            let Err(error) = with_descriptors(free, || place.listen(Bind::path(&path))) else { break };
            let (BindError::Bind { source, .. } | BindError::Examine { source, .. }) = &error else {
                panic!("with {free} descriptors: {error:?}")
            };
            assert_eq!(Errno::from_io_error(source), Some(Errno::MFILE), "with {free} descriptors: {error:?}");
            assert!(error.is_retryable());
            let mut left = place.names();
            // What a crash has left aside may have its name back already.
            let was_aside = |name: &String| name == "x.sock" && before.contains(&".x.sock.old".to_owned());
            left.retain(|name| !before.contains(name) && !was_aside(name));
            assert_eq!(left, [""; 0], "with {free} descriptors");
            assert!(place.names().len() <= before.len(), "with {free} descriptors");
            free += 1;
        }
        assert!((4..20).contains(&free), "{free}");
    }
}

fn nothing(path: &Path) {
    let _ = fs::remove_file(path);
}

fn a_stale_socket(path: &Path) {
    nothing(path);
    drop(StdListener::bind(path).unwrap());
}

fn what_a_crash_left(path: &Path) {
    nothing(path);
    a_stale_socket(&path.with_file_name(".x.sock.old"));
}

/// Runs `f` while this process can open this many more descriptors and no others.
fn with_descriptors<T>(free: u64, f: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    // Descriptors are given out from the lowest up, so that there is none free below this one.
    let lowest = fs::File::open("/dev/null").unwrap().as_raw_fd().unsigned_abs();
    let current = Some(u64::from(lowest) + free);
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    let outcome = f();
    setrlimit(Resource::Nofile, before).unwrap();
    outcome
}
