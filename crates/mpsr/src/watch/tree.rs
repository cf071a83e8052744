//! A directory and those below it, each with its own watcher, as one stream of events.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_watch::{Builder, Error};
use futures_util::{
    StreamExt as _,
    stream::{SelectAll, select_all},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{
    branch::{Branch, News},
    told::Told,
};
use crate::output::note;

/// How often to scan for new directories. Watchers report only sockets.
const SCAN: Duration = Duration::from_secs(1);

/// The maximum number of directories. Each takes a thread.
const MOST: usize = 256;

/// The maximum depth below the directory.
const DEPTH: usize = 32;

/// After which time to try a directory again that could not be watched: at first, and at most.
const RETRY: (Duration, Duration) = (SCAN, Duration::from_secs(64));

type Build = Box<dyn Fn(&Path) -> Builder + Send>;

/// A directory that could not be watched.
#[derive(Clone, Copy)]
struct Failed {
    again: Instant,
    delay: Duration,
}

/// The watchers, and the directories that they watch.
pub(super) struct Tree {
    root: PathBuf,
    /// Whether to include directories with names that begin with a dot.
    all: bool,
    build: Build,
    known: HashSet<PathBuf>,
    /// Directories that were found and are not watched yet.
    waiting: VecDeque<PathBuf>,
    /// Known directories that could not be watched.
    failed: HashMap<PathBuf, Failed>,
    branches: SelectAll<Branch>,
    /// The directories in which changes may be missed or late.
    troubled: HashSet<PathBuf>,
    /// No directory that is no longer watched has reported a generation above this one.
    used: u64,
    scan: Interval,
    ready: VecDeque<Told>,
    is_full: bool,
}

impl Tree {
    /// Starts to watch what is there. The first listings of all directories are reported as one.
    pub(super) async fn start(
        root: PathBuf,
        all: bool,
        build: impl Fn(&Path) -> Builder + Send + 'static,
    ) -> Result<Self, Error> {
        let top = Branch::start(&build, root.clone(), true, 0).await?;
        let mut scan = interval(SCAN);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        scan.reset();
        let mut tree = Self {
            known: HashSet::from([root.clone()]),
            root,
            all,
            build: Box::new(build),
            waiting: VecDeque::new(),
            failed: HashMap::new(),
            branches: select_all([]),
            troubled: HashSet::new(),
            used: 0,
            scan,
            ready: VecDeque::new(),
            is_full: false,
        };
        tree.find_directories();
        let mut branches = vec![top];
        while let Some(directory) = tree.waiting.pop_front() {
            match Branch::start(&tree.build, directory.clone(), false, 0).await {
                Ok(branch) => branches.push(branch),
                // The directory is gone again, or we may not read it.
                Err(error) => tree.pass_over(directory, &error),
            }
        }
        let (mut listed, mut others) = (vec![Told::Init], Vec::new());
        for mut branch in branches {
            while let Some(told) = branch.try_next() {
                match told {
                    Told::Init | Told::InitDone => {}
                    Told::InitApply(_) => listed.push(told),
                    other => others.extend(tree.heard(other)),
                }
            }
            tree.branches.push(branch);
        }
        listed.push(Told::InitDone);
        tree.ready = listed.into_iter().chain(others).collect();
        Ok(tree)
    }

    /// `None` if the thread that watches the root has ended. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Some(told);
            }
            while let Some(directory) = self.waiting.front().cloned() {
                // It stays in the queue if this future is dropped in the meantime.
                let started = Branch::start(&self.build, directory.clone(), false, self.used).await;
                self.waiting.pop_front();
                match started {
                    Ok(branch) => {
                        self.failed.remove(&directory);
                        self.branches.push(branch);
                    }
                    Err(error) => self.pass_over(directory, &error),
                }
            }
            tokio::select! {
                news = self.branches.next() => match news? {
                    News::Told(told) => if let Some(told) = self.heard(told) {
                        return Some(told);
                    },
                    News::Ended { directory, .. } if directory == self.root => return None,
                    News::Ended { directory, used } => {
                        self.known.remove(&directory);
                        self.used = self.used.max(used);
                        if self.troubled.remove(&directory) && self.troubled.is_empty() {
                            return Some(Told::Resynced);
                        }
                    }
                },
                _ = self.scan.tick() => self.find_directories(),
            }
        }
    }

    /// Converts a report of a branch to one of the tree: nothing is complete until every branch is.
    fn heard(&mut self, told: Told) -> Option<Told> {
        match told {
            Told::Degraded { ref directory, .. } => drop(self.troubled.insert(directory.clone())),
            Told::Synced { directory } => {
                self.troubled.remove(&directory);
                return self.troubled.is_empty().then_some(Told::Resynced);
            }
            _ => {}
        }
        Some(told)
    }

    /// Finds new directories, and those that it is time to try again.
    fn find_directories(&mut self) {
        self.retry();
        let mut pending = vec![(self.root.clone(), 0)];
        while let Some((directory, depth)) = pending.pop() {
            // A directory that cannot be read has no sockets to show.
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                // Links to directories do not count.
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !is_directory || (!self.all && entry.file_name().as_bytes().starts_with(b".")) {
                    continue;
                }
                let below = directory.join(entry.file_name());
                if !self.known.contains(&below) {
                    if self.known.len() >= MOST {
                        if !std::mem::replace(&mut self.is_full, true) {
                            note(&format!("mpsr: there are more than {MOST} directories; the others are not watched"));
                        }
                        return;
                    }
                    self.known.insert(below.clone());
                    self.waiting.push_back(below.clone());
                }
                if depth + 1 < DEPTH {
                    pending.push((below, depth + 1));
                }
            }
        }
    }

    fn retry(&mut self) {
        let now = Instant::now();
        let is_there = |directory: &Path| directory.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let gone: Vec<_> = self.failed.keys().filter(|directory| !is_there(directory)).cloned().collect();
        for directory in gone {
            // A new directory of the same name starts afresh.
            self.failed.remove(&directory);
            self.known.remove(&directory);
        }
        let due = self.failed.iter().filter(|(_, failed)| failed.again <= now);
        self.waiting.extend(due.map(|(directory, _)| directory.clone()));
    }

    /// The directory is tried again when a scan finds it: immediately if it was gone, otherwise after a delay that
    /// doubles.
    fn pass_over(&mut self, directory: PathBuf, error: &Error) {
        if matches!(error, Error::Missing { .. } | Error::NotADirectory { .. }) {
            self.failed.remove(&directory);
            self.known.remove(&directory);
            return;
        }
        let (first, most) = RETRY;
        let delay = match self.failed.get(&directory) {
            Some(failed) => (failed.delay * 2).min(most),
            None => {
                note(&format!("mpsr: not watched: {}", crate::text::escaped_words(&format!("{error}"))));
                first
            }
        };
        self.failed.insert(directory, Failed { again: Instant::now() + delay, delay });
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::{fs::symlink, net::UnixListener},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use fs_watch::{Backend, Hints, Target, Watcher, Why};
    use tokio::time::{sleep, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Sends no hints, and fails on request.
    #[derive(Clone, Default)]
    struct Troubled {
        fails: Arc<AtomicUsize>,
        armed: Arc<AtomicUsize>,
    }

    impl Backend for Troubled {
        fn arm(&mut self, _: &Target, _: &Hints) -> Result<(), Why> {
            self.armed.fetch_add(1, Ordering::SeqCst);
            match self.fails.load(Ordering::SeqCst) {
                0 => Ok(()),
                _ => Err(Why::BackendStuck),
            }
        }

        fn disarm(&mut self) {}
    }

    impl Troubled {
        fn fail(&self, fails: bool) {
            self.fails.store(fails.into(), Ordering::SeqCst);
        }

        /// Waits until the watcher has noticed its current state.
        async fn told(&self) {
            let before = self.armed.load(Ordering::SeqCst);
            let told = async {
                while self.armed.load(Ordering::SeqCst) < before + 3 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(LIMIT, told).await.expect("it scans");
        }
    }

    async fn next(tree: &mut Tree) -> Told {
        timeout(LIMIT, tree.next()).await.expect("something is told").expect("it runs")
    }

    #[tokio::test]
    async fn a_tree_is_complete_once_no_branch_is_in_trouble() {
        let top = tempfile::tempdir().unwrap();
        let troubled = ["a", "b"].map(|name| (top.path().join(name), Troubled::default()));
        troubled.iter().for_each(|(directory, _)| fs::create_dir(directory).unwrap());
        let backends = HashMap::from(troubled.clone());
        let build = move |directory: &Path| {
            let backend = backends.get(directory).cloned().unwrap_or_default();
            Watcher::builder(directory).safety_interval(Duration::from_millis(20)).backend(backend)
        };
        let mut tree = Tree::start(top.path().to_owned(), false, build).await.unwrap();
        assert!(matches!(next(&mut tree).await, Told::Init));
        assert!(matches!(next(&mut tree).await, Told::InitDone));
        let [(a, of_a), (b, of_b)] = &troubled;
        for (directory, backend) in [(a, of_a), (b, of_b)] {
            backend.fail(true);
            let told = next(&mut tree).await;
            assert!(matches!(&told, Told::Degraded { directory: of, .. } if of == directory), "{told:?}");
        }
        of_a.fail(false);
        of_a.told().await;
        assert!(timeout(Duration::from_millis(300), tree.next()).await.is_err(), "the other one is in trouble");
        of_b.fail(false);
        assert!(matches!(next(&mut tree).await, Told::Resynced));
        // The failure of a directory ends with it.
        of_a.fail(true);
        assert!(matches!(next(&mut tree).await, Told::Degraded { directory, .. } if directory == *a));
        fs::remove_dir(a).unwrap();
        assert!(matches!(next(&mut tree).await, Told::Resynced));
    }

    #[tokio::test]
    async fn a_directory_that_could_not_be_watched_is_tried_again() {
        let top = tempfile::tempdir().unwrap();
        let (below, circle) = (top.path().join("below"), top.path().join("circle"));
        fs::create_dir(&below).unwrap();
        symlink(&circle, &circle).unwrap();
        let _listener = UnixListener::bind(below.join("a.sock")).unwrap();
        let tried = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&tried);
        let build = move |directory: &Path| {
            Watcher::builder(match directory.ends_with("below") && count.fetch_add(1, Ordering::SeqCst) < 2 {
                // This cannot be opened for now.
                true => &circle,
                false => directory,
            })
        };
        let mut tree = Tree::start(top.path().to_owned(), false, build).await.unwrap();
        assert!(matches!(next(&mut tree).await, Told::Init));
        assert!(matches!(next(&mut tree).await, Told::InitDone));
        let told = next(&mut tree).await;
        assert!(matches!(told, Told::Added(_)), "{told:?}");
        assert!(told.to_line().unwrap().starts_with(&format!("+ {}/a.sock  ", below.display())), "{told:?}");
        assert_eq!(tried.load(Ordering::SeqCst), 3);
        assert!(tree.failed.is_empty());
    }
}
