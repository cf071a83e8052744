//! A task for each socket: started when the socket appears, stopped when it disappears, restarted when it fails.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::event::Event;
use crate::socket::{Socket, SocketId};
use crate::watcher::Watcher;

mod news;
mod policy;
mod schedule;
mod senders;
mod stop;
mod subject;
mod supervisor;

pub use news::{End, News, Report};
pub use policy::{Policy, Start};
use senders::Registered;
pub use senders::{Registration, Senders};
pub use stop::Stop;
pub use subject::Subject;
pub use supervisor::{Change, Supervisor};

/// However many handlers end by themselves, their sockets are probed no more often than this.
const BETWEEN_SUSPICIONS: Duration = Duration::from_millis(250);

/// A handler task for each socket of a directory, from [`Watcher::attach`].
///
/// Each socket, that is each (path, generation), has one handler, from the moment at which it is [there or
/// live](Start). When the socket disappears or is replaced, its handler is [asked to stop](Stop), and aborted if it does not stop
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
pub struct Attached<E, T = ()> {
    /// None once it is being shut down.
    watcher: Option<Watcher>,
    start_when: Start,
    supervisor: Supervisor<Socket, E>,
    senders: Senders<T>,
    registered: mpsc::UnboundedReceiver<Registered>,
    /// When to scan because a handler has ended by itself, and when that was last done.
    suspicion: Option<Pin<Box<Sleep>>>,
    suspected: Option<Instant>,
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
    /// let report = attached.shutdown().await;
    /// assert_eq!((report.started, report.finished), (1, 1));
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
        self.attach_with_senders(policy, move |socket, stop, _registration| handler(socket, stop))
    }

    /// Like [`attach_with`](Self::attach_with), for a manager that also sends to the sockets: each handler can
    /// [register](Registration::register) what others send to its socket with, and [`Attached::senders`] has it while the
    /// handler runs.
    ///
    /// ```
    /// use fs_watch::attach::{News, Policy, Registration, Stop};
    /// use fs_watch::{Socket, Watcher, connect_at};
    /// use tokio::sync::mpsc;
    /// # use std::io::Write as _;
    /// # use std::os::unix::net::UnixListener;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let server = UnixListener::bind(dir.path().join("a.sock"))?;
    /// type Commands = mpsc::Sender<&'static str>;
    ///
    /// async fn serve(socket: Socket, stop: Stop, registration: Registration<Commands>) -> Result<(), std::io::Error> {
    ///     let mut stream = connect_at(&socket).map_err(std::io::Error::other)?;
    ///     let (sender, mut commands) = mpsc::channel(16);
    ///     registration.register(sender);
    ///     loop {
    ///         tokio::select! {
    ///             Some(command) = commands.recv() => writeln!(stream, "{command}")?,
    ///             () = stop.requested() => return Ok(()),
    ///         }
    ///     }
    /// }
    ///
    /// let watcher = Watcher::start(dir.path()).await?;
    /// let mut attached = watcher.attach_with_senders(Policy::default(), serve);
    /// let senders = attached.senders(); // for any task, as often as you like
    /// while let Some(news) = attached.next().await {
    ///     if let News::Registered(id) = news {
    ///         senders.get(&id.path).expect("its handler runs").send("reload").await?;
    ///         break;
    ///     }
    /// }
    /// # use std::io::BufRead as _;
    /// # let mut line = String::new();
    /// # let (stream, _) = server.accept()?;
    /// # tokio::task::yield_now().await;
    /// # std::io::BufReader::new(stream).read_line(&mut line)?;
    /// # assert_eq!(line, "reload\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn attach_with_senders<H, F, E, T>(self, policy: Policy, handler: H) -> Attached<E, T>
    where
        H: Fn(Socket, Stop, Registration<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Send + 'static,
        T: Send + 'static,
    {
        let (senders, registered) = Senders::new();
        let start_when = policy.start;
        let supervisor = Supervisor::new(policy, {
            let senders = senders.clone();
            move |socket: Socket, stop| {
                let (registration, presence) = senders.enter(&socket);
                let work = handler(socket, stop, registration);
                async move {
                    let _presence = presence;
                    work.await
                }
            }
        });
        Attached { watcher: Some(self), start_when, supervisor, senders, registered, suspicion: None, suspected: None }
    }
}

