//! One producer's connection, as a stream of what happens on it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::sync::OwnedSemaphorePermit;
use uds_actor::{Control, Receiver, Report, Sender};

use crate::{
    Delivery, Event, Producer, ProducerReport,
    report::{Asked, Parting},
};

/// ```text
///   Receiving ──end of stream──▶ Ending ──actor ended──▶ Ended
///                                   Delivery…                Left(account)
/// ```
pub(crate) struct Connection {
    producer: Arc<Producer>,
    rope: Rope,
    state: State,
    /// Returned when the connection is gone, so that another may come.
    _slot: OwnedSemaphorePermit,
}

enum State {
    Receiving {
        receiver: Receiver,
        /// Held because a client that reads as well takes our half-close for the end of everything.
        _sender: Sender,
    },
    Ending(Pin<Box<dyn Future<Output = Report> + Send>>),
    Ended,
}

/// By which a connection is let go of from outside.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    control: Control,
    asked: Arc<OnceLock<Asked>>,
}

impl Rope {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, asked: Arc::default() }
    }

    /// Receives what has arrived and then ends, within `deadline`.
    pub(crate) fn let_go(&self, why: Asked, deadline: Duration) {
        // Asked twice, it is the first word that counts.
        let _ = self.asked.set(why);
        drop(self.control.drain(deadline));
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(&self) {
        self.control.finished().await;
    }
}

impl Connection {
    pub(crate) const fn new(
        producer: Arc<Producer>,
        receiver: Receiver,
        sender: Sender,
        rope: Rope,
        slot: OwnedSemaphorePermit,
    ) -> Self {
        Self { producer, rope, state: State::Receiving { receiver, _sender: sender }, _slot: slot }
    }

    pub(crate) const fn producer(&self) -> &Arc<Producer> {
        &self.producer
    }

    pub(crate) const fn rope(&self) -> &Rope {
        &self.rope
    }

    /// Ends it without receiving any more: what is received and not delivered is lost.
    pub(crate) fn abandon(&mut self) {
        if matches!(self.state, State::Receiving { .. }) {
            drop(self.rope.control.abort());
            self.await_report();
        }
    }

    fn await_report(&mut self) {
        let control = self.rope.control.clone();
        self.state = State::Ending(Box::pin(async move { control.finished().await }));
    }

    fn account(&self, report: Report) -> ProducerReport {
        ProducerReport {
            producer: Arc::clone(&self.producer),
            received: report.received,
            delivered: report.delivered,
            lost: report.lost,
            truncated_bytes: report.truncated_receiving,
            parting: Parting::new(report.reason, self.rope.asked.get().copied()),
        }
    }
}

impl Stream for Connection {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match &mut self.state {
                State::Receiving { receiver, .. } => match ready!(receiver.poll_recv_batch(cx)) {
                    Some(batch) => {
                        let producer = Arc::clone(&self.producer);
                        return Poll::Ready(Some(Event::Delivery(Delivery { producer, batch })));
                    }
                    None => self.await_report(),
                },
                State::Ending(report) => {
                    let report = ready!(report.as_mut().poll(cx));
                    self.state = State::Ended;
                    return Poll::Ready(Some(Event::Left(self.account(report))));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("producer", &self.producer).finish_non_exhaustive()
    }
}
