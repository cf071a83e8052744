//! Only what is proven stale goes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fs_watch::directory::{Fate, Kept, LockFate, Sweep, Swept};
use fs_watch::{Owner, Verdict};
use rustix::fs::{FlockOperation, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use socket_file::names;

use crate::housekeeping::Scene;
use crate::housekeeping::other::Other;

/// What has just been made is old enough.
fn sweep() -> Sweep {
    Sweep::default().min_age(Duration::ZERO).without_grace()
}

#[track_caller]
fn fate<'a>(swept: &'a Swept, name: &str) -> &'a Fate {
    let finding = swept.findings.iter().find(|finding| finding.path.ends_with(name));
    &finding.unwrap_or_else(|| panic!("no {name}: {swept:?}")).fate
}

/// Ends the other thread also when this one panics.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn of(kind: SocketType, path: &Path) -> OwnedFd {
    let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

#[test]
fn the_stale_go_and_everything_else_stays() {
    let scene = Scene::new();
    let killed = Other::start("listen", &scene.path("killed"));
    let living = Other::start("listen", &scene.path("living"));
    killed.kill();
    scene.leave("closed");
    drop(UnixDatagram::bind(scene.path("datagrams-closed")).unwrap());
    scene.wait_until_left("datagrams-closed");
    let _mine = scene.listen("mine");
    let _bound = of(SocketType::STREAM, &scene.path("bound"));
    let _datagrams = of(SocketType::DGRAM, &scene.path("datagrams"));
    // A datagram socket to which a client has connected is a connected one in the kernel's table.
    let _receiver = of(SocketType::DGRAM, &scene.path("receiver"));
    let sender = UnixDatagram::bind(scene.path("sender")).unwrap();
    sender.connect(scene.path("receiver")).unwrap();
    let packets = of(SocketType::SEQPACKET, &scene.path("packets"));
    listen(&packets, 1).unwrap();
    let full = of(SocketType::STREAM, &scene.path("full"));
    listen(&full, 0).unwrap();
    let _waiting = UnixStream::connect(scene.path("full")).unwrap();
    scene.leave(".hidden");
    fs::write(scene.path("file.sock"), "precious").unwrap();
    fs::create_dir(scene.path("directory.sock")).unwrap();
    scene.leave(".target");
    symlink(".target", scene.path("link.sock")).unwrap();

    let before = scene.names();
    let dry = sweep().dry_run(true).run(scene.dir()).unwrap();
    assert_eq!(scene.names(), before, "a dry run removes nothing and leaves nothing");
    let swept = sweep().run(scene.dir()).unwrap();
    assert_eq!((dry.removed(), swept.removed()), (0, 3));
    for name in ["killed", "closed", "datagrams-closed"] {
        assert!(matches!(fate(&dry, name), Fate::WouldBeRemoved), "{name}: {dry:?}");
        assert!(matches!(fate(&swept, name), Fate::Removed), "{name}: {swept:?}");
    }
    for name in ["living", "mine", "bound", "datagrams", "receiver", "sender", "packets", "full"] {
        assert!(matches!(fate(&swept, name), Fate::Kept(Kept::InUse)), "{name}: {swept:?}");
    }
    let gone = ["closed", "datagrams-closed", "killed"];
    let rest: Vec<_> = before.into_iter().filter(|name| !gone.contains(&&**name)).collect();
    assert_eq!(scene.names(), rest);
    assert_eq!(swept.findings.len(), 11, "each socket once, and nothing else: {swept:?}");
    drop(living);
}

#[test]
fn the_young_stay_and_nobody_connects_to_them() {
    let scene = Scene::new();
    scene.leave("young");
    let swept = Sweep::default().run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "young"), Fate::Kept(Kept::Young(age)) if age.as_secs() < 60), "{swept:?}");
    assert_eq!(swept.findings[0].liveness.verdict, Verdict::Unknown);
    // A clock that was set back does not make it old.
    assert!(scene.path("young").exists());
}

#[test]
fn whoever_holds_the_lock_of_uds_actor_is_left_alone() {
    let scene = Scene::new();
    for name in ["held", "free"] {
        scene.leave(name);
        fs::write(scene.path(format!(".{name}.lock")), "4711\n").unwrap();
    }
    let lock = fs::File::open(scene.path(".held.lock")).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let swept = sweep().run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "held"), Fate::Kept(Kept::Locked(Some(4711)))), "{swept:?}");
    assert!(matches!(fate(&swept, "free"), Fate::Removed), "{swept:?}");
    assert_eq!(scene.names(), [".held.lock", "held"]);
    let fates: Vec<_> =
        swept.locks.iter().map(|lock| (lock.path.file_name().unwrap().to_owned(), &lock.fate)).collect();
    assert!(matches!(&fates[..], [(_, LockFate::Removed), (_, LockFate::Held(Some(4711)))]), "{fates:?}");
}

