//! Which watches the next connection needs, in requests small enough for a server.

use std::{borrow::Cow, sync::Arc};

use super::{Watches, kind::WatchKind};
use crate::{
    ids::Zxid,
    request::{SetWatches, SetWatches2},
};

/// Bytes of paths in one request; a single longer path gets its own request. Servers limit a request to 1 MiB, and
/// Apache's own client limits it to this.
const LIMIT: usize = 128 << 10;

/// The watches that one [`SetWatches`] or [`SetWatches2`] asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// By kind, in the order of [`WatchKind::ALL`].
    paths: [Vec<Arc<str>>; 5],
}

impl Batch {
    /// A batch of one watch.
    pub(crate) fn of(kind: WatchKind, path: &str) -> Self {
        let mut batch = Self::default();
        if let Some(paths) = batch.paths.get_mut(kind as usize) {
            paths.push(path.into());
        }
        batch
    }

    /// Whether any of them is persistent, so that a [`SetWatches2`] is needed.
    #[must_use]
    pub const fn is_persistent(&self) -> bool {
        let [.., persistent, recursive] = &self.paths;
        !persistent.is_empty() || !recursive.is_empty()
    }

    fn list(&self, kind: WatchKind) -> Cow<'_, [Cow<'_, str>]> {
        let paths = self.paths.get(kind as usize).map(Vec::as_slice).unwrap_or_default();
        paths.iter().map(|path| Cow::Borrowed(&**path)).collect::<Vec<_>>().into()
    }

    /// The request for one-shot watches. The server sends events that were missed since `relative_zxid` immediately.
    #[must_use]
    pub fn one_shot(&self, relative_zxid: Zxid) -> SetWatches<'_> {
        SetWatches {
            relative_zxid,
            data: Some(self.list(WatchKind::Data)),
            exist: Some(self.list(WatchKind::Exist)),
            child: Some(self.list(WatchKind::Child)),
        }
    }

    /// The request for all kinds (3.6).
    #[must_use]
    pub fn all(&self, relative_zxid: Zxid) -> SetWatches2<'_> {
        SetWatches2 {
            relative_zxid,
            data: Some(self.list(WatchKind::Data)),
            exist: Some(self.list(WatchKind::Exist)),
            child: Some(self.list(WatchKind::Child)),
            persistent: Some(self.list(WatchKind::Persistent)),
            persistent_recursive: Some(self.list(WatchKind::PersistentRecursive)),
        }
    }

    /// The watches of this batch.
    pub fn iter(&self) -> impl Iterator<Item = (WatchKind, &Arc<str>)> {
        WatchKind::ALL.into_iter().zip(&self.paths).flat_map(|(kind, paths)| paths.iter().map(move |path| (kind, path)))
    }
}

impl Watches {
    /// What to request first on a new connection, in this order. One-shot watches come before persistent ones: a server
    /// before 3.9 keeps the last kind that was set on a path.
    ///
    /// From here on, the connection counts as having these watches: the server executes later requests later.
    #[must_use]
    pub fn batches(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut batch = Batch::default();
        let mut len = 0_usize;
        for kind in WatchKind::ALL {
            for (path, entry) in &mut self.paths {
                if !entry.needs(kind) {
                    continue;
                }
                let group = entry.group(kind);
                group.on_server = true;
                group.covers = kind.is_persistent();
                let more = path.len().saturating_add(4);
                if len > 0 && len.saturating_add(more) > LIMIT {
                    batches.push(std::mem::take(&mut batch));
                    len = 0;
                }
                len = len.saturating_add(more);
                if let Some(paths) = batch.paths.get_mut(kind as usize) {
                    paths.push(Arc::clone(path));
                }
            }
        }
        if len > 0 {
            batches.push(batch);
        }
        batches
    }
}
