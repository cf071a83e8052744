//! Producers that offer a socket. The funnel connects to each socket that appears, and disconnects when it vanishes.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use frame_codec::Framing;
use fs_watch::attach::{self, Change, End, Subject, Supervisor};
use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::{
    net::UnixStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use uds_actor::{Address, Admit, Connect, ConnectError, Peer};

use crate::{
    Endpoint, Error, Event, Membership, Place, Via,
    admission::Pass,
    connection::DrainHandle,
    report::Asked,
    site::{Arrival, Site},
};

/// How long connecting to a socket may fail before we report it. We keep trying after that.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pauses between attempts: at first so short that a restart is hardly noticeable, in the end so long that the load
/// is negligible. A connection that lasted as long as the longest pause resets them.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause when no process has listened for a long time: the socket may be one of thousands of dead ones. A
/// member that is announced again is tried immediately.
const LAST_PAUSE_UNHEARD: Duration = Duration::from_secs(30);

/// How long a connection may take to deliver what has arrived after its socket has vanished.
const DRAIN: Duration = Duration::from_secs(5);

/// A socket that was announced, and how to connect to it.
pub(crate) trait Member: fmt::Debug + Send + Sync + 'static {
    /// Distinguishes this member from all others.
    fn endpoint(&self) -> &Endpoint;

    /// Makes one attempt.
    fn connect(&self) -> impl Future<Output = Result<UnixStream, ConnectError>> + Send;
}

/// Connects to the socket that has the address now.
impl Member for Endpoint {
    fn endpoint(&self) -> &Endpoint {
        self
    }

    async fn connect(&self) -> Result<UnixStream, ConnectError> {
        Connect::to(self.address.clone()).connect().await
    }
}

/// What to do with members, for any source.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Which peers may offer a socket.
    pub(crate) admit: Admit,
    /// Whether a connection that ended is made again while its socket is there.
    pub(crate) reconnect: bool,
}

/// A current member, and the state that each of its handlers leaves for the next one.
#[derive(Debug)]
struct Candidate<M> {
    member: Arc<M>,
    attempts: Arc<Mutex<Attempts>>,
    /// Notified when the member was announced again: a server may listen now.
    announced: Arc<Notify>,
}

impl<M> Clone for Candidate<M> {
    fn clone(&self) -> Self {
        let Self { member, attempts, announced } = self;
        Self { member: Arc::clone(member), attempts: Arc::clone(attempts), announced: Arc::clone(announced) }
    }
}

/// The attempts since the last connection.
#[derive(Debug, Default)]
struct Attempts {
    began: Option<Instant>,
    /// Whether the failure was reported.
    told: bool,
}

impl<M: Member> Candidate<M> {
    fn new(member: M) -> Self {
        Self { member: Arc::new(member), attempts: Arc::default(), announced: Arc::default() }
    }

    fn begin(&self) -> Instant {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner).began.get_or_insert_with(Instant::now)
    }

    fn succeeded(&self) {
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner) = Attempts::default();
    }

    /// Whether to report the failure now: once, when attempts have failed for a while.
    fn is_to_be_told(&self) -> bool {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = attempts.began.is_some_and(|began| began.elapsed() >= PATIENCE);
        is_due && !std::mem::replace(&mut attempts.told, true)
    }
}

impl<M: Member> Subject for Candidate<M> {
    type Id = Endpoint;
    type Place = Address;

    fn id(&self) -> Endpoint {
        self.member.endpoint().clone()
    }

    fn place(id: &Endpoint) -> &Address {
        &id.address
    }
}

/// The attempt failed or the connection has ended, and we try again.
#[derive(Debug)]
struct Again;

/// Every member gets a handler, even while a previous member's handler still runs at the same address. A handler that
/// was asked to stop is not aborted: it may be waiting for the application, and its connection must be reported.
fn limits() -> attach::Policy {
    attach::Policy::default()
        .with_patience(Duration::MAX)
        .with_pauses(FIRST_PAUSE, LAST_PAUSE)
        .with_settled(LAST_PAUSE)
        .with_grace(u32::MAX)
        .with_limit(usize::MAX)
}

