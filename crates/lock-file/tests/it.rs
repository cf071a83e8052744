//! One holder at a time, and files that are not our locks are left alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::{self, File, Permissions},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use lock_file::{Error, Fault, FileKind, Lock};
use rustix::fs::{CWD, FlockOperation, Mode, flock, mkfifoat};
use tempfile::TempDir;
use test_kit::process::as_user;

const NAME: &str = ".a.lock";

struct Scene {
    dir: TempDir,
    open: File,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        Self { dir, open }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn take(&self) -> Result<Lock, Error> {
        Lock::take(&self.open, NAME)
    }

    fn examine(&self) -> Result<Option<Lock>, Error> {
        Lock::examine(&self.open, NAME)
    }
}

#[test]
fn the_second_is_told_who_is_the_first() {
    let scene = Scene::new();
    let lock = scene.take().unwrap();
    for rejected in [scene.take().unwrap_err(), scene.examine().unwrap_err()] {
        assert!(matches!(rejected, Error::Held { pid: Some(pid) } if pid == std::process::id()), "{rejected}");
        assert!(rejected.is_retryable());
    }
    drop(lock);
    drop(scene.take().unwrap());
}

#[test]
fn a_holder_that_has_written_nothing_legible_is_nobody_in_particular() {
    let scene = Scene::new();
    for text in ["", "7", "\u{1b}[2J\n", "-7\n", "99999999999\n", "123456789012345678\n"] {
        fs::write(scene.path(NAME), text).unwrap();
        let holder = File::open(scene.path(NAME)).unwrap();
        flock(&holder, FlockOperation::LockExclusive).unwrap();
        assert!(matches!(scene.take(), Err(Error::Held { pid: None })), "{text:?}");
    }
}

#[test]
fn the_file_stays_and_is_the_same_for_everyone() {
    let scene = Scene::new();
    drop(scene.take().unwrap());
    let first = fs::metadata(scene.path(NAME)).unwrap().ino();
    drop(scene.take().unwrap());
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().ino(), first);
}

#[test]
fn a_lock_that_is_removed_leaves_no_file_and_admits_no_second_holder() {
    let scene = Scene::new();
    let lock = scene.take().unwrap();
    let opened = File::open(scene.path(NAME)).unwrap();
    assert!(lock.remove(&scene.open, NAME).unwrap());
    assert!(!scene.path(NAME).exists());

    // The file that was removed can be locked by a process that opened it before, which excludes no other: `take` does not
    // believe such a lock.
    flock(&opened, FlockOperation::NonBlockingLockExclusive).unwrap();
    let next = scene.take().unwrap();
    assert!(next.has_name(&scene.open, NAME).unwrap());
    assert!(matches!(scene.take(), Err(Error::Held { .. })));

    // What has the name by now is not removed.
    fs::remove_file(scene.path(NAME)).unwrap();
    assert!(!next.has_name(&scene.open, NAME).unwrap());
    let newer = scene.take().unwrap();
    assert!(!next.remove(&scene.open, NAME).unwrap());
    assert!(newer.has_name(&scene.open, NAME).unwrap());
}

/// Every holder removes the file at its end; of many that try, never two hold it.
#[test]
fn of_many_that_take_and_remove_it_never_two_hold_it() {
    let scene = Scene::new();
    let held = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut taken = 0;
                while taken < 300 {
                    match scene.take() {
                        Ok(lock) => {
                            assert!(!held.swap(true, Ordering::SeqCst), "held twice");
                            held.store(false, Ordering::SeqCst);
                            assert!(lock.remove(&scene.open, NAME).unwrap());
                            taken += 1;
                        }
                        Err(Error::Held { .. } | Error::Examined | Error::Contended { .. }) => std::thread::yield_now(),
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    assert!(!scene.path(NAME).exists());
}

#[test]
fn what_root_leaves_in_a_users_directory_does_not_lock_that_user_out() {
    const USER: u32 = 54_321;
    if !rustix::process::geteuid().is_root() {
        skipped("takes root, to be another user");
        return;
    }
    let scene = Scene::new();
    chown(scene.dir.path(), Some(USER), Some(USER)).unwrap();
    let as_user = || as_user(USER, || scene.take().map(drop));

    drop(scene.take().unwrap());
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().uid(), USER, "it is given to the directory's owner");
    as_user().unwrap();
    drop(scene.take().unwrap());

    // As an earlier program or a crash between creating and giving leaves it.
    chown(scene.path(NAME), Some(0), Some(0)).unwrap();
    as_user().unwrap();
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().uid(), USER);

    // What is too long for a lock file may be precious.
    fs::write(scene.path(NAME), "something that root has written").unwrap();
    chown(scene.path(NAME), Some(0), Some(0)).unwrap();
    assert!(matches!(as_user(), Err(Error::Foreign { fault: Fault::Owner(0) })));
    assert_eq!(fs::read_to_string(scene.path(NAME)).unwrap(), "something that root has written");
}

