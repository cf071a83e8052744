//! A task for each socket: started when the socket appears, stopped when it disappears, restarted when it fails.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Sleep;

use crate::event::Event;
use crate::socket::Socket;
use crate::watcher::Watcher;

mod news;
mod policy;
mod posts;
mod stop;

pub use news::{Account, End, News};
pub use policy::{Policy, Start};
use posts::{Action, Ending, Posts};
pub use stop::Stop;

/// What the task of a handler runs.
type Work<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// However many handlers end by themselves, their sockets are probed no more often than this.
const BETWEEN_SUSPICIONS: Duration = Duration::from_millis(250);

/// A handler task for each socket of a directory, from [`Watcher::attach`].
///
/// Each socket, that is each (path, generation), has one handler, from the moment at which it is [there or
/// live](Start). When the socket disappears, its handler is [asked to stop](Stop), and aborted if it does not stop
/// within the [patience](Policy::with_patience). The handler of the next socket at that path starts after it has ended:
/// two handlers for the same path never run at the same time.
///
/// | if the handler | then |
/// |---|---|
/// | returns `Ok` | it is finished with this socket; the next socket at this path gets a new handler |
/// | returns `Err`, or panics, while the socket stays | it is restarted after a pause, see [`Policy`] |
/// | ends in any way after it was asked to stop | nothing more happens |
///
/// When a handler ends by itself, the watcher checks at once whether the server is gone, because no filesystem event
/// shows that.
///
/// Nothing happens unless you call [`next`](Self::next): it notices sockets, starts and stops handlers, and counts
/// them. In return there is no queue that could overflow. If you do not need the news, spawn `async move { while
/// attached.next().await.is_some() {} }`.
///
/// Dropping it aborts all handlers and stops the watcher, without waiting; [`shutdown`](Self::shutdown) waits.
#[must_use = "handlers are started by `next`, and aborted when this is dropped"]
pub struct Attached<E> {
    /// None once it is being shut down.
    watcher: Option<Watcher>,
    handler: Arc<dyn Fn(Socket, Stop) -> Work<E> + Send + Sync>,
    start_when: Start,
    posts: Posts,
    tasks: JoinSet<Result<(), E>>,
    by_path: HashMap<PathBuf, Task>,
    paths: HashMap<Id, PathBuf>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When to scan because a handler has ended by itself, and when that was last done.
    suspicion: Option<Instant>,
    suspected: Option<Instant>,
    /// News of one step beyond the one that it returns.
    news: VecDeque<News<E>>,
    account: Account,
}

struct Task {
    stop: watch::Sender<bool>,
    abort: AbortHandle,
}

impl Watcher {
    /// Runs a handler for each socket, in its own task, with the default [`Policy`].
    ///
    /// ```
    /// use fs_watch::attach::{News, Stop};
    /// use fs_watch::{Socket, Watcher};
    /// # use std::os::unix::net::UnixListener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let _socket = UnixListener::bind(dir.path().join("a.sock"))?;
    /// async fn serve(socket: Socket, stop: Stop) -> Result<(), std::io::Error> {
    ///     // Connect to `socket`, and then work until asked to stop.
    ///     stop.requested().await;
    ///     Ok(())
    /// }
    ///
    /// let mut attached = Watcher::start(dir.path()).await?.attach(serve);
    /// while let Some(news) = attached.next().await {
    ///     match news {
    ///         News::Started(id) => break,
    ///         News::Ended { id, end, .. } => eprintln!("{:?}: {end:?}", id.path),
    ///         _ => {}
    ///     }
    /// }
    /// let account = attached.shutdown().await;
    /// assert_eq!((account.started, account.finished), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach<H, F, E>(self, handler: H) -> Attached<E>
    where
        H: Fn(Socket, Stop) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Send + 'static,
    {
        self.attach_with(Policy::default(), handler)
    }

    /// Like [`attach`](Self::attach), with another policy.
    pub fn attach_with<H, F, E>(self, policy: Policy, handler: H) -> Attached<E>
    where
        H: Fn(Socket, Stop) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Send + 'static,
    {
        Attached {
            watcher: Some(self),
            handler: Arc::new(move |socket, stop| Box::pin(handler(socket, stop))),
            start_when: policy.start,
            posts: Posts::new(policy),
            tasks: JoinSet::new(),
            by_path: HashMap::new(),
            paths: HashMap::new(),
            timer: None,
            suspicion: None,
            suspected: None,
            news: VecDeque::new(),
            account: Account::default(),
        }
    }
}

