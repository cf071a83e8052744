//! What every source of producers shares: how a stream becomes a connection of the funnel.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use frame_codec::Framing;
use tokio::{net::UnixStream, sync::mpsc};
use uds_actor::{Actor, Address, Peer};

use crate::{
    Error, Event, Limits, Place, Producer, ProducerId, Via,
    admission::{Admission, Pass},
    connection::{Connection, DrainHandle},
    stop::Stop,
};

/// What sources send to the funnel.
#[derive(Debug)]
pub(crate) enum Arrival {
    Connection(Box<Connection>),
    Event(Event),
}

/// Handed to every source.
#[derive(Debug)]
pub(crate) struct Site<F> {
    pub(crate) framing: F,
    pub(crate) limits: Limits,
    pub(crate) admission: Arc<Admission>,
    pub(crate) stop: Stop,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) last_id: Arc<AtomicU64>,
}

impl<F: Framing + Clone + Send + 'static> Site<F> {
    /// What comes of `future` while the funnel takes connections in: after a stop for as long as there is time, and never once
    /// it is full or gone.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // When time runs out, connections end and their slots come back: no other is let in then.
            biased;
            () = self.stop.is_over() => None,
            () = self.arrivals.closed() => None,
            () = self.admission.full() => None,
            value = future => Some(value),
        }
    }

    /// Gives the stream to an actor, and the actor to the funnel. Returns the stream if the funnel is gone.
    pub(crate) async fn attach(
        &self,
        stream: UnixStream,
        (address, via, peer): (Address, Via, Peer),
        pass: Pass,
    ) -> Result<DrainHandle, UnixStream> {
        // The actor reads from the first moment, so there must be a funnel to report it.
        let Ok(arrival) = self.arrivals.reserve().await else { return Err(stream) };
        let id = ProducerId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let producer = Arc::new(Producer { id, address, via, peer });
        let (sender, receiver, control) = Actor::new(stream, self.framing.clone())
            .limits(
                frame_codec::Limits::default()
                    .with_max_frame(self.limits.max_frame)
                    .with_oversize(self.limits.oversize),
            )
            .inbox_bytes(self.limits.per_connection_bytes)
            .spawn();
        let drain = DrainHandle::new(control);
        let connection = Connection::new(producer, receiver, sender, drain.clone(), pass);
        arrival.send(Arrival::Connection(Box::new(connection)));
        Ok(drain)
    }

    /// Says that a source has ended by itself, or with connections that it could not take in, and counts it.
    pub(crate) async fn fail(&self, place: Place, error: Error) {
        self.admission.count(|counts| counts.failed_sources += 1);
        self.trouble(place, error).await;
    }

    pub(crate) async fn trouble(&self, place: Place, error: Error) {
        self.tell(Arrival::Event(Event::Trouble { place, error })).await;
    }

    /// Tells the funnel, if it is still there: if not, the source ends, because a funnel that is dropped stops first.
    pub(crate) async fn tell(&self, arrival: Arrival) {
        drop(self.arrivals.send(arrival).await);
    }
}