#[test]
fn without_room_for_the_pid_it_is_held_all_the_same() {
    // In a separate process: the limit is the whole process's.
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_may_not_write", "--exact", "--ignored"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_may_not_write() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let scene = Scene::new();
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum }).unwrap();
    let lock = scene.take().unwrap();
    assert!(matches!(scene.take(), Err(Error::Held { pid: None })));
    assert!(lock.remove(&scene.open, NAME).unwrap());
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

#[test]
fn it_is_private_whatever_was_there() {
    let scene = Scene::new();
    fs::write(scene.path(NAME), "a longer text than a process id").unwrap();
    fs::set_permissions(scene.path(NAME), Permissions::from_mode(0o666)).unwrap();
    let _lock = scene.take().unwrap();
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(scene.path(NAME)).unwrap(), format!("{}\n", std::process::id()));
}

#[test]
fn a_child_that_is_being_started_does_not_keep_it() {
    let scene = Scene::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = Command::new("true").stdin(Stdio::null()).status();
                }
            });
        }
        let taken: Vec<_> = (0..200).map(|_| scene.take().map(drop)).collect();
        over.store(true, Ordering::Relaxed);
        for outcome in taken {
            outcome.unwrap();
        }
    });
}

type Prepare = fn(&Path);

/// What may have the name of a lock, and why it is none.
const FOREIGN: [(Prepare, Fault); 4] = [
    (|path| symlink("elsewhere", path).unwrap(), Fault::Kind(FileKind::Symlink)),
    (|path| fs::create_dir(path).unwrap(), Fault::Kind(FileKind::Directory)),
    (|path| drop(UnixListener::bind(path).unwrap()), Fault::Kind(FileKind::Socket)),
    (|path| mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap(), Fault::Kind(FileKind::Fifo)),
];

#[test]
fn a_file_that_is_not_our_lock_is_rejected_and_left_alone() {
    for (prepare, expected) in FOREIGN {
        let scene = Scene::new();
        prepare(&scene.path(NAME));
        let before = fs::symlink_metadata(scene.path(NAME)).unwrap();
        for rejected in [scene.take().unwrap_err(), scene.examine().unwrap_err()] {
            assert!(matches!(rejected, Error::Foreign { fault } if fault == expected), "{expected}: {rejected}");
            assert!(!rejected.is_retryable());
        }
        let after = fs::symlink_metadata(scene.path(NAME)).unwrap();
        assert_eq!((before.ino(), before.mode()), (after.ino(), after.mode()), "{expected}");
        assert!(!scene.path("elsewhere").exists());
    }
}