/// Keeps one handler for each current member.
pub(crate) async fn run<F, M, S>(members: S, place: Place, policy: Policy, site: Site<F>)
where
    F: Framing + Clone + Send + Sync + 'static,
    M: Member,
    S: Stream<Item = Membership<M>> + Send,
{
    let mut members = std::pin::pin!(members);
    let site = Arc::new(site);
    for warning in policy.admit.warnings() {
        site.trouble(place.clone(), Error::Limited { why: warning.to_string() }).await;
    }
    let parting = Arc::new(Parting::default());
    let mut handlers = Supervisor::new(limits(), {
        let (site, parting) = (Arc::clone(&site), Arc::clone(&parting));
        move |candidate, stop| attend(candidate, stop, policy.clone(), Arc::clone(&site), Arc::clone(&parting))
    });
    // The generation at each address, and how to tell its handler that it was announced again.
    let mut announced: HashMap<Address, (u64, Arc<Notify>)> = HashMap::new();
    let (mut is_full, mut has_ended, mut is_stopping) = (false, false, false);
    // When the funnel is full, only the existing connections matter, until they end. When the list has ended or the
    // funnel stops, the members on it stay connected until they close.
    while !(is_full || has_ended) || !handlers.is_idle() {
        let change = tokio::select! {
            () = site.stop.asked(), if !is_stopping => {
                (is_stopping, has_ended) = (true, true);
                handlers.stop_all();
                continue;
            }
            () = site.admission.full(), if !is_full => {
                is_full = true;
                handlers.start_no_more();
                continue;
            }
            change = members.next(), if !has_ended => change,
            Some(change) = handlers.next() => {
                note(change);
                continue;
            }
        };
        match change {
            Some(Membership::Joined(member)) => {
                let Endpoint { address, generation } = member.endpoint().clone();
                match announced.get(&address) {
                    // A member that is announced again is still one producer.
                    Some((there, again)) if *there == generation => again.notify_one(),
                    // It replaces the previous member, even if that was not reported to have left.
                    _ => {
                        let candidate = Candidate::new(member);
                        announced.insert(address, (generation, Arc::clone(&candidate.announced)));
                        handlers.add(candidate);
                    }
                }
            }
            Some(Membership::Left(member)) => {
                let Endpoint { address, generation } = member.endpoint();
                if announced.get(address).is_some_and(|(there, _)| there == generation) {
                    announced.remove(address);
                }
                handlers.remove(member.endpoint());
            }
            Some(Membership::Synced) => site.tell(Arrival::Event(Event::Synced(place.clone()))).await,
            Some(Membership::Degraded(why)) => site.trouble(place.clone(), Error::Degraded { why }).await,
            None => {
                // A stream of the application may end. Then there are no members other than those that it named.
                if let Place::Directory(_) = place {
                    site.fail(place.clone(), Error::WatcherEnded).await;
                }
                has_ended = true;
            }
        }
    }
    parting.wait().await;
}

fn note(change: Change<Endpoint, Again>) {
    if let Change::Ended { end: End::Panicked(message), id, .. } = change {
        panic!("the handler of {id} has panicked: {message}");
    }
}

/// Makes one attempt to connect to a member, and serves the connection until the member leaves or the connection ends.
///
/// Unless the policy says so, we do not connect to the same socket twice: a server that sends its file to every client
/// would send it again and again.
async fn attend<F: Framing + Clone + Send + Sync + 'static, M: Member>(
    candidate: Candidate<M>,
    stop: attach::Stop,
    policy: Policy,
    site: Arc<Site<F>>,
    parting: Arc<Parting>,
) -> Result<(), Again> {
    let connected = tokio::select! {
        () = stop.requested() => return Ok(()),
        () = site.stop.asked() => return Ok(()),
        connected = connect(&candidate, &policy.admit, &site) => connected?,
    };
    let address = candidate.member.endpoint().address.clone();
    let (stream, peer, pass) = match connected {
        Connected::Admitted(stream, peer, pass) => (stream, peer, pass),
        Connected::Rejected(peer) => {
            site.admission.count(|counts| counts.rejected += 1);
            let place = Place::Socket(address);
            site.tell(Arrival::Event(Event::Rejected { place, peer: Some(peer) })).await;
            return Ok(());
        }
        Connected::GaveUp => return Ok(()),
    };
    // This must not be cancelled: from here on, an actor receives from the connection.
    let Ok(drain) = site.attach(stream, (address, Via::Directory, peer), pass).await else {
        site.admission.count(|counts| counts.unread += 1);
        return Ok(());
    };
    tokio::select! {
        () = drain.ended() => if policy.reconnect { Err(Again) } else { Ok(()) },
        () = site.stop.asked() => Ok(()),
        // The member's successor at the same address does not wait for this.
        () = stop.requested() => {
            parting.add(async move { release(&drain, &site).await });
            Ok(())
        }
    }
}

/// Connections to sockets that have vanished, until they end. They no longer have handlers.
#[derive(Debug, Default)]
struct Parting(Mutex<JoinSet<()>>);

impl Parting {
    fn add(&self, release: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Tasks that have ended occupy memory until they are joined.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(release);
    }

    /// Waits for the remaining ones when every handler has ended.
    async fn wait(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
    }
}

/// Ends the connection to a socket that has vanished. Its peer may still be writing, and has the grace period to stop.
async fn release<F>(drain: &DrainHandle, site: &Site<F>) {
    tokio::select! {
        () = drain.ended() => {}
        // From here on, the deadline of the stop counts.
        () = site.stop.asked() => {}
        () = sleep(site.limits.vanished_grace) => drain.drain(Asked::Vanished, DRAIN),
    }
}

/// The result of an attempt to connect.
enum Connected {
    Admitted(UnixStream, Peer, Pass),
    Rejected(Peer),
    /// Another attempt cannot help, and the problem was reported; or the funnel is full.
    GaveUp,
}

