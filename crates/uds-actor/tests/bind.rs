//! Taking names: nobody else's file is touched, one starter wins, and a crash blocks nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/process.rs"]
mod process;

use std::fs::{self, Permissions};
use std::io::{Read, stdin};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;
use uds_actor::{
    Bind, Connect, Error, FileKind, Listener, Liveness, LockFault, Mode, PathFault, Peer, Withdrawal, probe,
};

use self::process::{Actor, NOBODY, Watchdog, as_nobody, say};

/// A directory of our own, a path in it, and a runtime that owns the sockets.
struct Place {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    _watchdog: Watchdog,
}

impl Place {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { directory: tempfile::tempdir().unwrap(), runtime, _watchdog: Watchdog::start() }
    }

    fn path(&self) -> PathBuf {
        self.beside("x.sock")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn listen(&self, bind: Bind) -> uds_actor::Result<Listener> {
        let _guard = self.runtime.enter();
        bind.listen()
    }

    fn refusal(&self, path: impl Into<PathBuf>) -> Error {
        self.listen(Bind::path(path)).expect_err("a refusal")
    }

    /// Every name in the directory.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

fn leave_stale(path: &Path) {
    drop(StdListener::bind(path).unwrap());
    until_stale(path);
}

/// A process that another test is starting has our sockets too until it becomes another program.
fn until_stale(path: &Path) {
    while probe(path).unwrap() != Liveness::Stale {
        std::thread::yield_now();
    }
}

/// Whether a client reaches this process through `path`.
fn served_by(path: &Path) -> Option<u32> {
    Peer::of(Connect::path(path).connect_blocking().unwrap()).unwrap().pid()
}

// --- what is in the way -------------------------------------------------------------------------------------------

#[test]
fn a_regular_file_is_refused_and_left_alone() {
    let place = Place::new();
    fs::write(place.path(), "precious").unwrap();
    let before = inode(&place.path());
    assert!(matches!(place.refusal(place.path()), Error::NotASocket { kind: FileKind::Regular, .. }));
    assert_eq!((inode(&place.path()), fs::read_to_string(place.path()).unwrap()), (before, "precious".into()));
    assert_eq!(place.names(), ["x.sock"], "nothing is created beside it");
}

#[test]
fn directories_pipes_and_links_are_refused_wherever_they_lead() {
    let place = Place::new();
    fs::create_dir(place.beside("directory")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.beside("pipe"), rustix::fs::Mode::RUSR).unwrap();
    leave_stale(&place.beside("stale"));
    symlink("stale", place.beside("link")).unwrap();
    symlink("nowhere", place.beside("dangling")).unwrap();
    let before = place.names();
    for (name, expected) in [
        ("directory", FileKind::Directory),
        ("pipe", FileKind::Fifo),
        ("link", FileKind::Symlink),
        ("dangling", FileKind::Symlink),
    ] {
        let error = place.refusal(place.beside(name));
        assert!(matches!(&error, Error::NotASocket { kind, .. } if *kind == expected), "{name}: {error}");
    }
    assert_eq!(place.names(), before);
}

#[test]
fn a_live_server_is_not_disturbed() {
    let place = Place::new();
    let server = StdListener::bind(place.path()).unwrap();
    server.set_nonblocking(true).unwrap();
    let before = inode(&place.path());
    for _ in 0..20 {
        let error = place.refusal(place.path());
        assert!(matches!(error, Error::InUse { liveness: Liveness::Live, .. }), "{error}");
        assert!(error.is_retryable());
    }
    assert_eq!(inode(&place.path()), before);
    // Not even a connection of ours reached it.
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
}

#[test]
fn servers_of_every_kind_are_told_apart_from_stale_sockets() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let place = Place::new();

    let _datagrams = UnixDatagram::bind(place.beside("datagrams")).unwrap();
    assert_eq!(probe(place.beside("datagrams")).unwrap(), Liveness::Live);

    let seqpacket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    bind(&seqpacket, &SocketAddrUnix::new(place.beside("seqpacket")).unwrap()).unwrap();
    listen(&seqpacket, 1).unwrap();
    assert_eq!(probe(place.beside("seqpacket")).unwrap(), Liveness::Live);

    let slow = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&slow, &SocketAddrUnix::new(place.beside("slow")).unwrap()).unwrap();
    assert_eq!(probe(place.beside("slow")).unwrap(), Liveness::Bound);
    let error = place.refusal(place.beside("slow"));
    assert!(matches!(error, Error::InUse { liveness: Liveness::Bound, .. }), "{error}");
    listen(&slow, 0).unwrap();
    assert_eq!(probe(place.beside("slow")).unwrap(), Liveness::Live);
    let _waiting = Connect::path(place.beside("slow")).connect_blocking().unwrap();
    assert_eq!(probe(place.beside("slow")).unwrap(), Liveness::Wedged);
    let error = place.refusal(place.beside("slow"));
    assert!(matches!(error, Error::InUse { liveness: Liveness::Wedged, .. }), "{error}");
    drop(slow);
    until_stale(&place.beside("slow"));

    assert!(matches!(probe(place.beside("nothing")), Err(Error::NotThere { .. })));
    fs::write(place.beside("file"), "").unwrap();
    assert!(matches!(probe(place.beside("file")), Err(Error::NotASocket { kind: FileKind::Regular, .. })));
}

