//! Real sockets in real directories: on the disk's filesystem and on tmpfs, with the kernel's events and with polling
//! alone. The promise is the same everywhere; only the delay differs.
//!
//! Watchers of directories are known to fall into fifteen traps. Each has its test:
//!
//! | trap | tests |
//! |---|---|
//! | 1 arming, scanning, torn scans | `sockets::a_listing_torn_by_renames_removes_nobody_else`, `scripted::a_directory_replaced_between_arming_and_listing_is_armed_again`, `permissions.rs` `a_name_that_was_hinted_at_is_found_although_the_listing_lacks_it` |
//! | 2 callback and control wait for each other | `cycles::trap_02_…`, `flow::a_consumer_that_sleeps_while_the_directory_is_remade_hangs_nobody`, `backend/notify/tests.rs` `a_hub_that_does_not_answer_is_left_behind_by_all` |
//! | 3 a dead backend | `faults::trap_03_…` (around either source, for polling has no thread of its own that could die), `backend/notify/tests.rs` `a_callback_that_panics_is_survived`, `the_death_of_notifys_thread_is_noticed_and_harms_nobody`; `scripted::a_lost_backend_is_replaced_and_the_gap_is_mended` |
//! | 4 overflow | `overflow::trap_04_…` (polling has no queue: the end state alone), `backend/notify/tests.rs` `trap_04_…`, `scripted::an_overflow_causes_one_full_scan_and_one_resync` |
//! | 5 `bind` before `listen` | `liveness::trap_05_…` |
//! | 6 stale, live or unknown | `liveness::trap_06_…`, `socket-file/src/knock.rs` `every_condition_has_its_answer`, `liveness`, `permissions.rs` and `namespaces.rs` `trap_06_…`, `deaths.rs` |
//! | 7 replacement without removal | `cycles::trap_07_…`, `sockets::a_socket_renamed_over_another_replaces_it` |
//! | 8 the directory deleted while sockets live | `cycles::trap_08_…` |
//! | 9 the path leads elsewhere | `directory`, `namespaces.rs` `trap_09_…` |
//! | 10 renames are neither creation nor removal | `sockets::a_socket_renamed_…`, `model` |
//! | 11 an event is not a state | `model`, `sockets::what_is_no_socket_is_ignored`, `sockets::a_name_need_not_be_utf8` |
//! | 12 events of our own making | `idle.rs` `trap_12_…`, `backend/inotify/tests.rs` and `backend/notify/tests.rs` `a_bind_is_hinted_at_and_our_own_listing_is_not` |
//! | 13 failure taken for emptiness | `permissions.rs` `trap_13_…`, `exhausted.rs`, `directory::a_path_that_cannot_be_followed_removes_nothing` |
//! | 14 handlers' lives | `handlers::trap_14_…`, `attach.rs`, `src/attach/schedule/tests.rs`, `cancel.rs` `next_tells_all_news_once`; `flow::a_watcher_can_be_dropped_at_any_time`, `shutdown.rs` |
//! | 15 filesystems that lie, limits | every test here by polling, `faults::trap_15_…`, `socket-file/src/filesystem.rs`, `scripted::a_backend_that_cannot_arm_leaves_a_watcher_that_looks_often`, `permissions.rs` `trap_15_…`, `shutdown.rs` |
//!
//! Each test here runs in all four settings, except `scripted`, where the test itself is the source of hints, and the
//! simple interface in `flow`. The tests named above of `permissions.rs`, `namespaces.rs`, `exhausted.rs` and `idle.rs`
//! go through the four by themselves: what they need (root, a mount, all descriptors, all threads of the process) a
//! program has once. `backend/notify/tests.rs` is about the kernel's events, of which polling has none.
//!
//! Hangs of other watchers: `cycles::trap_02_…` (a bounded channel, and `watch` by its consumer),
//! `flow::a_waiting_watcher_lets_other_tasks_run` (a blocking receive in a runtime of one thread),
//! `flow::a_runtime_can_end_while_a_watcher_waits` (a blocking receive in the runtime's pool).

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::future::Future;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_watch::backend::Polling;
use fs_watch::{Builder, Probing, Watcher};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

