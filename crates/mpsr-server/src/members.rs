//! Producers that offer a socket: we connect to each that joins and release each that leaves.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::{Duration, Instant},
};

use frame_codec::Framing;
use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::{
    net::UnixStream,
    sync::OwnedSemaphorePermit,
    task::{JoinError, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uds_actor::{AcceptStats, Admit, Connect, Peer};

use crate::{
    Endpoint, Error, Event, Membership, Place, Via,
    connection::DrainHandle,
    report::Asked,
    site::{Arrival, Site},
};

/// How long connecting to a socket fails before the application is told. We go on trying after that.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pauses between attempts: short enough that a restart is hardly noticed, in the end long enough not to be a load.
/// A connection that lasted as long as the longest pause starts them over.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection whose socket has vanished may take to deliver what has arrived.
const DRAIN: Duration = Duration::from_secs(5);

/// A socket that is announced, and how to connect to it.
pub(crate) trait Member: Send + Sync + 'static {
    /// Distinguishes this one from all others.
    fn endpoint(&self) -> &Endpoint;

    /// One attempt.
    fn connect(&self) -> impl Future<Output = Result<UnixStream, uds_actor::Error>> + Send;
}

/// Connects to whatever has the address now.
impl Member for Endpoint {
    fn endpoint(&self) -> &Endpoint {
        self
    }

    async fn connect(&self) -> Result<UnixStream, uds_actor::Error> {
        Connect::to(self.address.clone()).connect().await
    }
}

/// What a funnel does with members, whatever the source.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Which peers may offer a socket.
    pub(crate) admit: Admit,
    /// Whether a connection that ended is made again while its socket is there.
    pub(crate) reconnect: bool,
}

/// Keeps one task for each member that is there. Answers how many peers were rejected.
pub(crate) async fn run<F, M, S>(members: S, place: Place, policy: Policy, site: Site<F>) -> AcceptStats
where
    F: Framing + Clone + Send + Sync + 'static,
    M: Member,
    S: Stream<Item = Membership<M>> + Send,
{
    let mut members = std::pin::pin!(members);
    let site = Arc::new(site);
    let mut present: HashMap<Endpoint, CancellationToken> = HashMap::new();
    let mut attending = JoinSet::new();
    let mut stats = AcceptStats::default();
    let mut note = |ended: Result<Rejections, JoinError>| {
        stats.rejected += ended.expect("these tasks do not panic and are not aborted").0;
    };
    loop {
        let change = tokio::select! {
            () = site.stop.asked() => break,
            change = members.next() => change,
            Some(ended) = attending.join_next() => {
                note(ended);
                continue;
            }
        };
        let told = match change {
            Some(Membership::Joined(member)) => {
                // A member that is there already and is announced again is still one producer.
                if let Entry::Vacant(vacant) = present.entry(member.endpoint().clone()) {
                    let leaving = vacant.insert(CancellationToken::new()).clone();
                    attending.spawn(attend(member, policy.clone(), leaving, Arc::clone(&site)));
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
            None => {
                if let Place::Directory(_) = place {
                    let why = "the watcher has ended".to_owned();
                    drop(site.trouble(place.clone(), Error::Degraded { why }).await);
                }
                break;
            }
        };
        if told.is_err() {
            break;
        }
    }
    // Members that are no longer listed stay connected until they close, or until the funnel stops.
    while let Some(ended) = attending.join_next().await {
        note(ended);
    }
    stats
}

/// How many connections one member was rejected on.
struct Rejections(u64);

/// Connects to one member and stays with it until it leaves or its connection ends.
///
/// Unless the policy says so, a connection that ended is not made again for the same socket: a server that hands its file
/// to every client would hand it out over and over.
async fn attend<F: Framing + Clone + Send + 'static>(
    member: impl Member,
    policy: Policy,
    leaving: CancellationToken,
    site: Arc<Site<F>>,
) -> Rejections {
    let mut pause = FIRST_PAUSE;
    loop {
        let connected = tokio::select! {
            () = leaving.cancelled() => return Rejections(0),
            () = site.stop.asked() => return Rejections(0),
            connected = connect(&member, &policy.admit, &site) => connected,
        };
        let address = member.endpoint().address.clone();
        let (stream, peer, slot) = match connected {
            Connected::Admitted(stream, peer, slot) => (stream, peer, slot),
            Connected::Rejected(peer) => {
                let place = Place::Socket(address);
                drop(site.tell(Arrival::Event(Event::Rejected { place, peer: Some(peer) })).await);
                return Rejections(1);
            }
            Connected::GaveUp => return Rejections(0),
        };
        let began = Instant::now();
        // Not to be cancelled: from here on the connection has an actor that receives.
        let Ok(drain) = site.attach(stream, (address, Via::Directory, peer), slot).await else { return Rejections(0) };
        tokio::select! {
            () = drain.ended() => {}
            () = site.stop.asked() => return Rejections(0),
            () = leaving.cancelled() => {
                release(&drain, &site).await;
                return Rejections(0);
            }
        }
        if !policy.reconnect {
            return Rejections(0);
        }
        if began.elapsed() >= LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = leaving.cancelled() => return Rejections(0),
            () = site.stop.asked() => return Rejections(0),
            () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

/// Ends a connection whose socket has vanished. Its peer may still be writing to it, and has the grace to stop.
async fn release<F>(drain: &DrainHandle, site: &Site<F>) {
    tokio::select! {
        () = drain.ended() => {}
        // Now the deadline of the stop counts.
        () = site.stop.asked() => {}
        () = sleep(site.limits.vanished_grace) => drain.drain(Asked::Vanished, DRAIN),
    }
}

/// What came of trying to connect.
enum Connected {
    Admitted(UnixStream, Peer, OwnedSemaphorePermit),
    Rejected(Peer),
    /// Trying again cannot help. The application has been told.
    GaveUp,
}

/// Tries until it succeeds or cannot succeed any longer, and says once what is in the way.
///
/// A slot is held for one attempt at a time: sockets that refuse do not take the place of those that serve.
async fn connect<F: Framing + Clone + Send + 'static>(
    member: &impl Member,
    admit: &Admit,
    site: &Site<F>,
) -> Connected {
    let place = Place::Socket(member.endpoint().address.clone());
    let began = Instant::now();
    let mut told = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let slot = site.slot().await;
        let attempt = member.connect().await;
        let error = match attempt.and_then(|stream| Peer::of(&stream).map(|peer| (stream, peer))) {
            Ok((stream, peer)) if admit.admits(&peer) => return Connected::Admitted(stream, peer, slot),
            Ok((_, peer)) => return Connected::Rejected(peer),
            Err(error) => Error::Socket(waited(error, began.elapsed())),
        };
        drop(slot);
        let is_final = !error.is_retryable();
        if is_final || (began.elapsed() >= PATIENCE && !std::mem::replace(&mut told, true)) {
            let heard = site.trouble(place.clone(), error).await;
            if is_final || heard.is_err() {
                return Connected::GaveUp;
            }
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