impl<E: Send + 'static, T> Attached<E, T> {
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
        self.supervisor.live()
    }

    /// What the handlers have registered: for you, and for any other task that sends to the sockets.
    pub fn senders(&self) -> Senders<T> {
        self.senders.clone()
    }

    /// Asks all handlers to stop, aborts those that have not stopped within their patience, and stops watching. When
    /// this returns, no task, thread or watch is left.
    ///
    /// A handler that never reaches an `.await` cannot be aborted; this waits for it.
    ///
    /// # Cancel safety
    ///
    /// If you drop the future, the remaining handlers are aborted, as they are if you drop the [`Attached`].
    pub async fn shutdown(mut self) -> Report {
        self.supervisor.stop_all();
        let watcher = self.watcher.take();
        while self.next().await.is_some() {}
        if let Some(watcher) = watcher {
            watcher.shutdown().await;
        }
        self.supervisor.report()
    }

    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<News<E>>> {
        loop {
            let idle = match self.supervisor.poll_next(context) {
                Poll::Ready(Some(change)) => return Poll::Ready(Some(self.handle_change(change))),
                Poll::Ready(None) => true,
                Poll::Pending => false,
            };
            while let Poll::Ready(Some(registered)) = self.registered.poll_recv(context) {
                // Its end has been told first, if it has ended.
                if self.senders.is_current(&registered) {
                    return Poll::Ready(Some(News::Registered(registered.id)));
                }
            }
            let Some(watcher) = &mut self.watcher else {
                return if idle { Poll::Ready(None) } else { Poll::Pending };
            };
            if let Some(timer) = &mut self.suspicion
                && timer.as_mut().poll(context).is_ready()
            {
                watcher.hurry();
                self.suspicion = None;
                self.suspected = Some(Instant::now());
            }
            match ready!(Pin::new(watcher).poll_next(context)) {
                Some(event) => {
                    self.handle_event(&event);
                    return Poll::Ready(Some(News::Event(event)));
                }
                None => {
                    self.watcher = None;
                    self.supervisor.stop_all();
                }
            }
        }
    }

    fn handle_event(&mut self, event: &Event) {
        match event {
            Event::InitApply(socket) | Event::Added(socket) if self.start_when == Start::Added => {
                self.supervisor.add(socket.clone());
            }
            Event::Ready(socket) if self.start_when == Start::Ready => self.supervisor.add(socket.clone()),
            Event::Removed { id, .. } => self.supervisor.remove(id),
            _ => {}
        }
    }

    fn handle_change(&mut self, change: Change<SocketId, E>) -> News<E> {
        match change {
            Change::Started(id) => News::Started(id),
            Change::Ended { id, end, asked, again_in } => {
                if !asked {
                    self.suspect();
                }
                News::Ended { id, end, asked, again_in }
            }
            Change::Skipped(id) => News::Skipped(id),
        }
    }

    /// A handler that ends by itself has often met the end of its server, which no filesystem event shows.
    fn suspect(&mut self) {
        let now = Instant::now();
        let due = self.suspected.map_or(now, |last| now.max(last + BETWEEN_SUSPICIONS));
        self.suspicion.get_or_insert_with(|| Box::pin(sleep_until(due)));
    }
}

impl<E: Send + 'static, T> Stream for Attached<E, T> {
    type Item = News<E>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<News<E>>> {
        self.get_mut().poll_news(context)
    }
}

impl<E, T> Unpin for Attached<E, T> {}

impl<E: Send + 'static, T> fmt::Debug for Attached<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").field("watcher", &self.watcher).field("live", &self.live()).finish_non_exhaustive()
    }
}
