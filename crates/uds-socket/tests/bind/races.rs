//! Races and crashes: one starter wins, and whatever a crash leaves blocks nobody.

use std::fs;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::atomic::{AtomicBool, Ordering};

use uds_socket::{Bind, Error};

use super::place::{Place, leave_stale, served_by, until_stale};
use super::process::Actor;

#[test]
fn of_many_processes_over_one_stale_file_exactly_one_wins() {
    let place = Place::new();
    let path = place.path();
    let mut starters: Vec<_> = (0..4).map(|_| Actor::start("child::child_that_listens")).collect();
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
        assert_eq!(place.names(), [".x.sock.lock"], "round {round}");
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
                            Err(Error::Locked { .. }) => std::thread::yield_now(),
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
        let mut owner = Actor::start("child::child_that_listens");
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
fn what_a_crash_leaves_at_any_point_is_swept() {
    let place = Place::new();
    let temporary = place.beside(".x.sock.new");
    for (point, leave) in [
        ("bound, not published", Box::new(|| leave_stale(&temporary)) as Box<dyn Fn()>),
        (
            "exchanged, the stale one not removed",
            Box::new(|| {
                leave_stale(&temporary);
                leave_stale(&place.path());
            }),
        ),
        (
            "linked, the temporary name not removed",
            Box::new(|| {
                leave_stale(&temporary);
                fs::hard_link(&temporary, place.path()).unwrap();
            }),
        ),
    ] {
        leave();
        let listener = place.listen(Bind::path(place.path())).unwrap_or_else(|error| panic!("{point}: {error}"));
        assert_eq!(place.names(), [".x.sock.lock", "x.sock"], "{point}");
        drop(listener);
        assert_eq!(place.names(), [".x.sock.lock"], "{point}");
    }
}

#[test]
fn what_is_no_remains_under_the_temporary_name_stays() {
    let place = Place::new();
    let temporary = place.beside(".x.sock.new");
    fs::write(&temporary, "precious").unwrap();
    let error = place.refusal(place.path());
    assert!(matches!(&error, Error::NotASocket { path, .. } if *path == temporary), "{error}");
    assert_eq!(fs::read_to_string(&temporary).unwrap(), "precious");
    fs::remove_file(&temporary).unwrap();

    let server = StdListener::bind(&temporary).unwrap();
    let error = place.refusal(place.path());
    assert!(matches!(&error, Error::InUse { path, .. } if *path == temporary), "{error}");
    assert_eq!(served_by(&temporary), Some(std::process::id()));
    drop(server);
}
