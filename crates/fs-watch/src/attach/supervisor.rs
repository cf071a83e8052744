//! One task for each subject: started, stopped and restarted as the [`Schedule`] decides.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Sleep;

use super::news::{End, Report};
use super::policy::Policy;
use super::schedule::{Action, Ending, Followup, Schedule};
use super::stop::Stop;
use super::subject::Subject;

/// What the task of a handler runs.
type Work<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// A handler task for each subject that your own source announces. For the sockets of a directory use
/// [`Watcher::attach`](crate::Watcher::attach), which is built on this and follows the same rules.
///
/// Your source calls [`add`](Self::add) and [`remove`](Self::remove). One that is added at a place where another is
/// takes its place: the handler of the other is asked to stop, as if it had been removed, and the handler of the new one
/// starts when that has ended. Adding what is there already does nothing.
///
/// Handlers start, and are asked to stop, while you call [`next`](Self::next). Dropping the supervisor aborts all of
/// them without waiting.
#[must_use = "handlers are started by `next`, and aborted when this is dropped"]
pub struct Supervisor<S: Subject, E> {
    handler: Arc<dyn Fn(S, Stop) -> Work<E> + Send + Sync>,
    schedule: Schedule<S>,
    tasks: JoinSet<Result<(), E>>,
    by_place: HashMap<S::Place, Task>,
    places: HashMap<Id, S::Place>,
    timer: Option<Pin<Box<Sleep>>>,
    /// News of one step beyond the one that it returns.
    changes: VecDeque<Change<S::Id, E>>,
    report: Report,
}

struct Task {
    stop: watch::Sender<bool>,
    abort: AbortHandle,
}

/// What happened to a handler: what [`Supervisor::next`] returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change<I, E> {
    /// See [`News::Started`](super::News::Started).
    Started(I),
    /// See [`News::Ended`](super::News::Ended).
    Ended {
        /// What it was the handler of.
        id: I,
        /// How it ended.
        end: End<E>,
        /// Whether it had been asked to stop.
        asked: bool,
        /// When it will be started again, unless its subject goes before that.
        again_in: Option<Duration>,
    },
    /// See [`News::Skipped`](super::News::Skipped).
    Skipped(I),
}

impl<S: Subject, E: Send + 'static> Supervisor<S, E> {
    /// Without subjects. [`Policy::with_start`] has no meaning here: your source decides when to add one.
    pub fn new<H, F>(policy: Policy, handler: H) -> Self
    where
        H: Fn(S, Stop) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |subject, stop| Box::pin(handler(subject, stop))),
            schedule: Schedule::new(policy),
            tasks: JoinSet::new(),
            by_place: HashMap::new(),
            places: HashMap::new(),
            timer: None,
            changes: VecDeque::new(),
            report: Report::default(),
        }
    }

    /// This subject is there from now on. Does nothing after [`start_no_more`](Self::start_no_more).
    pub fn add(&mut self, subject: S) {
        self.schedule.handle_added(subject, Instant::now());
    }

    /// The subject with this id is gone. Does nothing if it is not there.
    pub fn remove(&mut self, id: &S::Id) {
        self.schedule.handle_removed(id, Instant::now());
    }

    /// Starts no handler from now on, not even again. Those that run stay.
    pub fn start_no_more(&mut self) {
        self.schedule.start_no_more();
    }

    /// Starts no handler from now on, and asks all that run to stop.
    pub fn stop_all(&mut self) {
        self.schedule.close(Instant::now());
    }

    /// What happens next to a handler; `None` while none runs or is due to start.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with time enabled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a change is taken in the same poll that returns it.
    pub async fn next(&mut self) -> Option<Change<S::Id, E>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// How many handlers are running.
    pub fn live(&self) -> usize {
        self.schedule.working()
    }

    /// Whether no handler runs or is due to start, and every change has been returned.
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.changes.is_empty() && self.schedule.is_idle()
    }

    /// The totals so far.
    pub const fn report(&self) -> Report {
        self.report
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Change<S::Id, E>>> {
        loop {
            while let Some(action) = self.schedule.poll_action() {
                self.perform(action);
            }
            if let Some(change) = self.changes.pop_front() {
                return Poll::Ready(Some(change));
            }
            if let Poll::Ready(Some(joined)) = self.tasks.poll_join_next_with_id(context) {
                self.handle_joined(joined);
            } else if self.poll_alarm(context).is_ready() {
                self.schedule.handle_time(Instant::now());
            } else if self.is_idle() {
                return Poll::Ready(None);
            } else {
                return Poll::Pending;
            }
        }
    }

    /// Ready when the time of the first alarm has come.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.schedule.alarm() else {
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

    fn perform(&mut self, action: Action<S>) {
        match action {
            Action::Start(subject) => self.start(subject),
            Action::Ask(place) => {
                if let Some(task) = self.by_place.get(&place) {
                    // The server may be gone.
                    let _ = task.stop.send(true);
                }
            }
            Action::Abort(place) => {
                if let Some(task) = self.by_place.get(&place) {
                    task.abort.abort();
                }
            }
            Action::Skip(id) => {
                self.report.skipped += 1;
                self.changes.push_back(Change::Skipped(id));
            }
        }
    }

    fn start(&mut self, subject: S) {
        let id = subject.id();
        let place = S::place(&id);
        let (stop, asked) = watch::channel(false);
        let handler = self.handler.clone();
        // The handler is called in the task, so that a panic in the call belongs to the task.
        let abort = self.tasks.spawn(async move { handler(subject, Stop::new(asked)).await });
        self.places.insert(abort.id(), place.clone());
        self.by_place.insert(place.clone(), Task { stop, abort });
        self.report.started += 1;
        self.changes.push_back(Change::Started(id));
    }

    fn handle_joined(&mut self, joined: Result<(Id, Result<(), E>), JoinError>) {
        let (task, end) = match joined {
            Ok((task, Ok(()))) => (task, End::Finished),
            Ok((task, Err(error))) => (task, End::Failed(error)),
            Err(error) => (error.id(), End::unfinished(error)),
        };
        let place = self.places.remove(&task).expect("every task has a place");
        self.by_place.remove(&place);
        let (counter, ending) = match &end {
            End::Finished => (&mut self.report.finished, Ending::Finished),
            End::Failed(_) => (&mut self.report.failed, Ending::Failed),
            End::Panicked(_) => (&mut self.report.panicked, Ending::Failed),
            End::Aborted => (&mut self.report.aborted, Ending::Finished),
        };
        *counter += 1;
        let Followup { id, asked, again_in } = self.schedule.handle_end(&place, ending, Instant::now());
        self.changes.push_back(Change::Ended { id, end, asked, again_in });
    }
}

impl<S: Subject, E> fmt::Debug for Supervisor<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("live", &self.tasks.len()).finish_non_exhaustive()
    }
}