impl<E: Send + 'static> Attached<E> {
    /// The next news. `None` only if the watching thread has ended by itself (see [`Watcher::next`]), after all
    /// handlers have ended.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: news are taken in the same poll that returns them.
    pub async fn next(&mut self) -> Option<News<E>> {
        poll_fn(|context| self.poll_news(context)).await
    }

    /// How many handlers are running.
    pub fn live(&self) -> usize {
        self.posts.working()
    }

    /// Asks all handlers to stop, aborts those that have not stopped within their patience, and stops watching. When
    /// this returns, no task, thread or watch is left.
    ///
    /// A handler that never reaches an `.await` cannot be aborted; this waits for it.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, the remaining handlers are aborted, as they are if you drop the [`Attached`].
    pub async fn shutdown(mut self) -> Account {
        self.posts.close(Instant::now());
        let watcher = self.watcher.take();
        while self.next().await.is_some() {}
        if let Some(watcher) = watcher {
            watcher.shutdown().await;
        }
        self.account
    }

    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<News<E>>> {
        loop {
            while let Some(action) = self.posts.poll_action() {
                self.perform(action);
            }
            if let Some(news) = self.news.pop_front() {
                return Poll::Ready(Some(news));
            }
            if let Poll::Ready(Some(joined)) = self.tasks.poll_join_next_with_id(context) {
                self.handle_joined(joined);
            } else if self.poll_alarm(context).is_ready() {
                self.handle_time(Instant::now());
            } else if let Some(watcher) = &mut self.watcher {
                match Pin::new(watcher).poll_next(context) {
                    Poll::Ready(Some(event)) => self.handle_event(event),
                    Poll::Ready(None) => {
                        self.watcher = None;
                        self.posts.close(Instant::now());
                    }
                    Poll::Pending => return Poll::Pending,
                }
            } else if self.tasks.is_empty() {
                return Poll::Ready(None);
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Ready when the time of the first alarm has come.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let suspicion = self.suspicion.filter(|_| self.watcher.is_some());
        let Some(at) = self.posts.alarm().into_iter().chain(suspicion).min() else {
            self.timer = None;
            return Poll::Pending;
        };
        let at = tokio::time::Instant::from_std(at);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(context)
    }

    fn handle_event(&mut self, event: Event) {
        match &event {
            Event::InitApply(socket) | Event::Added(socket) if self.start_when == Start::Added => {
                self.posts.handle_added(socket.clone(), Instant::now());
            }
            Event::Ready(socket) if self.start_when == Start::Ready => {
                self.posts.handle_added(socket.clone(), Instant::now());
            }
            Event::Removed { id, .. } => self.posts.handle_removed(id, Instant::now()),
            _ => {}
        }
        self.news.push_back(News::Event(event));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Start(socket) => self.start(socket),
            Action::Ask(path) => {
                if let Some(task) = self.by_path.get(&path) {
                    // The server may be gone.
                    let _ = task.stop.send(true);
                }
            }
            Action::Abort(path) => {
                if let Some(task) = self.by_path.get(&path) {
                    task.abort.abort();
                }
            }
            Action::Skip(id) => {
                self.account.skipped += 1;
                self.news.push_back(News::Skipped(id));
            }
        }
    }

    /// A handler that ends by itself has often met the end of its server, which no filesystem event shows.
    fn suspect(&mut self) {
        let now = Instant::now();
        let due = self.suspected.map_or(now, |last| now.max(last + BETWEEN_SUSPICIONS));
        self.suspicion.get_or_insert(due);
    }

    fn handle_time(&mut self, now: Instant) {
        self.posts.handle_time(now);
        if let Some(watcher) = &self.watcher
            && self.suspicion.take_if(|due| *due <= now).is_some()
        {
            watcher.hurry();
            self.suspected = Some(now);
        }
    }

    fn start(&mut self, socket: Socket) {
        let id = socket.id();
        let (stop, asked) = watch::channel(false);
        let handler = self.handler.clone();
        // The handler is called in the task, so that a panic in the call belongs to the task.
        let abort = self.tasks.spawn(async move { handler(socket, Stop::new(asked)).await });
        self.paths.insert(abort.id(), id.path.clone());
        self.by_path.insert(id.path.clone(), Task { stop, abort });
        self.account.started += 1;
        self.news.push_back(News::Started(id));
    }

    fn handle_joined(&mut self, joined: Result<(Id, Result<(), E>), JoinError>) {
        let (task, end) = match joined {
            Ok((task, Ok(()))) => (task, End::Finished),
            Ok((task, Err(error))) => (task, End::Failed(error)),
            Err(error) => (error.id(), End::unfinished(error)),
        };
        let path = self.paths.remove(&task).expect("every task has a path");
        self.by_path.remove(&path);
        let (counter, ending) = match &end {
            End::Finished => (&mut self.account.finished, Ending::Finished),
            End::Failed(_) => (&mut self.account.failed, Ending::Failed),
            End::Panicked(_) => (&mut self.account.panicked, Ending::Failed),
            End::Aborted => (&mut self.account.aborted, Ending::Finished),
        };
        *counter += 1;
        let followup = self.posts.handle_end(&path, ending, Instant::now());
        let posts::Followup { id, asked, again_in } = followup;
        if !asked {
            self.suspect();
        }
        self.news.push_back(News::Ended { id, end, asked, again_in });
    }
}

impl<E: Send + 'static> Stream for Attached<E> {
    type Item = News<E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News<E>>> {
        self.get_mut().poll_news(context)
    }
}

impl<E> Unpin for Attached<E> {}

impl<E> fmt::Debug for Attached<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("watcher", &self.watcher)
            .field("live", &self.tasks.len())
            .finish_non_exhaustive()
    }
}