#[test]
fn a_stale_socket_is_replaced() {
    let place = Place::new();
    leave_stale(&place.path());
    let listener = place.listen(Bind::path(place.path())).unwrap();
    assert_eq!(served_by(&place.path()), Some(std::process::id()));
    assert_eq!(place.names(), [".x.sock.lock", "x.sock"]);
    assert_eq!(listener.address().to_string(), format!("unix:{}", place.path().display()));
}

// --- directories and paths ----------------------------------------------------------------------------------------

#[test]
fn directories_in_which_others_may_rename_are_refused() {
    let place = Place::new();
    let shared = place.beside("shared");
    fs::create_dir(&shared).unwrap();
    for mode in [0o777, 0o775, 0o722] {
        fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
        let error = place.refusal(shared.join("x.sock"));
        assert!(matches!(&error, Error::SharedDirectory { mode: found, .. } if *found == mode), "{error}");
        assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
    }
    for mode in [0o1777, 0o755, 0o700] {
        fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
        place.listen(Bind::path(shared.join("x.sock"))).unwrap();
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let place = Place::new();
    fs::write(place.beside("file"), "").unwrap();
    for directory in ["nowhere", "file"] {
        let error = place.refusal(place.beside(directory).join("x.sock"));
        assert!(matches!(&error, Error::NoDirectory { directory: named, .. } if named.ends_with(directory)), "{error}");
    }
}

#[test]
fn impossible_paths_are_refused() {
    let place = Place::new();
    assert!(matches!(place.refusal(""), Error::InvalidPath { fault: PathFault::Empty, .. }));
    assert!(matches!(place.refusal(place.beside("a\0b")), Error::InvalidPath { fault: PathFault::Nul, .. }));
    assert!(matches!(place.refusal(place.beside("")), Error::InvalidPath { fault: PathFault::NamesADirectory, .. }));
    assert!(matches!(place.refusal(place.beside(&"n".repeat(250))), Error::PathTooLong { len: 250, max: 249, .. }));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn paths_of_every_length_work() {
    let place = Place::new();
    let beginning = place.beside("").as_os_str().len();
    // Around the 107 bytes of a socket address, for the path and for the longer temporary name, and at the limit.
    for len in (95..=115).map(|len| len - beginning).chain([200, 249]) {
        let path = place.beside(&"n".repeat(len));
        let listener = place.listen(Bind::path(&path)).unwrap();
        assert_eq!(served_by(&path), Some(std::process::id()), "{len}");
        assert!(matches!(place.refusal(&path), Error::Locked { .. }), "{len}");
        drop(listener);
        assert!(!path.exists(), "{len}");
        leave_stale_anywhere(&path);
        drop(place.listen(Bind::path(&path)).unwrap());
    }
    let deep = place.beside(&"directory/".repeat(30));
    fs::create_dir_all(&deep).unwrap();
    let path = deep.join("x.sock");
    let _listener = place.listen(Bind::path(&path)).unwrap();
    assert_eq!(served_by(&path), Some(std::process::id()));
}

/// As [`leave_stale`], for paths longer than a socket address.
fn leave_stale_anywhere(path: &Path) {
    let short = path.with_file_name("s");
    leave_stale(&short);
    fs::rename(short, path).unwrap();
}

#[test]
fn a_relative_path_means_the_working_directory_at_the_time() {
    // In a process of its own: the working directory belongs to all threads.
    Actor::start("child_in_a_directory").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_in_a_directory() {
    let place = Place::new();
    std::env::set_current_dir(place.directory.path()).unwrap();
    let listener = place.listen(Bind::path("x.sock")).unwrap();
    assert_eq!(served_by(Path::new("x.sock")), Some(std::process::id()));
    std::env::set_current_dir("/").unwrap();
    drop(listener);
    assert_eq!(place.names(), [".x.sock.lock"], "it is taken back where it was given");
}

// --- mode and owner -----------------------------------------------------------------------------------------------

#[test]
fn no_other_mode_is_ever_seen_under_the_name() {
    let place = Place::new();
    let path = place.path();
    let mut binder = Actor::start("child_that_listens");
    assert_eq!(binder.ask("umask 022"), "done");
    let stop = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = std::collections::BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                if let Ok(metadata) = path.symlink_metadata() {
                    seen.insert(metadata.mode() & 0o7777);
                }
            }
            seen
        });
        for _ in 0..100 {
            assert_eq!(binder.ask(&format!("bind 660 {}", path.display())), "bound");
            assert_eq!(binder.ask("release"), "done");
        }
        stop.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0o660]);
}

