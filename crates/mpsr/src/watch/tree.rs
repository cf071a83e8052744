//! A directory and those below it, each watched by a watcher of its own, as one stream of events.

use std::{
    collections::{HashSet, VecDeque},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use fs_watch::{Builder, Error, Event, Watcher, Why};
use futures_util::{
    Stream, StreamExt as _,
    stream::{SelectAll, select_all},
};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::output::note;

/// How often directories are looked for that have come. A watcher tells only of sockets.
const SCAN: Duration = Duration::from_secs(1);

/// Each takes a thread.
const MOST: usize = 256;

/// Levels below the directory.
const DEPTH: usize = 32;

type Build = Box<dyn Fn(&Path) -> Builder + Send>;

/// The watchers, and the directories that they watch.
pub(super) struct Tree {
    root: PathBuf,
    /// Whether directories whose names begin with a dot count.
    all: bool,
    build: Build,
    known: HashSet<PathBuf>,
    /// Found, and not watched yet.
    waiting: VecDeque<PathBuf>,
    branches: SelectAll<Branch>,
    scan: Interval,
    ready: VecDeque<Event>,
    is_full: bool,
}

impl Tree {
    /// Watches what is there. The first listing of all of them is told as one.
    pub(super) async fn start(
        root: PathBuf,
        all: bool,
        build: impl Fn(&Path) -> Builder + Send + 'static,
    ) -> Result<Self, Error> {
        let top = Branch::start(&build, root.clone(), true).await?;
        let mut scan = interval(SCAN);
        scan.set_missed_tick_behavior(MissedTickBehavior::Delay);
        scan.reset();
        let mut tree = Self {
            known: HashSet::from([root.clone()]),
            root,
            all,
            build: Box::new(build),
            waiting: VecDeque::new(),
            branches: select_all([]),
            scan,
            ready: VecDeque::new(),
            is_full: false,
        };
        let mut listed = vec![Event::Init];
        let mut others = Vec::new();
        tree.look();
        let mut branches = vec![top];
        while let Some(directory) = tree.waiting.pop_front() {
            match Branch::start(&tree.build, directory.clone(), false).await {
                Ok(branch) => branches.push(branch),
                // Gone again, or closed to us.
                Err(error) => tree.pass_over(&directory, &error),
            }
        }
        for mut branch in branches {
            while let Some(event) = branch.watcher.try_next() {
                match event {
                    Event::Init | Event::InitDone => {}
                    Event::InitApply(_) => listed.push(event),
                    other => others.push(other),
                }
            }
            tree.branches.push(branch);
        }
        listed.push(Event::InitDone);
        tree.ready = listed.into_iter().chain(others).collect();
        Ok(tree)
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            while let Some(directory) = self.waiting.front().cloned() {
                // Still in front if this is dropped meanwhile.
                let started = Branch::start(&self.build, directory.clone(), false).await;
                self.waiting.pop_front();
                match started {
                    Ok(branch) => self.branches.push(branch),
                    Err(error) => self.pass_over(&directory, &error),
                }
            }
            tokio::select! {
                news = self.branches.next() => match news? {
                    News::Event(event) => return Some(event),
                    News::Ended(directory) if directory == self.root => return None,
                    News::Ended(directory) => drop(self.known.remove(&directory)),
                },
                _ = self.scan.tick() => self.look(),
            }
        }
    }

    /// Finds directories that are not known yet.
    fn look(&mut self) {
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

    /// It is tried again when it is found the next time, unless that would fail in the same way.
    fn pass_over(&mut self, directory: &Path, error: &Error) {
        match error {
            Error::Missing { .. } | Error::NotADirectory { .. } => drop(self.known.remove(directory)),
            _ => note(&format!("mpsr: not watched: {}", crate::text::escaped_words(&format!("{error}")))),
        }
    }
}

/// What a branch tells.
enum News {
    Event(Event),
    /// Its directory is gone. The last that it tells.
    Ended(PathBuf),
}

/// The watcher of one directory. Not that of the root, it ends with its directory.
struct Branch {
    directory: PathBuf,
    watcher: Watcher,
    is_root: bool,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Its directory is gone; its sockets are still being taken back.
    Ending,
    Ended,
}

impl Branch {
    async fn start(build: &impl Fn(&Path) -> Builder, directory: PathBuf, is_root: bool) -> Result<Self, Error> {
        let watcher = build(&directory).start().await?;
        Ok(Self { directory, watcher, is_root, phase: Phase::Running })
    }

    fn end(&mut self) -> Poll<Option<News>> {
        self.phase = Phase::Ended;
        Poll::Ready(Some(News::Ended(self.directory.clone())))
    }
}

impl Stream for Branch {
    type Item = News;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News>> {
        loop {
            if self.phase == Phase::Ended {
                return Poll::Ready(None);
            }
            let event = match Pin::new(&mut self.watcher).poll_next(context) {
                Poll::Ready(Some(event)) => event,
                Poll::Ready(None) => return self.end(),
                Poll::Pending if self.phase == Phase::Ending => return self.end(),
                Poll::Pending => return Poll::Pending,
            };
            let event = match event {
                // What it lists at first has come since the tree was listed.
                Event::Init | Event::InitDone => continue,
                Event::InitApply(socket) => Event::Added(socket),
                Event::Degraded(Why::Missing | Why::NotADirectory) if !self.is_root => {
                    self.phase = Phase::Ending;
                    continue;
                }
                other => other,
            };
            return Poll::Ready(Some(News::Event(event)));
        }
    }
}