#[test]
fn lock_files_that_no_process_holds_go_and_what_others_call_a_lock_stays() {
    let scene = Scene::new();
    for (name, content) in [(".a.lock", "4711\n"), (".b.lock", ""), (".c.lock", "held by hand"), ("d.lock", "")] {
        fs::write(scene.path(name), content).unwrap();
    }
    symlink(".c.lock", scene.path(".e.lock")).unwrap();
    fs::hard_link(scene.path(".c.lock"), scene.path(".f.lock")).unwrap();
    let before = scene.names();
    // One that has only just been made may be about to be locked.
    let swept = Sweep::default().run(scene.dir()).unwrap();
    assert!(
        swept.locks.len() == 2 && swept.locks.iter().all(|lock| matches!(lock.fate, LockFate::Young(_))),
        "{swept:?}"
    );
    let swept = sweep().dry_run(true).run(scene.dir()).unwrap();
    assert!(swept.locks.iter().all(|lock| matches!(lock.fate, LockFate::WouldBeRemoved)), "{swept:?}");
    let own = rustix::process::geteuid().as_raw();
    let swept = sweep().owner(Owner::Uid(own + 1)).run(scene.dir()).unwrap();
    assert!(swept.locks.iter().all(|lock| matches!(lock.fate, LockFate::Foreign(uid) if uid == own)), "{swept:?}");
    assert_eq!(scene.names(), before);
    let swept = sweep().run(scene.dir()).unwrap();
    assert!(
        swept.locks.len() == 2 && swept.locks.iter().all(|lock| matches!(lock.fate, LockFate::Removed)),
        "{swept:?}"
    );
    assert_eq!(scene.names(), [".c.lock", ".e.lock", ".f.lock", "d.lock"]);
}

/// Takes a lock again and again, as starters do, while sweeps remove it: never do two hold it.
#[test]
fn a_lock_is_never_swept_from_under_its_holder() {
    let scene = Scene::new();
    let over = AtomicBool::new(false);
    let holders = AtomicUsize::new(0);
    let (taken, removed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let dir = fs::File::open(scene.dir()).unwrap();
                while !over.load(Ordering::Relaxed) {
                    // Another starter or the sweep has it.
                    let Ok(lock) = lock_file::Lock::take(&dir, ".a.sock.lock") else { continue };
                    assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0, "two hold one lock");
                    taken.fetch_add(1, Ordering::Relaxed);
                    holders.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                    // Or the sweep would never find it free.
                    std::thread::sleep(Duration::from_micros(100));
                }
            });
        }
        let _over = SetWhenDropped(&over);
        let began = Instant::now();
        let is_enough = || removed.load(Ordering::Relaxed) > 20 && taken.load(Ordering::Relaxed) > 20;
        while !is_enough() && began.elapsed() < Duration::from_secs(30) {
            let swept = sweep().run(scene.dir()).unwrap();
            let gone = swept.locks.iter().filter(|lock| matches!(lock.fate, LockFate::Removed)).count();
            removed.fetch_add(gone, Ordering::Relaxed);
        }
        assert!(is_enough(), "{taken:?} {removed:?}");
    });
}

#[test]
fn whatever_is_said_a_file_stays_for_two_seconds() {
    let scene = Scene::new();
    scene.leave("left");
    let swept = Sweep::default().min_age(Duration::ZERO).run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "left"), Fate::Kept(Kept::Young(age)) if age.as_secs() < 2), "{swept:?}");
    // As one that is just inside `bind`, on a machine that stands still meanwhile.
    let old = fs::symlink_metadata(scene.path("left")).unwrap().created().unwrap() + Duration::from_secs(2);
    while SystemTime::now() < old {
        std::thread::sleep(Duration::from_millis(50));
    }
    let swept = Sweep::default().min_age(Duration::ZERO).run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "left"), Fate::Removed), "{swept:?}");
}