#[test]
fn a_socket_is_private_unless_told_otherwise() {
    let place = Place::new();
    let _listener = place.listen(Bind::path(place.path())).unwrap();
    let metadata = place.path().metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.mode() & 0o7777, 0o600);
    assert_eq!(place.beside(".x.sock.lock").metadata().unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn owner_and_group_are_set_or_the_failure_leaves_nothing() {
    let place = Place::new();
    let bind = Bind::path(place.path()).mode(Mode::GROUP).owner(NOBODY).group(NOBODY);
    if rustix::process::geteuid().is_root() {
        let listener = place.listen(bind).unwrap();
        let metadata = place.path().metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (NOBODY, NOBODY, 0o660));
        drop(listener);
    } else {
        assert!(matches!(place.listen(bind), Err(Error::Bind { doing: "set the owner of", .. })));
    }
    assert_eq!(place.names(), [".x.sock.lock"]);
}

#[test]
fn the_unprivileged_can_do_it_all_and_cannot_give_files_away() {
    let place = Place::new();
    // Where root runs this, nobody gets a directory of its own.
    let home = place.beside("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(place.directory.path(), Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    as_nobody(|| {
        let path = home.join("x.sock");
        let error = place.listen(Bind::path(&path).owner(0)).unwrap_err();
        assert!(matches!(error, Error::Bind { doing: "set the owner of", .. }), "{error}");
        leave_stale(&path);
        let listener = place.listen(Bind::path(&path).mode(Mode::USER_ONLY)).unwrap();
        assert_eq!(served_by(&path), Some(std::process::id()));
        drop(listener);
        assert!(!path.exists());
    });
    if rustix::process::geteuid().is_root() {
        let error = place.refusal(home.join("x.sock"));
        assert!(matches!(error, Error::ForeignLock { fault: LockFault::Owner(NOBODY), .. }), "{error}");
    }
}

// --- the lock -----------------------------------------------------------------------------------------------------

#[test]
fn whoever_holds_the_lock_is_named() {
    let place = Place::new();
    let mut holder = Actor::start("child_that_listens");
    assert_eq!(holder.ask(&format!("bind 600 {}", place.path().display())), "bound");
    let error = place.refusal(place.path());
    let text = error.to_string();
    assert!(matches!(error, Error::Locked { pid: Some(pid), .. } if pid == holder.pid()), "{text}");
    assert!(text.contains(&format!("process {}", holder.pid())), "{text}");
    assert_eq!(served_by(&place.path()), Some(holder.pid()));
}

