//! Real sockets in real directories: on the disk's filesystem and on tmpfs, with the kernel's events and
//! with polling alone. The promise is the same everywhere; only how soon differs.

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::future::Future;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_watch::backend::Polling;
use fs_watch::{Builder, Probing, Watcher};
use tempfile::TempDir;

mod directory;
mod flow;
mod liveness;
mod mirror;
mod model;
mod scripted;
mod sockets;

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// So far away that it plays no part: what is seen with it is seen by events.
const NEVER: Duration = Duration::from_secs(86_400);

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

    fn builder(&self) -> Builder {
        self.builder_for(&self.dir())
    }

    fn builder_for(&self, dir: &Path) -> Builder {
        // Most tests are about files, and leave sockets behind that nobody serves.
        let builder = Watcher::builder(dir).safety_interval(NEVER).probing(Probing::Off);
        match self.source {
            Source::Events => builder,
            Source::Polling => builder.backend(Polling::every(Duration::from_millis(5))),
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
            use crate::{Place, Source, bounded};

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
