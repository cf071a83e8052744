//! Producers that offer a socket: we connect to each that joins and let go of each that leaves.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use frame_codec::Framing;
use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::{net::UnixStream, sync::OwnedSemaphorePermit, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use uds_actor::{AcceptStats, Admit, Connect, Peer};

use crate::{
    Endpoint, Error, Event, Membership, Place, Via,
    report::Asked,
    site::{Arrival, FunnelGone, Site},
};

/// How long a socket that refuses is tried before somebody is told. It is tried on after that.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pauses between attempts: short enough that a restart is hardly noticed, in the end long enough not to be a load.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection whose socket has vanished may take to give what has arrived.
const LET_GO: Duration = Duration::from_secs(5);

/// Who is announced, and how to come to them.
pub(crate) trait Member: Send + Sync + 'static {
    /// What tells this one from all others.
    fn endpoint(&self) -> &Endpoint;

    /// One attempt.
    fn connect(&self) -> impl Future<Output = Result<UnixStream, uds_actor::Error>> + Send;
}

/// Whoever has the address.
impl Member for Endpoint {
    fn endpoint(&self) -> &Endpoint {
        self
    }

    async fn connect(&self) -> Result<UnixStream, uds_actor::Error> {
        Connect::to(self.address.clone()).connect().await
    }
}

/// Keeps one task for each member that is there.
pub(crate) async fn run<F, M, S>(members: S, place: Place, admit: Admit, site: Site<F>) -> AcceptStats
where
    F: Framing + Clone + Send + Sync + 'static,
    M: Member,
    S: Stream<Item = Membership<M>> + Send,
{
    let mut members = std::pin::pin!(members);
    let site = Arc::new(site);
    let mut present: HashMap<Endpoint, CancellationToken> = HashMap::new();
    let mut attending = JoinSet::new();
    loop {
        let change = tokio::select! {
            () = site.stop.asked() => break,
            change = members.next() => change,
            Some(_) = attending.join_next() => continue,
        };
        let told = match change {
            Some(Membership::Joined(member)) => {
                // Who is there already and is announced again is still one producer.
                if let Entry::Vacant(vacant) = present.entry(member.endpoint().clone()) {
                    let leaving = vacant.insert(CancellationToken::new()).clone();
                    attending.spawn(attend(member, admit.clone(), leaving, Arc::clone(&site)));
                }
                Ok(())
            }
            Some(Membership::Left(member)) => {
                if let Some(leaving) = present.remove(member.endpoint()) {
                    leaving.cancel();
                }
                Ok(())
            }
            Some(Membership::Synced) => site.tell(Arrival::Event(Event::Synced(place.clone()))).await,
            Some(Membership::Degraded(why)) => site.trouble(place.clone(), Error::Degraded { why }).await,
            None => break,
        };
        if told.is_err() {
            break;
        }
    }
    // Members that nobody lists any longer stay connected until they close, or until the funnel stops.
    while attending.join_next().await.is_some() {}
    AcceptStats::default()
}

/// Connects to one member and stays with it until it leaves or its connection ends.
///
/// A connection that ended is not made again for the same socket: a server that hands its file to everybody who connects
/// would hand it out over and over.
async fn attend<F: Framing + Clone + Send + 'static>(
    member: impl Member,
    admit: Admit,
    leaving: CancellationToken,
    site: Arc<Site<F>>,
) {
    let connected = tokio::select! {
        () = leaving.cancelled() => return,
        () = site.stop.asked() => return,
        connected = connect(&member, &admit, &site) => connected,
    };
    let address = member.endpoint().address.clone();
    let Some((stream, peer, slot)) = connected else { return };
    // Not to be cancelled: from here on the connection has an actor that receives.
    let Ok(rope) = site.attach(stream, (address, Via::Directory, peer), slot).await else { return };
    tokio::select! {
        () = rope.ended() => return,
        () = site.stop.asked() => return,
        () = leaving.cancelled() => {}
    }
    // The name is gone, but whoever holds the connection may still be writing to it.
    tokio::select! {
        () = rope.ended() => {}
        // Now the deadline of the stop counts.
        () = site.stop.asked() => {}
        () = sleep(site.limits.vanished_grace) => rope.let_go(Asked::Vanished, LET_GO),
    }
}

/// Tries until it succeeds or cannot succeed any longer, and says once what is in the way.
///
/// A slot is held for one attempt at a time: sockets that refuse do not take the place of those that serve.
async fn connect<F: Framing + Clone + Send + 'static>(
    member: &impl Member,
    admit: &Admit,
    site: &Site<F>,
) -> Option<(UnixStream, Peer, OwnedSemaphorePermit)> {
    let address = &member.endpoint().address;
    let place = Place::Socket(address.clone());
    let began = Instant::now();
    let mut told = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let slot = site.slot().await;
        let attempt = member.connect().await;
        let error = match attempt.and_then(|stream| Peer::of(&stream).map(|peer| (stream, peer))) {
            Ok((stream, peer)) if admit.admits(&peer) => return Some((stream, peer, slot)),
            Ok((_, peer)) => Error::NotAdmitted { address: address.clone(), peer },
            Err(error) => Error::Socket(waited(error, began.elapsed())),
        };
        drop(slot);
        if !error.is_retryable() {
            return give_up(site, place, error).await;
        }
        if began.elapsed() >= PATIENCE && !std::mem::replace(&mut told, true) {
            site.trouble(place.clone(), error).await.ok()?;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// The error of the last attempt, saying how long there were attempts.
fn waited(mut error: uds_actor::Error, time: Duration) -> uds_actor::Error {
    use uds_actor::Error::{NobodyListening, NotThere, QueueFull};
    if let NotThere { waited, .. } | NobodyListening { waited, .. } | QueueFull { waited, .. } = &mut error {
        *waited = time;
    }
    error
}

async fn give_up<F: Framing + Clone + Send + 'static, T>(site: &Site<F>, place: Place, error: Error) -> Option<T> {
    let _: Result<(), FunnelGone> = site.trouble(place, error).await;
    None
}