#[test]
fn a_lock_that_is_not_ours_is_not_used() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");

    fs::write(&lock, "").unwrap();
    fs::hard_link(&lock, place.beside("other")).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::ForeignLock { fault: LockFault::Links, .. }));
    fs::remove_file(&lock).unwrap();

    symlink("other", &lock).unwrap();
    assert!(matches!(
        place.refusal(place.path()),
        Error::ForeignLock { fault: LockFault::Kind(FileKind::Symlink), .. }
    ));
    fs::remove_file(&lock).unwrap();

    fs::create_dir(&lock).unwrap();
    assert!(matches!(
        place.refusal(place.path()),
        Error::ForeignLock { fault: LockFault::Kind(FileKind::Directory), .. }
    ));
    fs::remove_dir(&lock).unwrap();

    rustix::fs::mkfifoat(rustix::fs::CWD, &lock, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::ForeignLock { fault: LockFault::Kind(FileKind::Fifo), .. }));
    fs::remove_file(&lock).unwrap();

    // Too open: somebody who can read it could hold it. It is ours, so it is put right.
    fs::write(&lock, "no number").unwrap();
    fs::set_permissions(&lock, Permissions::from_mode(0o666)).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    assert_eq!(lock.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&lock).unwrap(), format!("{}\n", std::process::id()));
    drop(listener);

    // Held, and nothing legible in it.
    fs::write(&lock, "\u{1b}[2J").unwrap();
    let holder = fs::File::open(&lock).unwrap();
    flock(&holder, FlockOperation::LockExclusive).unwrap();
    assert!(matches!(place.refusal(place.path()), Error::Locked { pid: None, .. }));
}

#[test]
fn the_lock_stays_and_is_free_when_the_listener_is_gone() {
    let place = Place::new();
    let lock = place.beside(".x.sock.lock");
    drop(place.listen(Bind::path(place.path())).unwrap());
    let first = inode(&lock);
    let draining = place.listen(Bind::path(place.path())).unwrap().into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::Removed));
    assert!(!place.path().exists());
    assert!(matches!(place.refusal(place.path()), Error::Locked { .. }), "draining still holds it");
    drop(draining);
    drop(place.listen(Bind::path(place.path())).unwrap());
    assert_eq!(inode(&lock), first);
}

// --- races and crashes --------------------------------------------------------------------------------------------

#[test]
fn of_many_processes_over_one_stale_file_exactly_one_wins() {
    let place = Place::new();
    let path = place.path();
    let mut starters: Vec<_> = (0..4).map(|_| Actor::start("child_that_listens")).collect();
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
        let mut owner = Actor::start("child_that_listens");
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

// --- taking the name back -----------------------------------------------------------------------------------------

#[test]
fn a_replacement_by_somebody_else_stays() {
    let place = Place::new();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    let successor = StdListener::bind(place.path()).unwrap();
    let theirs = inode(&place.path());
    let draining = listener.into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::Replaced), "{:?}", draining.withdrawal());
    drop(draining);
    assert_eq!(inode(&place.path()), theirs);
    drop(successor);

    fs::remove_file(place.path()).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "precious").unwrap();
    drop(listener);
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "precious");

    fs::remove_file(place.path()).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(listener.into_draining().withdrawal(), Withdrawal::Missing));
}

#[test]
fn a_directory_that_moved_keeps_its_socket_findable_for_removal() {
    let place = Place::new();
    let (old, new) = (place.beside("old"), place.beside("new"));
    fs::create_dir(&old).unwrap();
    let listener = place.listen(Bind::path(old.join("x.sock"))).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    fs::write(old.join("x.sock"), "precious").unwrap();
    drop(listener);
    assert!(!new.join("x.sock").exists());
    assert_eq!(fs::read_to_string(old.join("x.sock")).unwrap(), "precious");
}

// --- other addresses ----------------------------------------------------------------------------------------------

