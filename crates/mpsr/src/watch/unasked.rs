//! Sockets of which the kernel does not say whether a server listens.

use std::{
    collections::{HashSet, VecDeque},
    future::pending,
    path::PathBuf,
    time::Duration,
};

use fs_watch::{DotFiles, Probing, directory::Inspection};
use tokio::time::{Instant, sleep_until};

use super::told::Told;
use crate::ls::unasked;

/// How long a server may take to be ready before it is looked for. A file younger than two seconds proves nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Says once that there are such sockets, and which option asks them: without a sign of it, one of another network namespace
/// looks as if it were never ready.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    is_over: bool,
    /// Those that are there and not known to be ready.
    waiting: HashSet<PathBuf>,
    /// When to look for them, the oldest first. Those that are not in `waiting` any more are passed over.
    due: VecDeque<(Instant, PathBuf)>,
}

impl Unasked {
    /// `is_over` if there is nothing to say from the start.
    pub(super) fn new(is_over: bool) -> Self {
        Self { is_over, ..Self::default() }
    }

    pub(super) fn handle(&mut self, told: &Told) {
        match told {
            _ if self.is_over => {}
            Told::InitApply(known) | Told::Added(known) => {
                let path = known.path().to_owned();
                self.due.push_back((Instant::now() + PATIENCE, path.clone()));
                self.waiting.insert(path);
            }
            Told::Ready(known) => drop(self.waiting.remove(known.path())),
            Told::Removed { path, .. } => drop(self.waiting.remove(path)),
            Told::Init | Told::InitDone | Told::Degraded { .. } | Told::Synced { .. } | Told::Resynced => {}
        }
    }

    /// Waits until it is time to [check](Self::check). Cancel safe.
    pub(super) async fn is_due(&self) {
        match self.due.front() {
            Some((at, _)) => sleep_until(*at).await,
            None => pending().await,
        }
    }

    /// Looks for those that have waited long enough. Returns what to say, if there is something.
    pub(super) fn check(&mut self) -> Option<String> {
        let now = Instant::now();
        let mut paths = Vec::new();
        while let Some((at, path)) = self.due.pop_front() {
            if at > now {
                self.due.push_front((at, path));
                break;
            }
            paths.extend(self.waiting.take(&path));
        }
        if paths.is_empty() {
            return None;
        }
        // One that is gone by now is an error, and nothing to tell.
        let inspection = Inspection::default().probing(Probing::Kernel).dot_files(DotFiles::Reported);
        let said = unasked(&inspection.run_each(paths).0);
        if said.is_some() {
            *self = Self::new(true);
        }
        said
    }
}
