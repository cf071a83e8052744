//! Listening and connecting without a runtime.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{Shutdown, shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_kit::process::{Actor, NOBODY, Watchdog, as_nobody, public_directory};
use test_kit::stopwatch::Stopwatch;
use uds_socket::{AcceptError, Accepted, Admit, Bind, BindError, Connect, Mode, NameLoss, Verdict, probe};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_server_and_a_client_need_no_runtime() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_blocking().unwrap();
    assert_eq!(probe(&path).unwrap().verdict, Verdict::Listening);
    let client = thread::spawn({
        let path = path.clone();
        move || {
            let mut stream = Connect::path(path).connect_blocking().unwrap();
            stream.write_all(b"hello").unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).unwrap();
            answer
        }
    });
    let (mut stream, peer) = listener.accept().unwrap();
    assert_eq!(peer.pid(), Some(std::process::id()));
    let mut text = [0; 5];
    // The stream blocks, although the listener does not.
    stream.read_exact(&mut text).unwrap();
    stream.write_all(&text).unwrap();
    assert_eq!(&client.join().unwrap(), b"hello");
    drop(listener);
    assert!(!path.exists() && fs::read_dir(directory.path()).unwrap().next().is_none(), "nothing is left");
}

#[test]
fn a_timeout_is_waited_for_and_zero_does_not_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_blocking().unwrap();
    assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_none());
    let start = Instant::now();
    assert!(listener.accept_timeout(30 * MS).unwrap().is_none());
    assert!(start.elapsed() >= 30 * MS, "{:?}", start.elapsed());
    let _client = UnixStream::connect(&path).unwrap();
    assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_some());
    assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_none());
    // A time that no clock reaches waits as `accept` does.
    let _second = UnixStream::connect(&path).unwrap();
    assert!(listener.accept_timeout(Duration::MAX).unwrap().is_some());
}

#[test]
fn draining_gives_out_what_waits_and_then_ends() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let listener = Bind::path(&path).listen_blocking().unwrap();
    let clients: Vec<_> = (0..5_u8)
        .map(|number| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(&[number]).unwrap();
            stream
        })
        .collect();
    let mut draining = listener.into_draining();
    assert!(!path.exists());
    assert!(UnixStream::connect(&path).is_err());
    let numbers: Vec<_> = draining
        .by_ref()
        .map(|accepted| {
            let mut byte = [0];
            accepted.unwrap().0.read_exact(&mut byte).unwrap();
            byte[0]
        })
        .collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
    assert_eq!(draining.stats().accepted, 5);
    // The lock is held until the end, so that the next server comes when all is over.
    assert!(matches!(Bind::path(&path).listen_blocking(), Err(BindError::Locked { .. })));
    drop(draining);
    drop(clients);
    Bind::path(&path).listen_blocking().unwrap();
}

#[test]
fn a_peer_that_is_not_admitted_is_told_and_closed_on() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let directory = public_directory();
    let path = directory.path().join("x.sock");
    let bind = Bind::path(&path).mode(Mode::new(0o666)).admit(Admit::own());
    let mut listener = bind.listen_blocking().unwrap();
    let mut stranger = as_nobody(|| UnixStream::connect(&path).unwrap());
    match listener.next_event().unwrap() {
        Accepted::Rejected(Some(peer)) => assert_eq!(peer.uid(), NOBODY),
        other => panic!("{other:?}"),
    }
    assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!((listener.stats().accepted, listener.stats().rejected), (0, 1));
}

#[test]
fn a_listener_that_was_shut_down_is_broken_and_does_not_spin() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_blocking().unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    shutdown(listener.as_fd(), Shutdown::Read).unwrap();
    listener.accept().expect("it came before");
    assert!(matches!(listener.accept(), Err(AcceptError { .. })));
    assert!(matches!(listener.accept_timeout(30 * MS), Err(AcceptError { .. })));
}

