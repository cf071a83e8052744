//! Events on their way from the watching thread to the consumer.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::event::{Event, Why};
use crate::hints::Hints;
use crate::socket::{Socket, SocketId};

/// When this many events wait, the thread stops scanning until the consumer has caught up. Changes meanwhile leave hints,
/// so no final state is lost; they are noticed later, and what came and went in between is not noticed at all.
const HIGH_WATER: usize = 1024;

/// Below this the thread is woken to continue.
const LOW_WATER: usize = HIGH_WATER / 2;

/// A queue between one thread and one task. Bounded by [`HIGH_WATER`] plus what one scan can find, which is at most
/// three events per socket; twice as much if the consumer requests scans without taking events.
#[derive(Debug)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Where the thread waits for room.
    hints: Hints,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    start: Option<Result<(), Error>>,
    finished: bool,
    starving: bool,
    consumer: Option<Waker>,
    /// The last requested scan that has ended, and its trouble.
    looked: (u64, Option<Why>),
    /// How many have ended since the consumer took an event.
    untaken: u32,
    /// The callers, each with the scan it waits for. One that has stopped waiting is dropped when that scan ends.
    callers: BTreeMap<u64, Waker>,
}

impl Outbox {
    pub(crate) fn new(hints: Hints) -> Self {
        Self { state: Mutex::default(), hints }
    }

    // The thread's side.

    /// The outcome of the first scan.
    pub(crate) fn started(&self, outcome: Result<(), Error>) {
        self.change(|state| state.start = Some(outcome));
    }

    pub(crate) fn push(&self, events: impl IntoIterator<Item = Event>) {
        let mut events = events.into_iter().peekable();
        if events.peek().is_some() {
            self.change(|state| state.events.extend(events));
        }
    }