#[test]
fn a_file_with_two_names_is_rejected_and_not_written_to() {
    let scene = Scene::new();
    fs::write(scene.path("precious"), "text").unwrap();
    fs::set_permissions(scene.path("precious"), Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(scene.path("precious"), scene.path(NAME)).unwrap();
    assert!(matches!(scene.take(), Err(Error::Foreign { fault: Fault::Links })));
    assert_eq!(fs::read_to_string(scene.path("precious")).unwrap(), "text");
    assert_eq!(fs::metadata(scene.path("precious")).unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn another_users_file_is_rejected() {
    const NOBODY: u32 = 65_534;
    let scene = Scene::new();
    let (rejected, owner) = if rustix::process::geteuid().is_root() {
        fs::write(scene.path(NAME), "").unwrap();
        chown(scene.path(NAME), Some(NOBODY), None).unwrap();
        (scene.take(), NOBODY)
    } else {
        (Lock::take(File::open("/etc").unwrap(), "passwd"), 0)
    };
    assert!(matches!(rejected, Err(Error::Foreign { fault: Fault::Owner(uid) }) if uid == owner), "{rejected:?}");
}

#[test]
fn a_lock_that_others_keep_is_examined_and_left_as_it_is() {
    let scene = Scene::new();
    assert!(scene.examine().unwrap().is_none());
    assert!(!scene.path(NAME).exists());
    assert!(Lock::examine(&scene.open, "x".repeat(300)).unwrap().is_none());

    fs::write(scene.path(NAME), "theirs").unwrap();
    fs::set_permissions(scene.path(NAME), Permissions::from_mode(0o644)).unwrap();
    let locks = [scene.examine(), scene.examine()].map(|lock| lock.unwrap().expect("it is there"));
    let rejected = scene.take().unwrap_err();
    assert!(matches!(rejected, Error::Examined) && rejected.is_retryable(), "{rejected}");
    assert_eq!(fs::read_to_string(scene.path(NAME)).unwrap(), "theirs");
    assert_eq!(fs::metadata(scene.path(NAME)).unwrap().mode() & 0o7777, 0o644);
    drop(locks);
    let lock = scene.take().unwrap();
    assert!(matches!(scene.examine(), Err(Error::Held { pid: Some(pid) }) if pid == std::process::id()));
    drop(lock);
}

#[test]
fn of_those_who_examine_a_lock_the_last_one_may_remove_it() {
    let scene = Scene::new();
    fs::write(scene.path(NAME), "").unwrap();
    let [first, second] = [scene.examine(), scene.examine()].map(|lock| lock.unwrap().expect("it is there"));
    let error = first.remove(&scene.open, NAME).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    assert!(scene.path(NAME).exists());
    assert!(second.remove(&scene.open, NAME).unwrap());
    assert!(!scene.path(NAME).exists());

    // One that was examined before it was replaced removes nothing.
    fs::write(scene.path(NAME), "").unwrap();
    let examined = scene.examine().unwrap().expect("it is there");
    fs::remove_file(scene.path(NAME)).unwrap();
    let held = scene.take().unwrap();
    assert!(!examined.remove(&scene.open, NAME).unwrap());
    assert!(held.has_name(&scene.open, NAME).unwrap());
}

/// Root of a user namespace cannot give a file to a user that is not mapped there.
#[test]
fn a_directory_of_a_user_who_is_not_mapped_can_be_locked() {
    const FLAGS: [&str; 2] = ["-U", "-r"];
    if !rustix::process::geteuid().is_root() {
        return skipped("takes root, to give a directory to another user");
    }
    let is_allowed = Command::new("unshare").args(FLAGS).arg("true").stderr(Stdio::null()).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        return skipped("`unshare -U -r` is not allowed");
    }
    let scene = Scene::new();
    chown(scene.dir.path(), Some(60_001), Some(60_001)).unwrap();
    fs::set_permissions(scene.dir.path(), Permissions::from_mode(0o1777)).unwrap();
    let mut command = Command::new("unshare");
    command.args(FLAGS).arg(std::env::current_exe().unwrap()).args(["role_as_root_of_a_user_namespace", "--exact"]);
    let output = command.args(["--ignored", "--nocapture"]).env(DIRECTORY, scene.dir.path()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(!scene.path(NAME).exists());
}

const DIRECTORY: &str = "LOCK_FILE_DIRECTORY";

#[test]
#[ignore = "a role"]
fn role_as_root_of_a_user_namespace() {
    let path = PathBuf::from(std::env::var_os(DIRECTORY).expect("the test that starts it says where"));
    let directory = File::open(&path).unwrap();
    assert!(rustix::process::geteuid().is_root());
    assert_ne!(directory.metadata().unwrap().uid(), 0, "it belongs to a user without an id here");
    let lock = Lock::take(&directory, NAME).unwrap();
    let metadata = path.join(NAME).metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o600), "it could not be given away");
    assert!(matches!(Lock::take(&directory, NAME), Err(Error::Held { .. })));
    assert!(lock.remove(&directory, NAME).unwrap());
}
