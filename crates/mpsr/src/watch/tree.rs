//! A directory and those below it, each watched by a watcher of its own, as one stream of events.

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

/// How often directories are looked for that have come. A watcher tells only of sockets.
const SCAN: Duration = Duration::from_secs(1);

/// Each takes a thread.
const MOST: usize = 256;

/// Levels below the directory.
const DEPTH: usize = 32;

/// After which time a directory that could not be watched is tried again, at first and at most.
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
    /// Whether directories count if their names begin with a dot.
    all: bool,
    build: Build,
    known: HashSet<PathBuf>,
    /// Found, and not watched yet.
    waiting: VecDeque<PathBuf>,
    /// Of those that are known.
    failed: HashMap<PathBuf, Failed>,
    branches: SelectAll<Branch>,
    /// The directories of which changes are not all seen at once.
    troubled: HashSet<PathBuf>,
    /// No generation above this one has been told of a directory that is not watched any more.
    used: u64,
    scan: Interval,
    ready: VecDeque<Told>,
    is_full: bool,
}

impl Tree {
    /// Watches what is there. The first listing of all of them is told as one.
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
                // Gone again, or closed to us.
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
                // Still in front if this is dropped meanwhile.
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

    /// What a branch tells, as the tree tells it: nothing is complete while one branch is not.
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

    /// Finds directories that are not known yet, and those that are due to be tried again.
    fn find_directories(&mut self) {
        self.retry();
        let mut pending = vec![(self.root.clone(), 0)];
        while let Some((directory, depth)) = pending.pop() {
            // What cannot be read has no sockets that could be shown.
            let Ok(entries) = fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                // Not of what a link leads to.
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
            // Another of its name is a new one.
            self.failed.remove(&directory);
            self.known.remove(&directory);
        }
        let due = self.failed.iter().filter(|(_, failed)| failed.again <= now);
        self.waiting.extend(due.map(|(directory, _)| directory.clone()));
    }

    /// It is tried again when it is found the next time; unless it is gone, after a time that doubles.
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

    /// Gives no hints, and fails while it is told to.
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

        /// Waits until what it says now has been told.
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
        // The trouble of a directory ends with it.
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
                // Cannot be opened, which passes.
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
