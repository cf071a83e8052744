//! The receiver of many producers.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_core::Stream;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::{DropGuard, WaitForCancellationFutureOwned};
use uds_actor::{Address, Count};

use crate::{
    Delivery, Event, Handle, Message, ProducerId, Report, admission::Admission, connections::Connections,
    message::Current, report::Asked, site::Arrival, stop::Stop,
};

/// Receives from many producers.
///
/// [`Funnel::builder`] makes one. The funnel serves producers in rounds: in each round, a producer delivers what it has
/// queued, up to 64 KiB of memory and one more batch. Any excess counts against its later rounds. A producer that has
/// something queued therefore waits for at most one such quantum of each other producer, however much they send. The
/// bytes of a producer in the funnel are bounded; beyond that, the kernel makes it wait.
///
/// Dropping the funnel ends every connection. Messages that were received and not delivered are lost.
#[derive(Debug)]
pub struct Funnel {
    pub(crate) listening: Vec<Address>,
    /// `None` once every source has ended.
    pub(crate) arrivals: Option<mpsc::Receiver<Arrival>>,
    pub(crate) connections: Connections,
    /// The batch that `recv_message` reads from.
    pub(crate) current: Current,
    /// Whether the last event was an arrival, so that deliveries are next if there are any.
    pub(crate) told_arrival: bool,
    pub(crate) sources: JoinSet<()>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) stop: Stop,
    /// `None` once the stop was noticed.
    pub(crate) stopping: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    pub(crate) report: Report,
    pub(crate) started: Instant,
    /// Ends the sources when the funnel is dropped.
    pub(crate) _guard: DropGuard,
}

impl Funnel {
    /// Waits for the next messages, from the next producer in the schedule. It returns `None` after a
    /// [shutdown](Handle::shutdown), when everything has been delivered. Without a shutdown, it returns `None` when
    /// every source has ended: the application's streams of members, listeners that broke, or all of them once the
    /// funnel had as many producers as [`Limits::admissions`](crate::Limits::admissions) allows.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv(&mut self) -> Option<Delivery> {
        loop {
            if let Event::Delivery(delivery) = self.next().await? {
                return Some(delivery);
            }
        }
    }

    /// Waits for the next message and lends it. It returns `None` like [`recv`](Self::recv).
    ///
    /// Use it for code that decides after each message: it needs one loop, whereas batches need two. You may mix it
    /// with [`recv`](Self::recv) and [`next`](Self::next), which first return the rest of the current batch. Messages
    /// that you do not take before [`finished`](Self::finished) are lost, and reported as lost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use mpsr_server::{Bind, Connect, Delimited, Funnel};
    /// # use tokio::io::AsyncWriteExt as _;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("in.sock");
    /// let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await?;
    /// # let mut client = Connect::path(&path).connect().await?;
    /// # client.write_all(b"add 2\nquit\nadd 3\n").await?;
    /// let mut added = 0;
    /// while let Some(message) = funnel.recv_message().await {
    ///     match message.payload() {
    ///         b"quit" => break,
    ///         _ => added += 1,
    ///     }
    /// }
    /// assert_eq!(added, 1);
    /// let report = funnel.finished().await;
    /// assert_eq!((report.delivered.frames, report.lost.frames), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken no message.
    pub async fn recv_message(&mut self) -> Option<Message<'_>> {
        while self.current.is_empty() {
            // Release the memory before waiting for more.
            self.current = Current::default();
            let delivery = self.recv().await?;
            self.current = Current::new(delivery);
        }
        self.current.next()
    }

    /// Like [`recv`](Self::recv), but returns all other events, too: which producers join, which leave with which
    /// report, what is missing or rejected, and problems.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(rest) = self.current.take_rest() {
            return Poll::Ready(Some(Event::Delivery(rest)));
        }
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            for connection in self.connections.iter() {
                connection.drain_handle().drain(Asked::Shutdown, self.stop.left());
            }
        }
        // A flood of connections must not delay deliveries, nor the other way round.
        if !std::mem::replace(&mut self.told_arrival, false)
            && let Some(event) = self.poll_arrival(cx)
        {
            self.told_arrival = true;
            return Poll::Ready(Some(event));
        }
        match self.connections.poll_next(cx) {
            Poll::Ready(Some(event)) => {
                if let Event::Left(left) = &event {
                    self.report.add(left);
                }
                return Poll::Ready(Some(event));
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        let event = self.poll_arrival(cx);
        self.told_arrival = event.is_some();
        match event {
            Some(event) => Poll::Ready(Some(event)),
            None if self.arrivals.is_none() && self.connections.is_empty() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// The next connection or event from the sources, if there is one.
    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        match self.arrivals.as_mut()?.poll_recv(cx) {
            Poll::Ready(Some(Arrival::Connection(connection))) => {
                if self.stop.is_asked() {
                    connection.drain_handle().drain(Asked::Shutdown, self.stop.left());
                }
                let producer = connection.producer().clone();
                self.report.producers += 1;
                self.connections.push(*connection);
                Some(Event::Joined(producer))
            }
            Poll::Ready(Some(Arrival::Event(event))) => Some(event),
            Poll::Ready(None) => {
                self.arrivals = None;
                None
            }
            Poll::Pending => None,
        }
    }

    /// Counts messages as lost instead of delivered, because the application could not deliver them after
    /// [`recv`](Self::recv) had returned them. They count in the report of their producer, if that has not
    /// [left](Event::Left) yet, and in the funnel's.
    ///
    /// Use it if a message counts as delivered only when something else has accepted it: a file, a pipe, another
    /// connection. At most as many count as the producer, or the funnel, has delivered.
    pub fn mark_lost(&mut self, producer: ProducerId, count: Count) {
        match self.connections.get_mut(producer) {
            // When the producer leaves, its count goes into the funnel's report.
            Some(connection) => connection.mark_lost(count),
            None => self.report.mark_lost(count),
        }
    }

    /// The addresses on which the funnel listens.
    #[must_use]
    pub fn listening(&self) -> &[Address] {
        &self.listening
    }

    /// A handle to stop the funnel with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { stop: self.stop.clone() }
    }

    /// Ends the funnel and returns the report.
    ///
    /// After [`recv`](Self::recv) has returned `None`, nothing is left that could be lost. Before that, this ends every
    /// connection abruptly.
    pub async fn finished(mut self) -> Report {
        self.stop.ask(Duration::ZERO);
        if let Some((producer, left)) = self.current.left() {
            self.mark_lost(producer, left);
        }
        self.current = Current::default();
        if let Some(mut arrivals) = self.arrivals.take() {
            arrivals.close();
            while let Some(arrival) = arrivals.recv().await {
                if let Arrival::Connection(connection) = arrival {
                    self.report.producers += 1;
                    self.connections.push(*connection);
                }
            }
        }
        for connection in self.connections.iter_mut() {
            connection.abandon();
        }
        while let Some(event) = poll_fn(|cx| self.connections.poll_next(cx)).await {
            if let Event::Left(left) = event {
                self.report.add(&left);
            }
        }
        while let Some(ended) = self.sources.join_next().await {
            ended.expect("sources do not panic and are not aborted");
        }
        self.report.count(self.admission.counts());
        self.report.elapsed = self.started.elapsed();
        self.report.clone()
    }
}

impl Stream for Funnel {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_event(cx)
    }
}
