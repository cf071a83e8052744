//! All connections of a funnel, polled in the order of the schedule.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_core::Stream as _;
use futures_util::task::AtomicWaker;

use crate::{Event, ProducerId, connection::Connection, schedule::Schedule};

/// How much one producer may deliver in each round, in bytes of memory: one full read.
pub(crate) const QUANTUM: usize = 64 << 10;

/// Connections by their producer's number, with a [`Schedule`] that decides which to poll.
///
/// Only connections that were woken are polled: idle ones cost nothing.
#[derive(Debug)]
pub(crate) struct Connections {
    members: HashMap<ProducerId, Member>,
    schedule: Schedule,
    woken: Arc<Woken>,
}

#[derive(Debug)]
struct Member {
    connection: Connection,
    ring: Arc<Ring>,
    waker: Waker,
}

/// The connections that were woken since the last poll, and the task to wake for them.
#[derive(Debug, Default)]
struct Woken {
    producers: Mutex<Vec<ProducerId>>,
    task: AtomicWaker,
}

/// The waker of one connection.
#[derive(Debug)]
struct Ring {
    producer: ProducerId,
    is_woken: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            self.woken.producers.lock().unwrap_or_else(PoisonError::into_inner).push(self.producer);
            self.woken.task.wake();
        }
    }
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { members: HashMap::new(), schedule: Schedule::new(QUANTUM), woken: Arc::default() }
    }

    pub(crate) fn push(&mut self, connection: Connection) {
        let producer = connection.producer().id;
        let ring = Arc::new(Ring { producer, is_woken: AtomicBool::new(false), woken: Arc::clone(&self.woken) });
        let waker = Waker::from(Arc::clone(&ring));
        self.schedule.ready(producer);
        self.members.insert(producer, Member { connection, ring, waker });
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.members.values().map(|member| &member.connection)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        // With `&mut`, the caller may change what a connection waits for.
        for producer in self.members.keys() {
            self.schedule.ready(*producer);
        }
        self.members.values_mut().map(|member| &mut member.connection)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The connection of this producer, if it has not ended.
    pub(crate) fn get_mut(&mut self, producer: ProducerId) -> Option<&mut Connection> {
        self.members.get_mut(&producer).map(|member| &mut member.connection)
    }

    /// The next event of the next producer in the schedule; `None` if there are no connections.
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<Event>> {
        self.woken.task.register(cx.waker());
        self.note_woken();
        while let Some(producer) = self.schedule.next() {
            let Some(Member { connection, waker, .. }) = self.members.get_mut(&producer) else {
                self.schedule.remove(producer);
                continue;
            };
            match Pin::new(connection).poll_next(&mut Context::from_waker(waker)) {
                Poll::Ready(Some(event)) => {
                    match &event {
                        Event::Delivery(delivery) => {
                            self.schedule.charge(producer, delivery.batch().memory_len());
                        }
                        // Nothing follows this event.
                        Event::Left(_) => self.remove(producer),
                        _ => {}
                    }
                    return Poll::Ready(Some(event));
                }
                Poll::Ready(None) => self.remove(producer),
                Poll::Pending => self.schedule.idle(producer),
            }
        }
        if self.members.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn remove(&mut self, producer: ProducerId) {
        self.schedule.remove(producer);
        self.members.remove(&producer);
    }

    fn note_woken(&mut self) {
        let mut woken = self.woken.producers.lock().unwrap_or_else(PoisonError::into_inner);
        for producer in woken.drain(..) {
            if let Some(member) = self.members.get(&producer) {
                // Before the poll, so that a wake during the poll is noticed.
                member.ring.is_woken.store(false, Ordering::Release);
                self.schedule.ready(producer);
            }
        }
    }
}
