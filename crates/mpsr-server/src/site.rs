//! What the sources of producers share: how a stream becomes a connection of the funnel.

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

/// The context of a source.
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
    /// The result of `future`, as long as the funnel admits connections: after a stop only within its deadline, and
    /// never once the funnel is full or gone.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // When time runs out, connections end and release their slots. No other connection may be admitted then.
            biased;
            () = self.stop.is_over() => None,
            () = self.arrivals.closed() => None,
            () = self.admission.full() => None,
            value = future => Some(value),
        }
    }

    /// Starts an actor for the stream, and passes the actor to the funnel. Returns the stream if the funnel is gone.
    pub(crate) async fn attach(
        &self,
        stream: UnixStream,
        (address, via, peer): (Address, Via, Peer),
        pass: Pass,
    ) -> Result<DrainHandle, UnixStream> {
        // The actor reads immediately, so there must be a funnel that reports it.
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

    /// Reports and counts a source that has ended by itself, or with connections that it could not accept.
    pub(crate) async fn fail(&self, place: Place, error: Error) {
        self.admission.count(|counts| counts.failed_sources += 1);
        self.trouble(place, error).await;
    }

    pub(crate) async fn trouble(&self, place: Place, error: Error) {
        self.tell(Arrival::Event(Event::Trouble { place, error })).await;
    }

    /// Sends to the funnel, if it still exists. If not, the source ends: dropping a funnel stops it first.
    pub(crate) async fn tell(&self, arrival: Arrival) {
        drop(self.arrivals.send(arrival).await);
    }
}
