//! Races and crashes: one starter wins, and what a crash leaves behind blocks no other process.

use std::fs;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::atomic::{AtomicBool, Ordering};

use test_kit::process::Actor;
use uds_socket::{Bind, BindError};

use super::place::{Place, leave_stale, served_by, until_stale};

#[test]
fn of_many_processes_over_one_stale_file_exactly_one_wins() {
    let place = Place::new();
    let path = place.path();
    let mut starters: Vec<_> = (0..4).map(|_| Actor::start("bind::child::child_that_listens")).collect();
    for round in 0..200 {
        if round % 4 != 3 {
            leave_stale(&path);
        }
        for starter in &mut starters {
            starter.tell(&format!("bind 600 {}", path.display()));
        }
        let answers: Vec<_> = starters.iter_mut().map(Actor::hear).collect();
        let winners: Vec<_> = (0..answers.len()).filter(|n| answers[*n] == "bound").collect();
        let [winner] = winners[..] else { panic!("round {round}: {answers:?}") };
        for (n, answer) in answers.iter().enumerate().filter(|(n, _)| *n != winner) {
            assert!(answer.starts_with("Locked"), "round {round}, starter {n}: {answer}");
        }
        assert_eq!(served_by(&path), Some(starters[winner].pid()), "round {round}");
        assert_eq!(place.names(), [".x.sock.lock", "x.sock"], "round {round}");
        assert_eq!(starters[winner].ask("release"), "done");
        assert_eq!(place.names(), [""; 0], "round {round}");
    }
}

