//! The backend against the real kernel, and against callbacks that misbehave.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ::notify::event::EventKind;
use tempfile::TempDir;

use super::control::{EMFILE, Guarded, explain};
use super::hub::PATIENCE;
use super::hub::Pending;
use super::*;
use crate::eyes;
use crate::hints::Dirty;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn wait_until(hints: &Hints, wanted: impl Fn(&Dirty) -> bool) {
    let deadline = soon();
    while !wanted(&hints.wait(deadline)) {
        assert!(Instant::now() < deadline, "the hint never came");
    }
}

/// A directory with a quiet parent, unlike that of temporary files.
struct Quiet {
    _root: TempDir,
    dir: PathBuf,
}

impl Quiet {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("sockets");
        std::fs::create_dir(&dir).unwrap();
        Self { _root: root, dir }
    }

    /// In memory, where many changes take little time.
    fn quick() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let root = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let dir = root.path().join("sockets");
        std::fs::create_dir(&dir).unwrap();
        Self { _root: root, dir }
    }

    fn target(&self) -> Target {
        eyes::resolve(&self.dir)
    }

    fn bind(&self, name: &str) -> UnixListener {
        UnixListener::bind(self.dir.join(name)).unwrap()
    }
}

#[test]
fn a_bind_is_hinted_at_and_our_own_listing_is_not() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let mut backend = Notify::default();
    backend.arm(&quiet.target(), &hints).unwrap();
    for round in 0..100 {
        eyes::list(&quiet.dir, 0, |_| true);
        let name = format!("{round}.sock");
        let _listener = quiet.bind(&name);
        // Events come in order: if the listing had made one, it would be here before the name.
        let dirty = hints.wait(soon());
        assert_eq!(dirty.names.into_iter().collect::<Vec<_>>(), [name.as_str()]);
        assert!(!dirty.everywhere && !dirty.overflowed && !dirty.lost);
    }
    backend.disarm();
}

#[test]
fn arming_again_follows_a_directory_made_anew() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("sockets");
    let hints = Hints::default();
    let mut backend = Notify::default();
    // Held, because while they are alive the kernel does not report the end of their directory.
    let mut listeners = Vec::new();
    for _ in 0..20 {
        std::fs::create_dir(&dir).unwrap();
        backend.arm(&eyes::resolve(&dir), &hints).unwrap();
        listeners.push(UnixListener::bind(dir.join("a.sock")).unwrap());
        wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a.sock")));
        std::fs::remove_dir_all(&dir).unwrap();
        wait_until(&hints, |dirty| dirty.everywhere);
    }
    backend.disarm();
}

#[test]
fn a_callback_that_panics_is_survived() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let armed = quiet.target();
    let hub = Hub::start_with(|members, sentinel| Guarded {
        callback: |_| panic!("a callback panics, as this test wants it to"),
        members,
        sentinel,
    })
    .unwrap();
    let seat = Seat::take(&hub, &armed, &hints);
    seat.arm(&armed).unwrap();
    for round in 0..3 {
        let _listener = quiet.bind(&round.to_string());
        assert!(hints.wait(soon()).overflowed);
        seat.arm(&armed).unwrap();
    }
    seat.leave().wait();
    assert!(!hints.wait(Instant::now()).lost);
}

#[test]
fn the_death_of_notifys_thread_is_noticed_and_harms_nobody() {
    let quiet = Quiet::new();
    let (hints, others) = (Hints::default(), Hints::default());
    let armed = quiet.target();
    let hub = Hub::start_with(|_, sentinel| {
        move |_| {
            let _kept = &sentinel;
            panic!("a callback kills its thread, as this test wants it to");
        }
    })
    .unwrap();
    let seat = Seat::take(&hub, &armed, &hints);
    let other = Seat::take(&hub, &armed, &others);
    seat.arm(&armed).unwrap();
    let _listener = quiet.bind("a.sock");
    // Every user of that hub is told.
    assert!(hints.wait(soon()).lost && others.wait(soon()).lost);
    assert!(hub.is_retired());
    assert!(matches!(seat.arm(&armed), Err(Why::BackendFailed { .. })));
    seat.leave().wait();
    other.leave().wait();
}

#[test]
fn a_hub_that_does_not_answer_is_left_behind_by_all() {
    let quiet = Quiet::new();
    let (hints, others) = (Hints::default(), Hints::default());
    let armed = quiet.target();
    let (release, stuck) = mpsc::channel::<Infallible>();
    let (called, is_called) = mpsc::channel();
    let hub = Hub::start_with(|_, sentinel| {
        move |_| {
            let _kept = &sentinel;
            let _ = called.send(());
            // What a callback must never do: it waits for another thread.
            let _ = stuck.recv();
        }
    })
    .unwrap();
    let mut backend = Notify { seat: Some(Seat::take(&hub, &armed, &hints)) };
    let _other = Seat::take(&hub, &armed, &others);
    backend.arm(&armed, &hints).unwrap();
    let _listener = quiet.bind("a.sock");
    is_called.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(backend.arm(&armed, &hints), Err(Why::BackendStuck));
    assert!(others.wait(soon()).lost);
    // The next attempt gets a new hub.
    backend.arm(&armed, &hints).unwrap();
    let _listener = quiet.bind("b.sock");
    wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("b.sock")));
    backend.disarm();
    drop(release);
}

