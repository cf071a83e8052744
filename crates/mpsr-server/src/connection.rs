//! One producer's connection, as a stream of its events.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use frame_codec::Batch;
use futures_core::Stream;
use uds_actor::{Control, Count, Receiver, Report, Sender};

use crate::{
    Delivery, Event, Producer, ProducerReport,
    admission::Pass,
    report::{Asked, Parting},
};

/// ```text
///   Receiving ──end of stream──▶ Ending ──actor ended──▶ Ended
///   Missing, Delivery …             Left(report)
/// ```
pub(crate) struct Connection {
    producer: Arc<Producer>,
    drain: DrainHandle,
    state: State,
    /// To be returned next: the delivery that follows missing messages.
    next: Option<Delivery>,
    /// Messages returned so far.
    delivered: Count,
    /// How many of these the application could not deliver.
    lost_later: Count,
    /// Released with the connection, so that another one can be admitted.
    pass: Pass,
}

enum State {
    Receiving {
        receiver: Receiver,
        /// We hold a sender because a client that also reads would take our half-close for the end of the connection.
        _sender: Sender,
    },
    Ending(Pin<Box<dyn Future<Output = Report> + Send>>),
    Ended,
}

/// Ends a connection after it has received what has arrived.
#[derive(Clone, Debug)]
pub(crate) struct DrainHandle {
    control: Control,
    asked: Arc<OnceLock<Asked>>,
}

impl DrainHandle {
    pub(crate) fn new(control: Control) -> Self {
        Self { control, asked: Arc::default() }
    }

    /// Receives what has arrived, then ends, within `deadline`.
    pub(crate) fn drain(&self, why: Asked, deadline: Duration) {
        // The first reason is the one that counts.
        let _ = self.asked.set(why);
        drop(self.control.drain(deadline));
    }

    /// Waits until the connection has ended.
    #[cfg(feature = "dir")]
    pub(crate) async fn ended(&self) {
        self.control.finished().await;
    }
}

impl Connection {
    pub(crate) const fn new(
        producer: Arc<Producer>,
        receiver: Receiver,
        sender: Sender,
        drain: DrainHandle,
        pass: Pass,
    ) -> Self {
        Self {
            producer,
            drain,
            state: State::Receiving { receiver, _sender: sender },
            next: None,
            delivered: Count { frames: 0, bytes: 0 },
            lost_later: Count { frames: 0, bytes: 0 },
            pass,
        }
    }

    pub(crate) const fn producer(&self) -> &Arc<Producer> {
        &self.producer
    }

    pub(crate) const fn drain_handle(&self) -> &DrainHandle {
        &self.drain
    }

    /// Counts messages that were returned as lost; at most as many as were returned.
    pub(crate) fn mark_lost(&mut self, count: Count) {
        let left = self.delivered - self.lost_later;
        let count = Count { frames: count.frames.min(left.frames), bytes: count.bytes.min(left.bytes) };
        self.lost_later += count;
    }

    /// Returns a batch, after reporting the messages that are missing before it.
    fn deliver(&mut self, batch: Batch) -> Option<Event> {
        let skipped = u64::from(batch.skipped());
        if !batch.is_empty() {
            self.next = Some(Delivery { producer: Arc::clone(&self.producer), batch });
        }
        if skipped > 0 {
            return Some(Event::Missing { producer: Arc::clone(&self.producer), count: skipped });
        }
        self.take_next()
    }

    fn take_next(&mut self) -> Option<Event> {
        let delivery = self.next.take()?;
        self.delivered += Count::of(&delivery.batch);
        Some(Event::Delivery(delivery))
    }

    /// Ends the connection without receiving more. Messages that were received and not delivered are lost.
    pub(crate) fn abandon(&mut self) {
        if let Some(delivery) = self.next.take() {
            // The actor counts it as delivered.
            self.delivered += Count::of(&delivery.batch);
            self.mark_lost(Count::of(&delivery.batch));
        }
        if matches!(self.state, State::Receiving { .. }) {
            drop(self.drain.control.abort());
            self.await_report();
        }
    }

    fn await_report(&mut self) {
        let control = self.drain.control.clone();
        self.state = State::Ending(Box::pin(async move { control.finished().await }));
    }

    fn report(&mut self, report: Report) -> ProducerReport {
        let mut lost = report.lost;
        lost += self.lost_later;
        let report = ProducerReport {
            producer: Arc::clone(&self.producer),
            received: report.received,
            delivered: report.delivered - self.lost_later,
            lost,
            truncated_bytes: report.truncated_receiving,
            unterminated: report.unterminated,
            skipped: report.skipped,
            shortened: report.shortened,
            parting: Parting::new(report.reason, self.drain.asked.get().copied()),
        };
        if !report.is_empty() {
            self.pass.spend();
        }
        report
    }
}

impl Stream for Connection {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.take_next() {
                return Poll::Ready(Some(event));
            }
            match &mut self.state {
                State::Receiving { receiver, .. } => match ready!(receiver.poll_recv_batch(cx)) {
                    Some(batch) => {
                        self.pass.spend();
                        if let Some(event) = self.deliver(batch) {
                            return Poll::Ready(Some(event));
                        }
                    }
                    None => self.await_report(),
                },
                State::Ending(report) => {
                    let report = ready!(report.as_mut().poll(cx));
                    self.state = State::Ended;
                    return Poll::Ready(Some(Event::Left(self.report(report))));
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