#[test]
fn threads_that_take_and_release_a_name_never_hold_it_together() {
    let place = Place::new();
    let path = place.path();
    let held = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut won = 0;
                    while won < 50 {
                        match place.listen(Bind::path(&path)) {
                            Ok(listener) => {
                                assert!(!held.swap(true, Ordering::SeqCst), "held twice");
                                assert_eq!(served_by(&path), Some(std::process::id()));
                                held.store(false, Ordering::SeqCst);
                                drop(listener);
                                won += 1;
                            }
                            Err(BindError::Locked { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("{error}: {error:?}"),
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_killed_owner_does_not_block_the_next() {
    let place = Place::new();
    for round in 0..20 {
        let mut owner = Actor::start("bind::child::child_that_listens");
        assert_eq!(owner.ask(&format!("bind 600 {}", place.path().display())), "bound", "round {round}");
        owner.kill();
        assert!(place.path().exists());
        until_stale(&place.path());
        if round % 2 == 1 {
            drop(place.listen(Bind::path(place.path())).unwrap());
        }
    }
    let _listener = place.listen(Bind::path(place.path())).unwrap();
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
}

#[test]
fn what_a_crash_leaves_at_any_point_is_cleared_away() {
    let place = Place::new();
    let [aside, second, lock] = [".x.sock.old", ".x.sock.older", ".x.sock.lock"].map(|name| place.beside(name));
    for (point, leave) in [
        ("locked", Box::new(|| fs::write(&lock, "4711\n").unwrap()) as Box<dyn Fn()>),
        ("the stale one moved aside", Box::new(|| leave_stale(&aside))),
        ("bound, not listening", Box::new(|| leave_bound(&place.path()))),
        (
            "the stale one moved aside and another bound",
            Box::new(|| {
                leave_stale(&aside);
                leave_stale(&place.path());
            }),
        ),
        (
            "given back by a link, the name aside not removed",
            Box::new(|| {
                leave_stale(&aside);
                fs::hard_link(&aside, place.path()).unwrap();
            }),
        ),
        ("a second one moved aside", Box::new(|| [&aside, &second].into_iter().for_each(|path| leave_stale(path)))),
        ("only the second one is left", Box::new(|| leave_stale(&second))),
        (
            "two aside and another bound",
            Box::new(|| [&aside, &second, &place.path()].into_iter().for_each(|path| leave_stale(path))),
        ),
        (
            "the second one given back by a link",
            Box::new(|| {
                leave_stale(&aside);
                leave_stale(&second);
                fs::hard_link(&second, place.path()).unwrap();
            }),
        ),
    ] {
        leave();
        let listener = place.listen(Bind::path(place.path())).unwrap_or_else(|error| panic!("{point}: {error}"));
        assert_eq!(place.names(), [".x.sock.lock", "x.sock"], "{point}");
        assert_eq!(served_by(&place.path()), Some(std::process::id()), "{point}");
        drop(listener);
        assert_eq!(place.names(), [""; 0], "{point}");
    }
}

/// A live server aside, where a starter has moved it that was killed before it gave it back: it gets its name, whatever else
/// is there, and at no point of doing so is a file left under another name.
#[test]
fn a_live_server_that_a_crash_has_left_aside_gets_its_name_from_whatever_state() {
    let live = [".x.sock.old", ".x.sock.older"];
    for alive in live {
        for stale in [&[][..], &["x.sock"], &[".x.sock.old"], &[".x.sock.older"], &["x.sock", ".x.sock.old"]] {
            if stale.contains(&alive) {
                continue;
            }
            let place = Place::new();
            let server = StdListener::bind(place.beside(alive)).unwrap();
            stale.iter().for_each(|name| leave_stale(&place.beside(name)));
            let error = place.listen(Bind::path(place.path())).expect_err("it is alive");
            assert!(
                matches!(&error, BindError::InUse { path, .. } if *path == place.path()),
                "{alive}, {stale:?}: {error}"
            );
            assert_eq!(served_by(&place.path()), Some(std::process::id()), "{alive}, {stale:?}");
            assert_eq!(place.names(), ["x.sock"], "{alive}, {stale:?}");
            drop(server);
        }
    }
    // Two of them, and one name: both stay, and the one with the name keeps it.
    let place = Place::new();
    let _servers = ["x.sock", ".x.sock.old"].map(|name| StdListener::bind(place.beside(name)).unwrap());
    let error = place.listen(Bind::path(place.path())).expect_err("it is alive");
    assert!(matches!(&error, BindError::InUse { path, .. } if *path == place.path()), "{error}");
    assert_eq!(place.names(), [".x.sock.old", "x.sock"]);
}

/// A socket that was bound and never listened.
fn leave_bound(path: &std::path::Path) {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    drop(socket);
    until_stale(path);
}

/// Kills a starter at every moment of its start, over a stale socket or none: the next one serves, and finds no more than
/// one starter's leavings.
#[test]
fn a_starter_killed_at_any_moment_blocks_no_other() {
    let place = Place::new();
    let path = place.path();
    for round in 0..60_u64 {
        if round % 2 == 0 && !path.exists() {
            leave_stale(&path);
        }
        // As after earlier crashes, so that there is something to do at each moment of a start.
        for (of, name) in [(3, ".x.sock.old"), (5, ".x.sock.older")] {
            if round % of == 0 {
                leave_stale(&place.beside(name));
            }
        }
        let mut starter = Actor::start("bind::child::child_that_listens");
        assert_eq!(starter.ask("umask 022"), "done");
        starter.tell(&format!("bind 600 {}", path.display()));
        // Not to be in step with it but to be out of step, differently each time.
        let until = std::time::Instant::now() + std::time::Duration::from_micros(round * 20);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        starter.kill();
        if path.exists() {
            until_stale(&path);
        }
        let listener = place.listen(Bind::path(&path)).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(served_by(&path), Some(std::process::id()), "round {round}");
        assert_eq!(place.names(), [".x.sock.lock", "x.sock"], "round {round}");
        drop(listener);
        assert_eq!(place.names(), [""; 0], "round {round}");
    }
}

/// Plain servers that follow none of our rules remove the file and bind; our own starters bind the name in between. Whatever
/// the order, a server that is alive and has not been replaced by another plain one is reached by its name.
#[test]
fn no_live_servers_socket_is_removed_while_plain_servers_come_and_go() {
    let place = Place::new();
    let path = place.path();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let starters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut bound = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        match place.listen(Bind::path(&path)) {
                            Ok(listener) => {
                                bound += 1;
                                drop(listener);
                            }
                            Err(BindError::Locked { .. } | BindError::InUse { .. } | BindError::Contended { .. }) => {}
                            Err(error) => panic!("{error}: {error:?}"),
                        }
                    }
                    bound
                })
            })
            .collect();
        let mut plain = 0;
        for _ in 0..2000 {
            // Only if there is no file: it replaces none of our sockets.
            let Ok(server) = StdListener::bind(&path) else { continue };
            plain += 1;
            let ours = server.local_addr().unwrap();
            for _ in 0..5 {
                // Moved aside for a moment, it comes back: a bound socket is never taken for stale for good.
                let reached = (0..1000).any(|_| std::os::unix::net::UnixStream::connect(&path).is_ok());
                assert!(reached, "{ours:?} is not to be found any more");
                let (_, _) = server.accept().unwrap();
            }
            drop(server);
        }
        stop.store(true, Ordering::Relaxed);
        let bound: u32 = starters.into_iter().map(|starter| starter.join().unwrap()).sum();
        assert!(plain > 0 && bound > 0, "{plain} plain servers, {bound} of ours");
    });
}

#[test]
fn what_is_no_stale_socket_under_the_name_aside_stays() {
    let place = Place::new();
    let aside = place.beside(".x.sock.old");
    fs::write(&aside, "precious").unwrap();
    let error = place.rejected(place.path());
    assert!(matches!(&error, BindError::NotASocket { path, .. } if *path == aside), "{error}");
    assert_eq!(fs::read_to_string(&aside).unwrap(), "precious");
    fs::remove_file(&aside).unwrap();

    let server = StdListener::bind(&aside).unwrap();
    let error = place.rejected(place.path());
    assert!(matches!(&error, BindError::InUse { path, .. } if *path == place.path()), "{error}");
    // It belongs under the name, from which only a starter can have moved it.
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
    drop(server);
}
