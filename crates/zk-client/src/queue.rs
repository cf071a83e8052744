//! A bounded queue between the task and the reader of a stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// The result of queueing an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// The queue was full.
    Full,
    /// The reader is gone.
    Gone,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    ended: bool,
    gone: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    max: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. Dropping it ends the queue.
#[derive(Debug)]
pub(crate) struct Writer<T>(Arc<Shared<T>>);

/// The reading end.
#[derive(Debug)]
pub(crate) struct Reader<T>(Arc<Shared<T>>);

/// Creates a queue for `max` items.
pub(crate) fn queue<T>(max: usize) -> (Writer<T>, Reader<T>) {
    let state = State { items: VecDeque::new(), ended: false, gone: false, waker: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), max });
    (Writer(Arc::clone(&shared)), Reader(shared))
}

impl<T> Writer<T> {
    /// Queues an item, if there is room.
    pub(crate) fn push(&self, item: T) -> Pushed {
        self.change(|state, max| {
            if state.items.len() >= max {
                return Pushed::Full;
            }
            state.items.push_back(item);
            Pushed::Queued
        })
    }

    /// Replaces all queued items by this one.
    pub(crate) fn replace(&self, item: T) -> Pushed {
        self.change(|state, _| {
            state.items.clear();
            state.items.push_back(item);
            Pushed::Queued
        })
    }

    fn change(&self, change: impl FnOnce(&mut State<T>, usize) -> Pushed) -> Pushed {
        let (pushed, waker) = {
            let mut state = self.0.lock();
            if state.gone {
                return Pushed::Gone;
            }
            (change(&mut state, self.0.max), state.waker.take())
        };
        waker.into_iter().for_each(Waker::wake);
        pushed
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.0.lock();
            state.ended = true;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Reader<T> {
    /// The next item; `None` when the writer is gone and all items were read.
    pub(crate) fn poll_next(&self, cx: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        let items = std::mem::take(&mut state.items);
        drop(state);
        drop(items);
    }
}
