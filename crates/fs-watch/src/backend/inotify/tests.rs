//! The backend against the real kernel.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::eyes;
use crate::hints::Dirty;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[track_caller]
fn wait_until(hints: &Hints, wanted: impl Fn(&Dirty) -> bool) {
    let deadline = soon();
    while !wanted(&hints.wait(deadline)) {
        assert!(Instant::now() < deadline, "the hint never came");
    }
}

/// A directory with a quiet parent, unlike that of temporary files.
struct Quiet {
    root: TempDir,
    dir: PathBuf,
}

impl Quiet {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("sockets");
        fs::create_dir(&dir).unwrap();
        Self { root, dir }
    }

    fn target(&self) -> Target {
        eyes::resolve(&self.dir)
    }

    fn bind(&self, name: &str) -> UnixListener {
        UnixListener::bind(self.dir.join(name)).unwrap()
    }
}

/// A subscriber at a hub of its own, with events that belong to no other test.
fn alone(quiet: &Quiet) -> (Seat, Hints) {
    let hints = Hints::default();
    let seat = Seat::at(&Hub::start().unwrap(), &hints);
    seat.arm(&quiet.target()).unwrap();
    (seat, hints)
}

#[test]
fn a_bind_is_hinted_at_and_our_own_listing_is_not() {
    let quiet = Quiet::new();
    let (seat, hints) = alone(&quiet);
    for round in 0..100 {
        eyes::list(&quiet.dir, 0, |_| true);
        let name = format!("{round}.sock");
        let _listener = quiet.bind(&name);
        // Events come in order: if the listing had made one, it would be here before the name.
        let dirty = hints.wait(soon());
        assert_eq!(dirty.names.into_iter().collect::<Vec<_>>(), [name.as_str()]);
        assert!(!dirty.everywhere && !dirty.overflowed && !dirty.lost);
    }
    assert_eq!(seat.hub.events(), 100);
}

/// An event costs its writer as much time as a system call, even if it is not read.
#[test]
fn who_writes_other_files_in_the_directory_or_beside_it_makes_no_event() {
    let quiet = Quiet::new();
    let files = [quiet.dir.join("app.log"), quiet.root.path().join("app.log")];
    let mut files = files.map(|path| File::create(path).unwrap());
    let (seat, hints) = alone(&quiet);
    for _ in 0..1000 {
        for file in &mut files {
            file.write_all(b"a line\n").unwrap();
        }
    }
    drop(files);
    fs::read(quiet.dir.join("app.log")).unwrap();
    // Events come in order: this one is the first.
    let _listener = quiet.bind("a.sock");
    wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a.sock")));
    assert_eq!(seat.hub.events(), 1);
}

#[test]
fn arming_again_follows_a_directory_made_anew() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("sockets");
    let hints = Hints::default();
    let mut backend = Inotify::default();
    // Held, because while they are alive the kernel does not report the end of their directory.
    let mut listeners = Vec::new();
    for _ in 0..20 {
        fs::create_dir(&dir).unwrap();
        backend.arm(&eyes::resolve(&dir), &hints).unwrap();
        listeners.push(UnixListener::bind(dir.join("a.sock")).unwrap());
        wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a.sock")));
        fs::remove_dir_all(&dir).unwrap();
        wait_until(&hints, |dirty| dirty.everywhere);
    }
    backend.disarm();
}

#[test]
fn a_directory_that_ends_moves_or_comes_to_be_is_hinted_at() {
    let quiet = Quiet::new();
    let (seat, hints) = alone(&quiet);
    fs::rename(&quiet.dir, quiet.root.path().join("elsewhere")).unwrap();
    wait_until(&hints, |dirty| dirty.everywhere);
    seat.arm(&quiet.target()).unwrap();
    fs::create_dir(&quiet.dir).unwrap();
    wait_until(&hints, |dirty| dirty.everywhere);
    seat.arm(&quiet.target()).unwrap();
    fs::remove_dir(&quiet.dir).unwrap();
    wait_until(&hints, |dirty| dirty.everywhere);
}

#[test]
fn two_who_watch_one_directory_under_two_paths_both_hear_of_it_and_the_last_ends_it() {
    let quiet = Quiet::new();
    let (seat, hints) = alone(&quiet);
    let (by_other_path, also_hints) = (quiet.root.path().join("sockets/../sockets"), Hints::default());
    let other = Seat::at(&seat.hub, &also_hints);
    let identity = eyes::identify(&quiet.dir).unwrap();
    other.arm(&Target::new(Some((by_other_path, identity)), vec![])).unwrap();
    let _a = quiet.bind("a");
    wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a")));
    wait_until(&also_hints, |dirty| dirty.names.contains(OsStr::new("a")));
    // One leaves, and the watch that they shared stays.
    let hub = seat.hub.clone();
    assert!(seat.leave().is_none());
    let _b = quiet.bind("b");
    wait_until(&also_hints, |dirty| dirty.names.contains(OsStr::new("b")));
    other.leave().expect("it was the last").wait();
    assert!(hub.is_over());
    assert!(!also_hints.wait(Instant::now()).lost, "its end was wanted");
}

/// The kernel gives both the same watch and takes it from both. A watcher that arms while the other disarms must not
/// end up with a watch that does not exist any more.
#[test]
fn a_watch_given_up_by_one_while_another_makes_it_is_not_lost() {
    let quiet = Quiet::new();
    let hub = Hub::start().unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let seat = Seat::at(&hub, &Hints::default());
                seat.arm(&quiet.target()).unwrap();
                hub.give_up(&hub.registry().dismiss(seat.number).0);
            }
        });
        // A failure here ends the other thread, too.
        let _over = Over(&over);
        for round in 0..300 {
            let hints = Hints::default();
            let seat = Seat::at(&hub, &hints);
            seat.arm(&quiet.target()).unwrap();
            let name = format!("{round}");
            drop(quiet.bind(&name));
            // The name, or the end of the watch or of the kernel's queue, after which the watcher scans and arms again.
            let is_told = |dirty: &Dirty| dirty.names.contains(OsStr::new(&name));
            wait_until(&hints, |dirty| dirty.everywhere || dirty.overflowed || is_told(dirty));
            hub.give_up(&hub.registry().dismiss(seat.number).0);
        }
    });
    hub.stop();
}

struct Over<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn the_end_of_the_thread_is_told_and_another_takes_its_place() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let mut backend = Inotify::default();
    backend.arm(&quiet.target(), &hints).unwrap();
    let hub = backend.seat.as_ref().unwrap().hub.clone();
    // As if it could not read any more: the sentinel is dropped with the thread.
    hub.break_off();
    wait_until(&hints, |dirty| dirty.lost);
    backend.disarm();
    backend.arm(&quiet.target(), &hints).unwrap();
    let _listener = quiet.bind("a.sock");
    wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a.sock")));
    backend.disarm();
}

#[test]
fn errors_say_what_is_short() {
    assert!(matches!(hub::short(Errno::MFILE), Why::LimitReached { limit } if limit.contains("max_user_instances")));
    assert!(matches!(hub::short(Errno::NOSYS), Why::BackendFailed { .. }));
    let hints = Hints::default();
    let seat = Seat::at(&Hub::start().unwrap(), &hints);
    assert!(matches!(seat.add_watch(Path::new("/nowhere/at/all")), Err(Why::Missing)));
}
