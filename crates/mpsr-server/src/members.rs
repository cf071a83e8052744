//! Producers that offer a socket. The funnel connects to each socket that appears, and ends the connection when it vanishes.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use frame_codec::Framing;
use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::{
    net::UnixStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uds_actor::{Admit, Connect, Peer};

use crate::{
    Endpoint, Error, Event, Membership, Place, Via,
    admission::Pass,
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

/// The longest pause once no process has listened for a long time: the socket may be a dead one among thousands. One that is
/// announced again is tried at once.
const LAST_PAUSE_UNHEARD: Duration = Duration::from_secs(30);

/// After a socket has vanished, how long its connection may take to deliver what has arrived.
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

/// Keeps one task for each member that is there.
pub(crate) async fn run<F, M, S>(members: S, place: Place, policy: Policy, site: Site<F>)
where
    F: Framing + Clone + Send + Sync + 'static,
    M: Member,
    S: Stream<Item = Membership<M>> + Send,
{
    let mut members = std::pin::pin!(members);
    let site = Arc::new(site);
    let mut present: HashMap<Endpoint, Attended> = HashMap::new();
    let mut attending = JoinSet::new();
    let mut is_full = false;
    // When the funnel is full, only those that are connected are of interest: until they leave.
    while !is_full || !attending.is_empty() {
        let change = tokio::select! {
            () = site.stop.asked() => break,
            () = site.admission.full(), if !is_full => {
                is_full = true;
                continue;
            }
            change = members.next() => change,
            Some(ended) = attending.join_next() => {
                note(ended);
                continue;
            }
        };
        match change {
            Some(Membership::Joined(member)) if !is_full => {
                match present.entry(member.endpoint().clone()) {
                    Entry::Vacant(vacant) => {
                        let attended = vacant.insert(Attended::default()).clone();
                        attending.spawn(attend(member, policy.clone(), attended, Arc::clone(&site)));
                    }
                    // A member that is there already and is announced again is still one producer.
                    Entry::Occupied(there) => there.get().announced.notify_one(),
                }
            }
            Some(Membership::Joined(_)) => {}
            Some(Membership::Left(member)) => {
                if let Some(attended) = present.remove(member.endpoint()) {
                    attended.leaving.cancel();
                }
            }
            Some(Membership::Synced) => site.tell(Arrival::Event(Event::Synced(place.clone()))).await,
            Some(Membership::Degraded(why)) => site.trouble(place.clone(), Error::Degraded { why }).await,
            None => {
                // A stream of the application may end: then the members that it named are all there are.
                if let Place::Directory(_) = place {
                    site.fail(place.clone(), Error::WatcherEnded).await;
                }
                break;
            }
        }
    }
    // Members that are no longer listed stay connected until they close, or until the funnel stops.
    while let Some(ended) = attending.join_next().await {
        note(ended);
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    ended.expect("these tasks do not panic and are not aborted");
}

/// What the task of a member is told.
#[derive(Clone, Debug, Default)]
struct Attended {
    /// The member leaves.
    leaving: CancellationToken,
    /// It was announced again: a server may listen now.
    announced: Arc<Notify>,
}

/// Connects to one member and stays with it until it leaves or its connection ends.
///
/// Unless the policy says so, a connection that ended is not made again for the same socket: a server that hands its file
/// to every client would hand it out over and over.
async fn attend<F: Framing + Clone + Send + 'static>(
    member: impl Member,
    policy: Policy,
    Attended { leaving, announced }: Attended,
    site: Arc<Site<F>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let connected = tokio::select! {
            () = leaving.cancelled() => return,
            () = site.stop.asked() => return,
            connected = connect(&member, &policy.admit, &announced, &site) => connected,
        };
        let address = member.endpoint().address.clone();
        let (stream, peer, pass) = match connected {
            Connected::Admitted(stream, peer, pass) => (stream, peer, pass),
            Connected::Rejected(peer) => {
                site.admission.count(|counts| counts.rejected += 1);
                let place = Place::Socket(address);
                return site.tell(Arrival::Event(Event::Rejected { place, peer: Some(peer) })).await;
            }
            Connected::GaveUp => return,
        };
        let began = Instant::now();
        // Not to be cancelled: from here on the connection has an actor that receives.
        let Ok(drain) = site.attach(stream, (address, Via::Directory, peer), pass).await else {
            site.admission.count(|counts| counts.unread += 1);
            return;
        };
        tokio::select! {
            () = drain.ended() => {}
            () = site.stop.asked() => return,
            () = leaving.cancelled() => return release(&drain, &site).await,
        }
        if !policy.reconnect {
            return;
        }
        if began.elapsed() >= LAST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::select! {
            () = leaving.cancelled() => return,
            () = site.stop.asked() => return,
            () = site.admission.full() => return,
            () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

/// Ends the connection to a socket that has vanished. Its peer may still be writing to it, and has the grace to stop.
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
    Admitted(UnixStream, Peer, Pass),
    Rejected(Peer),
    /// Trying again cannot help, which the application has been told; or the funnel is full.
    GaveUp,
}

/// Tries until it succeeds or cannot succeed any longer, and says once what is in the way.
///
/// A pass is held for one attempt at a time: sockets that refuse do not take the place of those that serve.
async fn connect<F: Framing + Clone + Send + 'static>(
    member: &impl Member,
    admit: &Admit,
    announced: &Notify,
    site: &Site<F>,
) -> Connected {
    let place = Place::Socket(member.endpoint().address.clone());
    let began = Instant::now();
    let mut told = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let Ok(pass) = site.admission.pass(None).await else { return Connected::GaveUp };
        let attempt = member.connect().await;
        let error = match attempt.and_then(|stream| Peer::of(&stream).map(|peer| (stream, peer))) {
            Ok((stream, peer)) if admit.admits(&peer) => return Connected::Admitted(stream, peer, pass),
            Ok((_, peer)) => return Connected::Rejected(peer),
            Err(error) => Error::Socket(waited(error, began.elapsed())),
        };
        drop(pass);
        let is_unheard = matches!(error, Error::Socket(uds_actor::Error::NobodyListening { .. }));
        let is_final = !error.is_retryable();
        if is_final || (began.elapsed() >= PATIENCE && !std::mem::replace(&mut told, true)) {
            site.trouble(place.clone(), error).await;
            if is_final {
                return Connected::GaveUp;
            }
        }
        tokio::select! {
            () = site.admission.full() => return Connected::GaveUp,
            () = announced.notified() => {}
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(if is_unheard { last_pause_unheard(began.elapsed()) } else { LAST_PAUSE });
    }
}

/// The longest pause when no process has listened for so long: a tenth of that, within bounds.
fn last_pause_unheard(time: Duration) -> Duration {
    (time / 10).clamp(LAST_PAUSE, LAST_PAUSE_UNHEARD)
}

/// The error of the last attempt, saying how long there were attempts.
fn waited(mut error: uds_actor::Error, time: Duration) -> uds_actor::Error {
    use uds_actor::Error::{NobodyListening, NotThere, QueueFull};
    if let NotThere { waited, .. } | NobodyListening { waited, .. } | QueueFull { waited, .. } = &mut error {
        *waited = time;
    }
    error
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::stream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Limits, admission::Admission, stop::Stop};

    fn site() -> (Site<frame_codec::Delimited>, mpsc::Receiver<Arrival>) {
        let limits = Limits::default();
        let (arrivals, told) = mpsc::channel(8);
        let site = Site {
            framing: frame_codec::Delimited::lines(),
            limits,
            admission: Admission::new(&limits),
            stop: Stop::default(),
            arrivals,
            last_id: Arc::default(),
        };
        (site, told)
    }

    const POLICY: fn() -> Policy = || Policy { admit: Admit::own(), reconnect: false };

    /// A socket on which no process listens, and the number of attempts to connect to it.
    #[derive(Clone, Debug)]
    struct Dead(Endpoint, Arc<AtomicU64>);

    impl Member for Dead {
        fn endpoint(&self) -> &Endpoint {
            &self.0
        }

        async fn connect(&self) -> Result<UnixStream, uds_actor::Error> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let address = self.0.address.clone();
            Err(uds_actor::Error::NobodyListening { address, waited: Duration::ZERO })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_socket_is_tried_ever_more_seldom_and_at_once_when_it_is_announced_again() {
        let (site, _told) = site();
        let stop = site.stop.clone();
        let (announce, mut announced) = mpsc::channel(8);
        let members = stream::poll_fn(move |cx| announced.poll_recv(cx));
        let running = tokio::spawn(run(members, Place::Members, POLICY(), site));
        let endpoint = Endpoint { address: uds_actor::Address::Path("/run/a.sock".into()), generation: 1 };
        let dead = Dead(endpoint, Arc::default());
        let attempts = || dead.1.load(Ordering::Relaxed);

        announce.send(Membership::Joined(dead.clone())).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        let first = attempts();
        assert!((15..=20).contains(&first), "{first} in the first ten seconds");
        sleep(Duration::from_secs(3600)).await;
        let later = attempts() - first;
        assert!((100..=200).contains(&later), "{later} in the hour after that");

        sleep(Duration::from_millis(1)).await;
        let before = attempts();
        announce.send(Membership::Joined(dead.clone())).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(attempts(), before + 1);
        stop.ask(Duration::ZERO);
        running.await.unwrap();
    }

    /// What a source with no members tells when its stream of them ends, and how many sources have failed then.
    async fn end_of_stream(place: Place) -> (Vec<Arrival>, u64) {
        let (site, mut told) = site();
        let admission = Arc::clone(&site.admission);
        run(stream::iter([Membership::<Endpoint>::Synced]), place, POLICY(), site).await;
        let mut all = Vec::new();
        while let Some(arrival) = told.recv().await {
            all.push(arrival);
        }
        (all, admission.counts().failed_sources)
    }

    #[tokio::test]
    async fn the_end_of_a_watcher_is_a_failure_and_that_of_the_applications_own_stream_is_not() {
        let directory = Place::Directory("/run/app".into());
        let (told, failed) = end_of_stream(directory.clone()).await;
        let [Arrival::Event(Event::Synced(_)), Arrival::Event(Event::Trouble { place, error })] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((place, failed), (&directory, 1));
        assert!(matches!(error, Error::WatcherEnded) && !error.is_retryable(), "{error:?}");

        let (told, failed) = end_of_stream(Place::Members).await;
        assert!(matches!(told[..], [Arrival::Event(Event::Synced(_))]), "{told:?}");
        assert_eq!(failed, 0);
    }
}