#[test]
fn a_hub_that_answers_others_first_is_waited_for() {
    let (pending, members, reply) = Pending::new();
    let began = Instant::now();
    let others = std::thread::spawn(move || {
        while began.elapsed() < 2 * PATIENCE {
            members.handle_progress();
            std::thread::yield_now();
        }
        reply.send(Ok(())).unwrap();
    });
    assert_eq!(pending.wait(), Ok(()));
    others.join().unwrap();
}

#[test]
fn each_member_hears_of_its_own_directory() {
    let quiet = [Quiet::new(), Quiet::new()];
    let hints = [Hints::default(), Hints::default()];
    let mut backends = [Notify::default(), Notify::default()];
    for index in [0, 1] {
        backends[index].arm(&quiet[index].target(), &hints[index]).unwrap();
    }
    let _one = quiet[0].bind("one");
    let _other = quiet[1].bind("other");
    for (index, name) in [(0, "one"), (1, "other")] {
        let dirty = hints[index].wait(soon());
        assert_eq!(dirty.names.into_iter().collect::<Vec<_>>(), [name]);
    }
    // One leaves, and the other continues.
    backends[0].disarm();
    let _last = quiet[1].bind("last");
    assert!(hints[1].wait(soon()).names.contains(OsStr::new("last")));
    backends[1].disarm();
}

#[test]
fn two_who_watch_one_directory_both_hear_of_it() {
    let quiet = Quiet::new();
    let hints = [Hints::default(), Hints::default()];
    let mut backends = [Notify::default(), Notify::default()];
    for index in [0, 1] {
        backends[index].arm(&quiet.target(), &hints[index]).unwrap();
    }
    let _first = quiet.bind("first");
    assert!(hints.iter().all(|hints| hints.wait(soon()).names.contains(OsStr::new("first"))));
    backends[0].disarm();
    let _second = quiet.bind("second");
    assert!(hints[1].wait(soon()).names.contains(OsStr::new("second")));
    backends[1].disarm();
}

#[test]
fn a_directory_that_is_not_there_yet_is_anchored() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("later");
    let hints = Hints::default();
    let mut backend = Notify::default();
    backend.arm(&eyes::resolve(&dir), &hints).unwrap();
    std::fs::create_dir(&dir).unwrap();
    assert!(hints.wait(soon()).everywhere);
    backend.disarm();
}

#[test]
fn trap_04_the_kernels_own_overflow_is_one_mark_and_is_told() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    let quiet = Quiet::quick();
    let hints = Hints::default();
    let (release, held) = mpsc::channel::<Infallible>();
    let hub = Hub::start_with(|members, sentinel| Guarded {
        callback: {
            let members = members.clone();
            move |event| {
                // Blocked until the test releases it: like a thread that is not scheduled.
                let _ = held.recv();
                members.sort(event);
            }
        },
        members,
        sentinel,
    })
    .unwrap();
    let seat = Seat::take(&hub, &quiet.target(), &hints);
    seat.arm(&quiet.target()).unwrap();
    for number in 0..limit / 2 + 100 {
        // Two events each, and no two equal ones in a row.
        let path = quiet.dir.join(number.to_string());
        std::fs::create_dir(&path).unwrap();
        std::fs::remove_dir(&path).unwrap();
    }
    drop(release);
    let deadline = soon();
    let mut overflows = 0;
    let mut last = false;
    while !last {
        let dirty = hints.wait(deadline);
        overflows += usize::from(dirty.overflowed);
        // The mark is the last item in the queue; this comes after it.
        last = dirty.names.contains(OsStr::new("last"));
        if overflows > 0 && !last && !quiet.dir.join("last").exists() {
            std::fs::write(quiet.dir.join("last"), "").unwrap();
        }
        assert!(Instant::now() < deadline, "the mark never came");
    }
    assert_eq!(overflows, 1);
    seat.leave().wait();
}

#[test]
fn the_mark_of_an_overflow_is_seen_although_it_names_nothing() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let mark = ::notify::Event::new(EventKind::Other).set_flag(::notify::event::Flag::Rescan);
    let hub = Hub::start().unwrap();
    let seat = Seat::take(&hub, &quiet.target(), &hints);
    hub.members().sort(Ok(mark));
    seat.leave().wait();
    assert!(hints.wait(Instant::now()).overflowed);
}

#[test]
fn errors_say_what_is_short() {
    let io = |number| ::notify::Error::io(std::io::Error::from_raw_os_error(number));
    let limit = |error| match explain(&error) {
        Why::LimitReached { limit } => limit.contains("fs.inotify"),
        _ => false,
    };
    assert!(limit(io(EMFILE)));
    assert!(limit(::notify::Error::new(::notify::ErrorKind::MaxFilesWatch)));
    assert_eq!(explain(&::notify::Error::path_not_found()), Why::Missing);
    assert!(explain(&io(13)).is_blind(), "no permission: the directory's trouble");
    assert!(!explain(&::notify::Error::generic("odd")).is_blind());
}
