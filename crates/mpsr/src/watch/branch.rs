//! The watcher of one directory of a tree.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use fs_watch::{Builder, Error, Event, Watcher, Why};
use futures_util::Stream;

use super::told::Told;

/// What a branch reports.
pub(super) enum News {
    Told(Told),
    /// Its directory is gone, and the highest generation that it reported is `used`. This is its last report.
    Ended {
        directory: PathBuf,
        used: u64,
    },
}

/// The watcher of one directory. Unless that is the root, the watcher ends with its directory.
pub(super) struct Branch {
    directory: PathBuf,
    watcher: Watcher,
    is_root: bool,
    phase: Phase,
    /// Its generations begin above this one, because an earlier directory may have had the same name.
    base: u64,
    /// The highest generation that was reported.
    used: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The directory is gone; the removal of its sockets is still being reported.
    Ending,
    Ended,
}

impl Branch {
    pub(super) async fn start(
        build: &impl Fn(&Path) -> Builder,
        directory: PathBuf,
        is_root: bool,
        base: u64,
    ) -> Result<Self, Error> {
        let watcher = build(&directory).start().await?;
        Ok(Self { directory, watcher, is_root, phase: Phase::Running, base, used: base })
    }

    /// The next event, if there is one, without waiting.
    pub(super) fn try_next(&mut self) -> Option<Told> {
        let event = self.watcher.try_next()?;
        self.told(event)
    }

    fn told(&mut self, event: Event) -> Option<Told> {
        let told = Told::new(event, &self.directory, self.base)?;
        self.used = self.used.max(told.generation().unwrap_or(0));
        Some(told)
    }

    fn end(&mut self) -> Poll<Option<News>> {
        self.phase = Phase::Ended;
        Poll::Ready(Some(News::Ended { directory: self.directory.clone(), used: self.used }))
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
                // What its first listing finds was added after the tree was listed.
                Event::Init | Event::InitDone => continue,
                Event::InitApply(socket) => Event::Added(socket),
                Event::Degraded(Why::Missing | Why::NotADirectory) if !self.is_root => {
                    self.phase = Phase::Ending;
                    continue;
                }
                other => other,
            };
            if let Some(told) = self.told(event) {
                return Poll::Ready(Some(News::Told(told)));
            }
        }
    }
}