#[test]
fn a_lock_that_is_none_proves_nothing() {
    let scene = Scene::new();
    for name in ["directory", "link", "pipe"] {
        scene.leave(name);
    }
    fs::create_dir(scene.path(".directory.lock")).unwrap();
    symlink("/dev/null", scene.path(".link.lock")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(scene.path(".pipe.lock")).status().unwrap().success());
    let swept = sweep().run(scene.dir()).unwrap();
    assert_eq!(swept.removed(), 0, "{swept:?}");
    assert!(swept.findings.iter().all(|finding| matches!(finding.fate, Fate::Kept(Kept::Unproven(_)))), "{swept:?}");
}

#[test]
fn sockets_of_others_stay_unless_asked_for() {
    let scene = Scene::new();
    scene.leave("a");
    let own = fs::symlink_metadata(scene.path("a")).unwrap().uid();
    let swept = sweep().owner(Owner::Uid(own + 1)).run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "a"), Fate::Kept(Kept::Foreign(uid)) if *uid == own), "{swept:?}");
    let swept = sweep().owner(Owner::Anybody).run(scene.dir()).unwrap();
    assert!(matches!(fate(&swept, "a"), Fate::Removed), "{swept:?}");
}

#[test]
fn what_a_killed_sweep_left_goes_with_the_next() {
    let scene = Scene::new();
    let _live = scene.listen(".fs-watch.swept-1-live");
    // In a container the next sweep has the same pid.
    let names: Vec<_> = (0..3).map(|number| format!(".fs-watch.swept-{}-{number}", std::process::id())).collect();
    for name in &names {
        scene.leave(name);
    }
    // Another sweep may be examining it at this moment.
    let swept = Sweep::default().run(scene.dir()).unwrap();
    assert!(names.iter().all(|name| matches!(fate(&swept, name), Fate::Kept(Kept::Young(_)))), "{swept:?}");
    let swept = sweep().run(scene.dir()).unwrap();
    assert_eq!(swept.removed(), names.len(), "{swept:?}");
    assert_eq!(scene.names(), [".fs-watch.swept-1-live"]);
}

/// A server that is killed while it takes its name may leave the stale socket that was there under a name aside.
#[test]
fn what_a_killed_starter_left_goes_by_the_same_proof_as_others() {
    let scene = Scene::new();
    let directory = fs::File::open(scene.dir()).unwrap();
    for name in ["x.sock".to_owned(), "n".repeat(40), "n".repeat(41), "n".repeat(200)] {
        let name_of = |of: fn(&OsStr) -> OsString| of(OsStr::new(&name)).into_string().unwrap();
        let lock = name_of(names::lock_name);
        for aside in [names::aside_name as fn(&OsStr) -> OsString, names::second_aside_name].map(name_of) {
            scene.leave(&aside);
            let swept = Sweep::default().run(scene.dir()).unwrap();
            assert!(matches!(fate(&swept, &aside), Fate::Kept(Kept::Young(_))), "{swept:?}");
            // The next starter may be at work.
            let held = lock_file::Lock::take(&directory, &lock).unwrap();
            let swept = sweep().run(scene.dir()).unwrap();
            let pid = std::process::id();
            assert!(
                matches!(fate(&swept, &aside), Fate::Kept(Kept::Locked(Some(holder))) if *holder == pid),
                "{swept:?}"
            );
            held.remove(&directory, &lock).unwrap();
            let swept = sweep().dry_run(true).run(scene.dir()).unwrap();
            assert!(matches!(fate(&swept, &aside), Fate::WouldBeRemoved), "{swept:?}");
            let swept = sweep().run(scene.dir()).unwrap();
            assert!(matches!(fate(&swept, &aside), Fate::Removed), "{swept:?}");
            assert_eq!(scene.names(), [""; 0]);

            let _live = scene.listen(&aside);
            let swept = sweep().run(scene.dir()).unwrap();
            assert!(matches!(fate(&swept, &aside), Fate::Kept(Kept::InUse)), "{swept:?}");
            fs::remove_file(scene.path(&aside)).unwrap();
        }
    }
    // Other dot-files are none of its business.
    for other in [".x.sock", ".x.sock.new", ".old", &format!(".{}.old", "n".repeat(41))] {
        scene.leave(other);
    }
    assert_eq!(sweep().run(scene.dir()).unwrap().findings.len(), 0);
    assert_eq!(scene.names().len(), 4);
}