    /// Whether to scan further. If not, the consumer will [tell the thread](Hints::drained) when to.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.lock();
        state.starving = state.events.len() >= HIGH_WATER;
        !state.starving
    }

    /// The scan with this number, and all before it, have ended: what they found is in the queue.
    pub(crate) fn looked(&self, ticket: u64, trouble: Option<Why>) {
        let waiting = {
            let mut state = self.lock();
            state.looked = (ticket, trouble);
            state.untaken = state.untaken.saturating_add(1);
            if state.untaken > 1 && state.events.len() >= HIGH_WATER {
                forget_episodes(&mut state.events);
            }
            let later = state.callers.split_off(&(ticket + 1));
            std::mem::replace(&mut state.callers, later)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// The thread has ended.
    pub(crate) fn finish(&self) {
        self.change(|state| state.finished = true);
        let waiting = std::mem::take(&mut self.lock().callers);
        waiting.into_values().for_each(Waker::wake);
    }

    // The consumer's side.

    /// Ready once; `None` if the thread ended before it could report.
    pub(crate) fn poll_started(&self, context: &Context<'_>) -> Poll<Option<Result<(), Error>>> {
        self.poll(context, |state| match state.start.take() {
            Some(outcome) => Some(Some(outcome)),
            None => state.finished.then_some(None),
        })
    }

    /// An event, if there is one.
    pub(crate) fn take_event(&self) -> Option<Event> {
        let mut state = self.lock();
        let event = state.events.pop_front()?;
        state.untaken = 0;
        let refill = state.starving && state.events.len() < LOW_WATER;
        state.starving &= !refill;
        if state.events.is_empty() {
            // After a burst.
            state.events.shrink_to(HIGH_WATER);
        }
        drop(state);
        if refill {
            self.hints.drained();
        }
        Some(event)
    }

    /// `None` when the thread has ended and all its events have been taken.
    pub(crate) fn poll_event(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        if let Some(event) = self.take_event() {
            return Poll::Ready(Some(event));
        }
        // One may have come since.
        let mut more = false;
        let ended = self.poll(context, |state| {
            more = !state.events.is_empty();
            (more || state.finished).then_some(())
        });
        ended.map(|()| if more { self.take_event() } else { None })
    }

    /// `None` if the thread ended before the scan; otherwise the trouble of the scan.
    pub(crate) fn poll_looked(&self, ticket: u64, context: &Context<'_>) -> Poll<Option<Option<Why>>> {
        let mut state = self.lock();
        if state.looked.0 >= ticket {
            Poll::Ready(Some(state.looked.1.clone()))
        } else if state.finished {
            Poll::Ready(None)
        } else {
            state.callers.insert(ticket, context.waker().clone());
            Poll::Pending
        }
    }

    pub(crate) fn poll_finished(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(context, |state| state.finished.then_some(()))
    }

    fn poll<T>(&self, context: &Context<'_>, take: impl FnOnce(&mut State) -> Option<T>) -> Poll<T> {
        let mut state = self.lock();
        match take(&mut state) {
            Some(value) => Poll::Ready(value),
            None => {
                store(&mut state.consumer, context);
                Poll::Pending
            }
        }
    }

    fn change(&self, apply: impl FnOnce(&mut State)) {
        let consumer = {
            let mut state = self.lock();
            apply(&mut state);
            state.consumer.take()
        };
        // After the lock is released, because a waker is foreign code.
        if let Some(consumer) = consumer {
            consumer.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn store(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(context.waker()),
        none => *none = Some(context.waker().clone()),
    }
}

/// Drops sockets that came and went while no event was taken, as if no scan had seen them, and trouble that later
/// trouble replaced.
fn forget_episodes(events: &mut VecDeque<Event>) {
    let came: HashSet<SocketId> = events.iter().filter_map(arrival).map(Socket::id).collect();
    let went = events.iter().filter_map(|event| match event {
        Event::Removed { id, .. } => came.get(id).cloned(),
        _ => None,
    });
    let went: HashSet<SocketId> = went.collect();
    let (mut degraded, mut resynced) = (false, false);
    // From the back, so that the last trouble stays.
    let kept = std::mem::take(events).into_iter().rev().filter(|event| match event {
        Event::InitApply(socket) | Event::Added(socket) | Event::Ready(socket) => !went.contains(&socket.id()),
        Event::Removed { id, .. } => !went.contains(id),
        Event::Degraded(_) => !std::mem::replace(&mut degraded, true),
        Event::Resynced => !std::mem::replace(&mut resynced, true),
        Event::Init | Event::InitDone => true,
    });
    let mut kept: Vec<_> = kept.collect();
    kept.reverse();
    *events = kept.into();
}

fn arrival(event: &Event) -> Option<&Socket> {
    match event {
        Event::InitApply(socket) | Event::Added(socket) => Some(socket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    #[test]
    fn a_full_outbox_asks_for_a_pause_and_ends_it_when_drained() {
        let hints = Hints::default();
        let outbox = Outbox::new(hints.clone());
        assert!(outbox.has_room());
        outbox.push(std::iter::repeat_n(Event::Resynced, HIGH_WATER));
        assert!(!outbox.has_room());
        for _ in 0..=HIGH_WATER - LOW_WATER {
            assert_eq!(outbox.poll_event(&context()), Poll::Ready(Some(Event::Resynced)));
        }
        assert!(hints.wait_for_room());
        assert!(outbox.has_room());
    }

    #[test]
    fn looks_called_for_again_and_again_and_never_taken_do_not_pile_up() {
        use crate::roster::{Change, Roster, Sighting};
        use socket_file::{DotFiles, Facts};
        let time = std::time::UNIX_EPOCH;
        let mut roster = Roster::new("/d", DotFiles::Ignored);
        let outbox = Outbox::new(Hints::default());
        let mut scan = |ticket: u64, names: &[&str], inode: u64| {
            let facts = Facts { device: 1, inode, birth: Some(time), ctime: time, mode: 0o600, uid: 0, gid: 0 };
            for name in ["a", "b", "c"] {
                let is_there = names.contains(&name);
                roster.handle_sighting(name.into(), if is_there { Sighting::Socket(facts) } else { Sighting::Absent });
            }
            let changes: Vec<Change> = std::iter::from_fn(|| roster.poll_change()).collect();
            let trouble = [Event::Degraded(Why::Missing), Event::Resynced];
            outbox.push(changes.into_iter().map(Event::from).chain(trouble));
            outbox.looked(ticket, None);
        };
        scan(1, &["a", "b"], 1);
        while outbox.take_event().is_some() {}
        for ticket in 2..10_000 {
            scan(ticket, if ticket % 2 == 0 { &["a", "c"] } else { &["a", "b"] }, ticket);
            assert!(outbox.lock().events.len() <= HIGH_WATER + 16);
        }
        scan(10_000, &["a", "c"], 10_000);
        forget_episodes(&mut outbox.lock().events);
        let rest: Vec<_> = std::iter::from_fn(|| outbox.take_event()).collect();
        // Sockets that the consumer knew are gone and new ones have come, and each change was reported in that order.
        let told = rest.iter().map(|event| match event {
            Event::Removed { id, .. } => format!("-{}", id.path.display()),
            Event::Added(socket) => format!("+{}", socket.path.display()),
            Event::Degraded(_) => "degraded".to_owned(),
            other => format!("{other:?}"),
        });
        let mut told: Vec<_> = told.collect();
        assert_eq!(told[..2], ["-/d/a", "-/d/b"]);
        told.sort();
        assert_eq!(told, ["+/d/a", "+/d/c", "-/d/a", "-/d/b", "Resynced", "degraded"]);
    }

    #[test]
    fn what_was_left_is_taken_before_the_end() {
        let outbox = Outbox::new(Hints::default());
        assert!(outbox.poll_event(&context()).is_pending());
        outbox.push([Event::Init]);
        outbox.finish();
        assert_eq!(outbox.poll_event(&context()), Poll::Ready(Some(Event::Init)));
        assert_eq!(outbox.poll_event(&context()), Poll::Ready(None));
        assert_eq!(outbox.poll_finished(&context()), Poll::Ready(()));
        assert!(matches!(outbox.poll_started(&context()), Poll::Ready(None)));
    }
}
