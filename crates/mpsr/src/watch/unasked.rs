//! Sockets for which the kernel does not say whether a server listens.

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

/// How long a server may take to be ready before we check it. A file younger than two seconds proves nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reports once that there are such sockets, and which option queries them. Without this, a socket of another network
/// namespace looks as if it never became ready.
#[derive(Debug, Default)]
pub(super) struct Unasked {
    is_over: bool,
    /// The sockets that are there and not known to be ready.
    waiting: HashSet<PathBuf>,
    /// When to check them, the oldest first. Entries that are no longer in `waiting` are skipped.
    due: VecDeque<(Instant, PathBuf)>,
}

impl Unasked {
    /// `is_over` if there is nothing to report from the start.
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

    /// Checks the sockets that have waited long enough. Returns the remark, if there is one.
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
        // A socket that is gone by now is an error, which we need not report.
        let inspection = Inspection::default().probing(Probing::Kernel).dot_files(DotFiles::Reported);
        let said = unasked(&inspection.run_each(paths).0);
        if said.is_some() {
            *self = Self::new(true);
        }
        said
    }
}