#[test]
fn a_sweep_killed_at_any_moment_harms_nobody_and_leaves_nothing_for_long() {
    let scene = Scene::new();
    let live: Vec<_> = (0..5).map(|number| scene.listen(format!("live-{number}"))).collect();
    for round in 0..20 {
        for number in 0..200 {
            drop(scene.listen(number.to_string()));
        }
        let other = Other::start("sweep", scene.dir());
        let until = Instant::now() + Duration::from_micros(700 * round);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        other.kill();
        let aside = scene.names().into_iter().filter(|name| name.starts_with('.')).count();
        assert!(aside <= 1, "round {round}: {:?}", scene.names());
        while sweep().run(scene.dir()).unwrap().findings.len() > live.len() {}
        assert_eq!(scene.names(), ["live-0", "live-1", "live-2", "live-3", "live-4"], "round {round}");
    }
}

#[test]
fn names_may_be_any_bytes_and_as_long_as_names_can_be() {
    let scene = Scene::new();
    let names = [&b"new\nline"[..], b"\xff\xfe", b" ", b"-rf"];
    for name in names {
        scene.leave(OsStr::from_bytes(name));
    }
    scene.leave("x");
    fs::rename(scene.path("x"), scene.path("n".repeat(255))).unwrap();
    assert_eq!(sweep().run(scene.dir()).unwrap().removed(), names.len() + 1);
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn a_directory_with_a_path_longer_than_an_address_is_swept() {
    let scene = Scene::new();
    scene.leave("x");
    let deep = scene.path("d".repeat(200));
    fs::create_dir(&deep).unwrap();
    fs::rename(scene.path("x"), deep.join("x")).unwrap();
    assert_eq!(sweep().run(&deep).unwrap().removed(), 1);
    assert!(fs::read_dir(&deep).unwrap().next().is_none());
}

#[test]
fn many_are_swept_at_once() {
    let scene = Scene::new();
    for number in 0..2000 {
        drop(scene.listen(number.to_string()));
    }
    scene.wait_until_all_left((0..2000).map(|number| number.to_string()));
    let _live: Vec<_> = (0..100).map(|number| scene.listen(format!("live-{number}"))).collect();
    let swept = sweep().run(scene.dir()).unwrap();
    assert_eq!((swept.removed(), swept.findings.len()), (2000, 2100));
    assert_eq!(scene.names().len(), 100);
}

/// Servers start without pause under a name with a stale socket, each by a `rename` over it. No sweep harms one.
#[test]
fn a_server_that_takes_the_name_meanwhile_is_never_lost() {
    let scene = Scene::new();
    let path = scene.path("a.sock");
    let over = AtomicBool::new(false);
    let removed = AtomicUsize::new(0);
    let mut rounds = 0;
    let mut harmed = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                removed.fetch_add(sweep().run(scene.dir()).unwrap().removed(), Ordering::Relaxed);
            }
        });
        let _over = SetWhenDropped(&over);
        let began = Instant::now();
        // Until both have run, even on a slow machine.
        let is_enough =
            |rounds| began.elapsed() >= Duration::from_secs(3) && rounds > 10 && removed.load(Ordering::Relaxed) > 0;
        while !is_enough(rounds) && began.elapsed() < Duration::from_secs(30) {
            rounds += 1;
            let _ = fs::remove_file(&path);
            drop(scene.listen("a.sock"));
            let server = scene.listen(".fresh");
            let inode = fs::symlink_metadata(scene.path(".fresh")).unwrap().ino();
            fs::rename(scene.path(".fresh"), &path).unwrap();
            // It may be looked at aside for a moment, and is back then.
            let back = Instant::now() + Duration::from_secs(20);
            let mut turns = 0;
            while turns < 20 {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.ino() == inode => turns += 1,
                    _ if Instant::now() > back => {
                        harmed += 1;
                        break;
                    }
                    _ => {}
                }
            }
            drop(server);
        }
    });
    let removed = removed.into_inner();
    assert_eq!(harmed, 0, "live servers have lost their name");
    assert!(removed > 0 && rounds > 10, "{removed} of {rounds}");
    assert!(scene.names().iter().all(|name| name == "a.sock"), "{:?}", scene.names());
}

#[test]
fn a_directory_that_may_not_be_written_to_is_left_as_it_is() {
    let scene = Scene::new();
    scene.leave("stale");
    fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o500)).unwrap();
    let swept = sweep().run(scene.dir()).unwrap();
    // Root may write there anyway.
    let is_root = rustix::process::geteuid().is_root();
    match fate(&swept, "stale") {
        Fate::Removed => assert!(is_root),
        Fate::Kept(Kept::Failed(_)) => assert!(!is_root),
        other => panic!("{other:?}"),
    }
    fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o700)).unwrap();
}