#[test]
fn a_name_that_was_lost_is_taken_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_blocking().unwrap();
    let _before = UnixStream::connect(&path).unwrap();
    assert_eq!(listener.name_loss(), None);
    fs::remove_file(&path).unwrap();
    assert!(matches!(listener.name_loss(), Some(NameLoss::Removed)));
    listener.rebind().unwrap();
    assert_eq!(listener.name_loss(), None);
    let _after = UnixStream::connect(&path).unwrap();
    for _ in 0..2 {
        assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_some());
    }
}

#[test]
fn the_loss_of_the_name_is_told_to_a_thread_that_waits_and_once_each_time() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    for is_replaced in [false, true] {
        let mut listener = Bind::path(&path).listen_blocking().unwrap();
        let began = Stopwatch::start();
        for _ in 0..2 {
            let loss = thread::scope(|scope| {
                let waiting = scope.spawn(|| match listener.next_event().unwrap() {
                    Accepted::NameLost(loss) => loss,
                    other => panic!("{other:?}"),
                });
                // So that it waits; what it waits for is told whenever it comes.
                thread::sleep(20 * MS);
                if is_replaced {
                    fs::write(directory.path().join("other"), "").unwrap();
                    fs::rename(directory.path().join("other"), &path).unwrap();
                } else {
                    fs::remove_file(&path).unwrap();
                }
                waiting.join().unwrap()
            });
            assert_eq!(loss, if is_replaced { NameLoss::Replaced } else { NameLoss::Removed });
            let _ = fs::remove_file(&path);
            listener.rebind().unwrap();
        }
        began.assert_within(900 * MS, "what is told at once");

        // It is told once, and connections come as before.
        fs::remove_file(&path).unwrap();
        assert!(matches!(listener.next_event().unwrap(), Accepted::NameLost(NameLoss::Removed)));
        assert!(listener.accept_timeout(20 * MS).unwrap().is_none());
        listener.rebind().unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(matches!(listener.next_event().unwrap(), Accepted::Connection(..)));
        // What does not tell of it does not use it up.
        fs::remove_file(&path).unwrap();
        assert!(listener.accept_timeout(20 * MS).unwrap().is_none());
        assert!(matches!(listener.next_event().unwrap(), Accepted::NameLost(NameLoss::Removed)));
    }
}

#[test]
fn one_address_has_one_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    assert_eq!(Bind::path(&path).listen_all_blocking().unwrap().len(), 1);
    assert!(matches!(Bind::systemd("none").listen_all_blocking(), Err(BindError::NotPassed { .. })));
}

// --- shortage -----------------------------------------------------------------------------------------------------

#[test]
fn a_poll_loop_survives_a_shortage_without_closing_who_waits() {
    let _watchdog = Watchdog::start();
    // In a separate process: the limit belongs to the whole process.
    Actor::start("blocking::child_that_polls_without_descriptors").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_polls_without_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut listener = Bind::path(&path).listen_blocking().unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let before = getrlimit(Resource::Nofile);
    let current = Some(File::open("/dev/null").unwrap().as_raw_fd().unsigned_abs().into());
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();

    // As often as a loop may call it.
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < 100 * MS {
        assert!(listener.accept_timeout(Duration::ZERO).unwrap().is_none());
        calls += 1;
    }
    // Between the failures lie pauses of 10, 20, 40 ms and so on, however often a call interrupts them.
    let failures = u32::try_from(listener.stats().failures).unwrap();
    let pauses = 10 * MS * (2_u32.pow(failures.min(10) - 1) - 1);
    assert!(
        calls > failures && pauses <= start.elapsed(),
        "{failures} failures in {calls} calls, {:?}",
        start.elapsed()
    );
    assert!(listener.pause_left() <= 2 * start.elapsed());
    let start = Instant::now();
    assert!(listener.accept_timeout(5 * MS).unwrap().is_none());
    assert!(start.elapsed() >= 5 * MS, "{:?}", start.elapsed());
    assert_eq!(listener.stats().shed, 0);

    setrlimit(Resource::Nofile, before).unwrap();
    for client in &mut clients {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"a").unwrap();
        client.read_exact(&mut [0]).unwrap();
    }
    assert_eq!(listener.pause_left(), Duration::ZERO);
}
