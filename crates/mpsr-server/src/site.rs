//! What every source of producers shares: how a stream becomes a connection of the funnel.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use frame_codec::Framing;
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use uds_actor::{Actor, Address, Peer};

use crate::{
    Error, Event, Limits, Place, Producer, ProducerId, Via,
    connection::{Connection, DrainHandle},
    stop::Stop,
};

/// What sources send to the funnel.
#[derive(Debug)]
pub(crate) enum Arrival {
    Connection(Connection),
    Event(Event),
}

/// Handed to every source.
#[derive(Debug)]
pub(crate) struct Site<F> {
    pub(crate) framing: F,
    pub(crate) limits: Limits,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) stop: Stop,
    pub(crate) arrivals: mpsc::Sender<Arrival>,
    pub(crate) last_id: Arc<AtomicU64>,
}

/// The funnel is gone: the source ends.
#[derive(Debug)]
pub(crate) struct FunnelGone;

impl<F: Framing + Clone + Send + 'static> Site<F> {
    /// Waits until the funnel has room for one more connection.
    pub(crate) async fn slot(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// What comes of `future` while there is still a funnel to tell it to, and time: a stop leaves some.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.stop.is_over() => None,
            () = self.arrivals.closed() => None,
            value = future => Some(value),
        }
    }

    /// Gives the stream to an actor, and the actor to the funnel.
    pub(crate) async fn attach(
        &self,
        stream: UnixStream,
        (address, via, peer): (Address, Via, Peer),
        slot: OwnedSemaphorePermit,
    ) -> Result<DrainHandle, FunnelGone> {
        // The actor reads from the first moment, so there must be a funnel to report it.
        let arrival = self.arrivals.reserve().await.map_err(|_| FunnelGone)?;
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
        let connection = Connection::new(producer, receiver, sender, drain.clone(), slot);
        arrival.send(Arrival::Connection(connection));
        Ok(drain)
    }

    pub(crate) async fn trouble(&self, place: Place, error: Error) -> Result<(), FunnelGone> {
        self.tell(Arrival::Event(Event::Trouble { place, error })).await
    }

    pub(crate) async fn tell(&self, arrival: Arrival) -> Result<(), FunnelGone> {
        self.arrivals.send(arrival).await.map_err(|_| FunnelGone)
    }
}
