//! The backend against the real kernel, and against callbacks that misbehave.

use std::ffi::OsStr;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use tempfile::TempDir;

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

/// A directory whose parent is quiet, which that for temporary files is not.
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
    let mut backend = KernelEvents::default();
    backend.arm(&quiet.target(), &hints).unwrap();
    for round in 0..100 {
        eyes::list(&quiet.dir, |_| true);
        let name = format!("{round}.sock");
        let _listener = quiet.bind(&name);
        // Events come in order: had the listing made one, it would be here before the name.
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
    let mut backend = KernelEvents::default();
    // Held: while they live the kernel does not say that their directory has ended.
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
    let mut control = Control::start_with(Arc::new(Mutex::new(armed.clone())), &hints, |sentinel| Guarded {
        callback: |_| panic!("a callback panics, as this test wants it to"),
        sentinel,
    })
    .unwrap();
    control.arm(&armed).unwrap();
    for round in 0..3 {
        let _listener = quiet.bind(&round.to_string());
        assert!(hints.wait(soon()).overflowed);
        control.arm(&armed).unwrap();
    }
    control.end();
    assert!(!hints.wait(Instant::now()).lost);
}

#[test]
fn the_death_of_notifys_thread_is_noticed_and_harms_nobody() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let armed = quiet.target();
    let mut control = Control::start_with(Arc::new(Mutex::new(armed.clone())), &hints, |sentinel| {
        move |_| {
            let _kept = &sentinel;
            panic!("a callback kills its thread, as this test wants it to");
        }
    })
    .unwrap();
    control.arm(&armed).unwrap();
    let _listener = quiet.bind("a.sock");
    assert!(hints.wait(soon()).lost);
    assert!(matches!(control.arm(&armed), Err(Why::BackendFailed { .. })));
    control.end();
}

#[test]
fn a_directory_that_is_not_there_yet_is_anchored() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("later");
    let hints = Hints::default();
    let mut backend = KernelEvents::default();
    backend.arm(&eyes::resolve(&dir), &hints).unwrap();
    std::fs::create_dir(&dir).unwrap();
    assert!(hints.wait(soon()).everywhere);
    backend.disarm();
}

#[test]
fn the_mark_of_an_overflow_is_seen_although_it_names_nothing() {
    let quiet = Quiet::new();
    let hints = Hints::default();
    let mark = ::notify::Event::new(EventKind::Other).set_flag(::notify::event::Flag::Rescan);
    sort(Ok(mark), &Mutex::new(quiet.target()), &hints);
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