/// Makes one attempt, and reports a problem once when it has lasted for a while.
///
/// A pass is held only during the attempt, so that sockets without a server do not take slots from those with one.
async fn connect<F: Framing + Clone + Send + 'static, M: Member>(
    candidate: &Candidate<M>,
    admit: &Admit,
    site: &Site<F>,
) -> Result<Connected, Again> {
    let began = candidate.begin();
    let Ok(pass) = site.admission.pass(None).await else { return Ok(Connected::GaveUp) };
    let attempt = match candidate.member.connect().await {
        Ok(stream) => Peer::of(&stream).map(|peer| (stream, peer)).map_err(Error::Peer),
        Err(error) => Err(Error::Connect(error.after(began.elapsed()))),
    };
    let error = match attempt {
        Ok((stream, peer)) => {
            candidate.succeeded();
            let is_admitted = admit.admits(&peer);
            return Ok(if is_admitted { Connected::Admitted(stream, peer, pass) } else { Connected::Rejected(peer) });
        }
        Err(error) => error,
    };
    drop(pass);
    let is_unheard = matches!(error, Error::Connect(ConnectError::NotListening { .. }));
    let is_final = !error.is_retryable();
    if is_final || candidate.is_to_be_told() {
        let place = Place::Socket(candidate.member.endpoint().address.clone());
        site.trouble(place, error).await;
    }
    if is_final {
        return Ok(Connected::GaveUp);
    }
    if is_unheard {
        tokio::select! {
            () = site.admission.full() => return Ok(Connected::GaveUp),
            () = candidate.announced.notified() => {}
            () = sleep(further_pause(began.elapsed())) => {}
        }
    }
    Err(Again)
}

/// How much longer the pause is after this long without a listening process: in total a tenth of that time, within
/// limits.
fn further_pause(time: Duration) -> Duration {
    (time / 10).clamp(LAST_PAUSE, LAST_PAUSE_UNHEARD) - LAST_PAUSE
}

#[cfg(test)]
mod tests {
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

    /// A socket on which no process listens.
    #[derive(Debug)]
    struct Dead(Endpoint);

    impl Member for Dead {
        fn endpoint(&self) -> &Endpoint {
            &self.0
        }

        async fn connect(&self) -> Result<UnixStream, ConnectError> {
            Err(ConnectError::NotListening { address: self.0.address.clone(), waited: Duration::ZERO })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_socket_is_tried_ever_more_seldom_and_at_once_when_it_is_announced_again() {
        let (site, _told) = site();
        let endpoint = Endpoint { address: Address::Path("/run/a.sock".into()), generation: 1 };
        let dead = Candidate::new(Dead(endpoint));
        // The attempt itself takes part of the pause; the supervisor pauses for at most a second.
        for (after, pause) in [(0, 0), (9, 0), (11, 1), (80, 9), (100, 20), (3600, 29)] {
            tokio::time::advance(Duration::from_secs(after)).await;
            let began = Instant::now();
            assert!(connect(&dead, &Admit::own(), &site).await.is_err_and(|Again| true));
            assert_eq!(began.elapsed().as_secs(), pause, "after {after} more seconds");
        }
        let began = Instant::now();
        let admit = Admit::own();
        let attempt = connect(&dead, &admit, &site);
        let announce = async {
            sleep(Duration::from_secs(2)).await;
            dead.announced.notify_one();
        };
        let (attempted, ()) = tokio::join!(attempt, announce);
        assert!(attempted.is_err_and(|Again| true));
        assert_eq!(began.elapsed().as_secs(), 2);
    }

    /// A socket to which no connection is possible. It records the generations that were tried.
    #[derive(Debug)]
    struct Hopeless(Endpoint, Arc<Mutex<Vec<u64>>>);

    impl Member for Hopeless {
        fn endpoint(&self) -> &Endpoint {
            &self.0
        }

        async fn connect(&self) -> Result<UnixStream, ConnectError> {
            self.1.lock().unwrap().push(self.0.generation);
            Err(ConnectError::NoProc { path: "/run/a.sock".into() })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_announced_last_at_an_address_is_there_even_if_nothing_was_said_to_leave() {
        let (site, _told) = site();
        let tried = Arc::<Mutex<Vec<u64>>>::default();
        let members = [1, 1, 2, 1].map(|generation| {
            let endpoint = Endpoint { address: Address::Path("/run/a.sock".into()), generation };
            Membership::Joined(Hopeless(endpoint, Arc::clone(&tried)))
        });
        let members = stream::iter(members).then(|member| async {
            sleep(Duration::from_secs(60)).await;
            member
        });
        run(members, Place::Members, Policy { admit: Admit::own(), reconnect: false }, site).await;
        assert_eq!(*tried.lock().unwrap(), [1, 2, 1]);
    }

    /// The events of a source without members when its stream ends, and the number of failed sources then.
    async fn end_of_stream(place: Place) -> (Vec<Arrival>, u64) {
        let (site, mut told) = site();
        let admission = Arc::clone(&site.admission);
        let policy = Policy { admit: Admit::own(), reconnect: false };
        run(stream::iter([Membership::<Endpoint>::Synced]), place, policy, site).await;
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
