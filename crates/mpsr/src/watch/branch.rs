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
    /// The directory was gone and is back. That the reports are complete again is not reported, because nothing was missed.
    Back,
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
                Event::Resynced if matches!(self.phase, Phase::Ending | Phase::Back) => {
                    self.phase = Phase::Running;
                    continue;
                }
                Event::Removed { .. } => event,
                other => {
                    self.phase = match (self.phase, &other) {
                        // This is reported, and so is its end.
                        (_, Event::Degraded(_)) => Phase::Running,
                        (Phase::Ending, _) => Phase::Back,
                        (phase, _) => phase,
                    };
                    other
                }
            };
            if let Some(told) = self.told(event) {
                return Poll::Ready(Some(News::Told(told)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    /// What the branch reports of all that has happened so far, as the first words of the lines for people.
    async fn reports(branch: &mut Branch) -> Vec<String> {
        branch.watcher.sync().await.unwrap();
        let mut reports = Vec::new();
        while let Some(Some(news)) = branch.next().now_or_never() {
            reports.push(match news {
                News::Told(told) => told.to_line().unwrap().split_whitespace().take(1).collect(),
                News::Ended { .. } => "ended".to_owned(),
            });
        }
        reports
    }

    #[tokio::test]
    async fn a_directory_that_is_back_before_its_loss_was_reported_is_watched_on() {
        let top = tempfile::tempdir().unwrap();
        let (below, path) = (top.path().join("below"), top.path().join("below/a.sock"));
        fs::create_dir(&below).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        let build = |directory: &Path| Watcher::builder(directory);
        let mut branch = Branch::start(&build, below.clone(), false, 0).await.unwrap();
        assert_eq!(reports(&mut branch).await, ["+", "!"]);

        drop(listener);
        fs::remove_dir_all(&below).unwrap();
        branch.watcher.sync().await.unwrap();
        fs::create_dir(&below).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(reports(&mut branch).await, ["-", "+", "!"], "and not that something was missed");

        drop(listener);
        fs::remove_dir_all(&below).unwrap();
        assert_eq!(reports(&mut branch).await, ["-", "ended"]);
    }
}