mod cycles;
mod directory;
mod faults;
mod flow;
#[cfg(feature = "tokio")]
mod handlers;
mod liveness;
mod mirror;
mod model;
mod overflow;
mod scripted;
mod sockets;

/// A test that takes longer hangs; some have much to do.
const LIMIT: Duration = Duration::from_secs(400);

/// Nothing that is waited for takes so long.
const SOON: Duration = Duration::from_secs(30);

/// So long that it has no effect: whatever is seen with it is seen because of events.
const NEVER: Duration = Duration::from_secs(86_400);

/// How often to scan without hints.
const EVERY: Duration = Duration::from_millis(5);

/// Some tests hold a thousand sockets, and in one process there may be several at a time.
fn raise_the_limit_of_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Some(8_192).min(limit.maximum.or(Some(8_192)));
    if limit.current < wanted && limit.current.is_some() {
        setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit }).unwrap();
    }
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Disk,
    Memory,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Events,
    Polling,
}

/// A place for one test.
struct Rig {
    root: TempDir,
    source: Source,
}

impl Rig {
    fn new(place: Place, source: Source) -> Option<Self> {
        raise_the_limit_of_descriptors();
        let base = match place {
            Place::Disk => std::env::temp_dir(),
            Place::Memory => PathBuf::from("/dev/shm"),
        };
        if !base.is_dir() {
            assert!(std::env::var_os("CI").is_none(), "{base:?} must be there under CI");
            eprintln!("SKIPPED: there is no {base:?}");
            return None;
        }
        let root = tempfile::tempdir_in(base).unwrap();
        std::fs::create_dir(root.path().join("sockets")).unwrap();
        Some(Self { root, source })
    }

    /// The directory to watch.
    fn dir(&self) -> PathBuf {
        self.beside("sockets")
    }

    /// Something beside that directory.
    fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A name in that directory.
    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    fn bind(&self, name: &str) -> UnixListener {
        UnixListener::bind(self.path(name)).unwrap()
    }

    fn is_polled(&self) -> bool {
        matches!(self.source, Source::Polling)
    }

    fn builder(&self) -> Builder {
        self.builder_for(&self.dir())
    }

    fn builder_for(&self, dir: &Path) -> Builder {
        self.source.builder(dir)
    }
}

impl Source {
    fn builder(self, dir: &Path) -> Builder {
        // Most tests are about files, and leave stale sockets behind.
        let builder = Watcher::builder(dir).safety_interval(NEVER).probing(Probing::Off);
        match self {
            Self::Events => builder,
            Self::Polling => builder.backend(Polling::every(EVERY)),
        }
    }
}

async fn bounded<F: Future<Output = ()>>(place: Place, source: Source, test: impl FnOnce(Rig) -> F) {
    if let Some(rig) = Rig::new(place, source) {
        tokio::time::timeout(LIMIT, test(rig)).await.expect("the test hangs");
    }
}

/// Runs each test in all four circumstances.
macro_rules! everywhere {
    ($($test:ident),+ $(,)?) => { $(
        mod $test {
            use crate::real::{Place, Source, bounded};

            #[tokio::test]
            async fn on_disk_by_events() {
                bounded(Place::Disk, Source::Events, super::$test).await;
            }

            #[tokio::test]
            async fn on_disk_by_polling() {
                bounded(Place::Disk, Source::Polling, super::$test).await;
            }

            #[tokio::test]
            async fn in_memory_by_events() {
                bounded(Place::Memory, Source::Events, super::$test).await;
            }

            #[tokio::test]
            async fn in_memory_by_polling() {
                bounded(Place::Memory, Source::Polling, super::$test).await;
            }
        }
    )+ };
}
use everywhere;