#[test]
fn abstract_names_are_taken_once_and_have_no_file() {
    let place = Place::new();
    let name = format!("uds-actor test {}", std::process::id());
    let mut listener = place.listen(Bind::abstract_name(&*name)).unwrap();
    assert_eq!(listener.address().to_string(), format!("unix:@{name}"));
    let error = place.listen(Bind::abstract_name(&*name)).unwrap_err();
    assert!(matches!(&error, Error::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse), "{error}");

    let client = Connect::abstract_name(&*name).connect_blocking().unwrap();
    let (_, peer) = place.runtime.block_on(listener.accept()).unwrap();
    assert_eq!(peer.pid(), Some(std::process::id()));
    drop(client);
    let draining = listener.into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::NoName));
    let error = Connect::abstract_name(&*name).connect_blocking().unwrap_err();
    assert!(matches!(error, Error::NobodyListening { .. }), "{error}");

    assert!(matches!(place.listen(Bind::abstract_name("")), Err(Error::InvalidAbstractName { len: 0, .. })));
    assert!(matches!(place.listen(Bind::abstract_name(&*name).mode(Mode::GROUP)), Err(Error::NoFile { .. })));
    assert!(matches!(place.listen(Bind::systemd("in").owner(0)), Err(Error::NoFile { .. })));
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_left_as_it_was() {
    let place = Place::new();
    let manager = StdListener::bind(place.path()).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o640)).unwrap();
    let before = place.path().metadata().unwrap();
    let file = fs::File::options().append(true).create(true).open(place.beside("file")).unwrap();

    let mut served = Connect::path(place.path()).connect_blocking().unwrap();
    let mut service =
        Actor::activate("child_that_is_activated", manager.try_clone().unwrap().into(), file.into(), "in:file");
    let mut text = String::new();
    served.read_to_string(&mut text).unwrap();
    assert_eq!(text, "served");
    let _next = Connect::path(place.path()).connect_blocking().unwrap();
    assert_eq!(service.hear(), "drained");
    service.passes();

    let after = place.path().metadata().unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
    // The connection that came too late for that instance is there for the next.
    manager.set_nonblocking(true).unwrap();
    manager.accept().unwrap();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_is_activated() {
    let place = Place::new();
    if std::env::var_os("LISTEN_PID").is_none() {
        assert!(matches!(place.listen(Bind::systemd("in")), Err(Error::NotPassed { .. })));
        return;
    }
    let error = place.listen(Bind::systemd("other")).unwrap_err();
    assert!(matches!(&error, Error::NotPassed { passed, .. } if *passed == ["in", "file"]), "{error}");
    let error = place.listen(Bind::systemd("file")).unwrap_err();
    assert!(matches!(error, Error::NotAListener { fd: 4, .. }), "{error}");

    let mut listener = place.listen(Bind::systemd("in")).unwrap();
    for fd in [3, 4] {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        assert_ne!(u32::from_str_radix(&flags, 8).unwrap() & 0o2_000_000, 0, "closed on exec: {flags}");
    }
    assert_eq!(std::env::var("LISTEN_FDNAMES").unwrap(), "in:file", "the environment is left alone");
    place.runtime.block_on(async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"served").await.unwrap();
        drop(stream);
        let mut draining = listener.into_draining();
        assert!(matches!(draining.withdrawal(), Withdrawal::NoName));
        assert!(draining.accept().await.unwrap().is_none());
    });
    say("drained");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_socket() {
    let place = Place::new();
    assert!(matches!(Bind::path(place.path()).listen(), Err(Error::NoRuntime)));
    assert_eq!(place.names(), [""; 0]);
}

// --- a process to race with ---------------------------------------------------------------------------------------

#[test]
#[ignore = "a process that other tests start"]
fn child_that_listens() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let mut held = None;
    for line in stdin().lines().map_while(Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("bind", rest) => {
                let (mode, path) = rest.split_once(' ').unwrap();
                match Bind::path(path).mode(mode.parse().unwrap()).listen() {
                    Ok(listener) => {
                        held = Some(listener);
                        say("bound");
                    }
                    Err(error) => say(format!("{error:?}")),
                }
            }
            ("release", _) => {
                drop(held.take());
                say("done");
            }
            ("umask", mask) => {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(u32::from_str_radix(mask, 8).unwrap()));
                say("done");
            }
            other => panic!("{other:?}"),
        }
    }
}
