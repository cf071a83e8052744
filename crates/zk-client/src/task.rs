//! The task that owns the session: it finds a server, moves bytes, keeps the session alive, finds the next server, and
//! reports how the session ended.
//!
//! ```text
//!   find ──stream──► serve ──lost──► find …
//!     │                └──over──► end
//!     └──expired, no server at first, closed without a connection──► end
//! ```

use std::{collections::VecDeque, sync::Arc, time::Duration};

use frame_codec::LengthPrefixed;
use packetizer::{Detached, Unsent};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use zk_proto::{
    ErrorCode, Session, SessionId,
    session::{SessionEvent as Told, Verdict},
};

use crate::{
    client::Client,
    connector::Connector,
    ending::{Ending, Report},
    error::{Error, Result},
    events::Subscriber,
    link::Link,
    servers::Servers,
    settings::Settings,
};

mod outcome;
mod random;
mod round;
mod serve;

use outcome::{Outcome, arrived};
use random::Random;
use round::Round;

/// The longest pause between two rounds of attempts; the first is a tenth of it.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Starts the task, and waits until it has a session. The subscriber, if there is one, hears of everything from the beginning.
pub(crate) async fn connect<C: Connector>(
    settings: Settings,
    connector: Arc<C>,
    servers: Servers,
    session: Session,
    subscriber: Option<Subscriber>,
) -> Result<Client> {
    let limits = packetizer::Limits::default()
        .with_max_request(settings.max_request)
        .with_max_outbox(settings.max_outbox)
        .with_max_calls(settings.max_requests);
    let (detached, handle) = Detached::new(LengthPrefixed::zookeeper(), session, limits);
    let link = Arc::new(Link::new());
    subscriber.into_iter().for_each(|subscriber| link.subscribe(subscriber));
    let (ended, report) = watch::channel(None);
    let (ready, granted) = oneshot::channel();
    let task = Task {
        connector,
        servers: servers.names.into_iter().map(Arc::from).collect(),
        settings: settings.clone(),
        link: Arc::clone(&link),
        ready: Some(ready),
        connect_by: Instant::now().checked_add(settings.connect_timeout),
        random: Random::default(),
        round: None,
        failed_rounds: 0,
        own: VecDeque::new(),
        farewell: None,
        patience: None,
    };
    tokio::spawn(task.run(detached, ended));
    let session = granted.await.map_err(|_| Error::ended(link.final_ending()))??;
    Ok(Client::new(handle, link, report, session, &settings, servers.chroot.map(Arc::from)))
}

struct Task<C: Connector> {
    connector: Arc<C>,
    servers: Vec<Arc<str>>,
    settings: Settings,
    link: Arc<Link>,
    /// The caller that waits until the session is granted.
    ready: Option<oneshot::Sender<Result<SessionId>>>,
    /// The deadline for the first grant.
    connect_by: Option<Instant>,
    random: Random,
    round: Option<Round<C>>,
    failed_rounds: u32,
    /// The session's own calls that wait for replies. They are kept so that their replies do not count as late.
    own: VecDeque<packetizer::Pending<Session, ()>>,
    /// The request that ends the session.
    farewell: Option<packetizer::Pending<Session, std::result::Result<(), ErrorCode>>>,
    /// How long to wait for the end of the session.
    patience: Option<Instant>,
}

impl<C: Connector> Task<C> {
    async fn run(mut self, mut detached: Detached<Session>, ended: watch::Sender<Option<Report>>) {
        let ending = loop {
            let (server, stream) = match self.find(&mut detached).await {
                Ok(found) => found,
                Err(ending) => break ending,
            };
            let frames = frame_codec::Limits::default().with_max_frame(self.settings.max_reply);
            let mut driver = detached.attach(stream, frames).with_unsent(self.unsent());
            let outcome = self.serve(&mut driver, &server).await;
            // The reason must be recorded before the waiting requests fail.
            match outcome {
                Outcome::Over(ending) => {
                    self.link.end(&ending);
                    detached = driver.detach(Unsent::Fail);
                    break ending;
                }
                Outcome::Lost(failure) => {
                    let why: Arc<str> = failure.to_string().into();
                    self.link.note_loss(Arc::clone(&why));
                    detached = driver.detach(self.unsent());
                    if let Some(ending) = self.handle_lost(&detached, &why) {
                        break ending;
                    }
                    if let Some(round) = &mut self.round {
                        round.handle_failed(server, failure);
                    }
                }
            }
        };
        self.link.end(&ending);
        detached.set_unsent(Unsent::Fail);
        let session = detached.with_protocol_mut(|session| session.grant().map(|grant| grant.session));
        let report =
            Report { session: session.unwrap_or(SessionId::NONE), ending: ending.clone(), requests: detached.report() };
        ended.send_replace(Some(report));
        if let Some(ready) = self.ready.take() {
            drop(ready.send(Err(Error::ended(ending))));
        }
    }

    /// What happens to requests that were not sent when the connection is lost.
    const fn unsent(&self) -> Unsent {
        if self.settings.fail_fast { Unsent::Fail } else { Unsent::Keep }
    }

    /// Handles the end of the connection; `Some` if the session is over, too.
    fn handle_lost(&mut self, detached: &Detached<Session>, why: &Arc<str>) -> Option<Ending> {
        let now = Instant::now().into_std();
        detached.with_protocol_mut(|session| session.handle_lost(now));
        self.own.clear();
        if let Some(ending) = self.pass_on(detached) {
            return Some(ending);
        }
        // The server may or may not have closed the session: the confirmation would have come on this connection.
        self.farewell.as_mut().and_then(arrived).map(|_| Ending::Lost(Arc::clone(why)))
    }

    /// Passes on the session's events while there is no connection.
    fn pass_on(&mut self, detached: &Detached<Session>) -> Option<Ending> {
        let (events, verdict, ending) = detached.with_protocol_mut(|session| {
            let events: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
            (events, session.verdict(), session.ending().cloned())
        });
        events.into_iter().for_each(|event| self.handle_event(event));
        ending.filter(|_| verdict == Verdict::Over).map(Ending::from)
    }

    fn handle_event(&mut self, event: Told) {
        let granted = match &event {
            Told::Connected { session, .. } => Some(*session),
            _ => None,
        };
        self.link.handle_event(event);
        if let Some((session, ready)) = granted.and_then(|session| Some((session, self.ready.take()?))) {
            // If the caller has stopped waiting, the last handle is gone, and the driver reports that.
            drop(ready.send(Ok(session)));
        }
    }

    /// Tries servers until there is a stream to one.
    async fn find(&mut self, detached: &mut Detached<Session>) -> std::result::Result<(String, C::Stream), Ending> {
        let mut pause = self.round.is_none().then(|| self.pause()).flatten();
        loop {
            self.check(detached)?;
            if pause.is_none() && self.round.is_none() {
                self.round = Some(self.new_round(detached));
            }
            let wake = self.wake(detached);
            tokio::select! {
                biased;
                found = next(&mut self.round) => match found {
                    Some(found) => return Ok(found),
                    None => {
                        self.end_round(detached)?;
                        pause = self.pause();
                    }
                },
                () = sleep_until(pause.unwrap_or(wake)), if pause.is_some() => pause = None,
                () = self.link.woken() => {}
                () = detached.woken() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Does what is due while there is no connection. Fails when the session, or the attempt to get one, is over.
    fn check(&mut self, detached: &mut Detached<Session>) -> std::result::Result<(), Ending> {
        let now = Instant::now();
        detached.handle_timeout(now.into_std());
        detached.with_protocol_mut(|session| session.handle_timeout(now.into_std()));
        if let Some(ending) = self.pass_on(detached) {
            return Err(ending);
        }
        if self.link.is_detaching() {
            return Err(Ending::Detached);
        }
        if self.link.is_closing() || detached.is_hung_up() {
            if self.ready.is_some() {
                return Err(Ending::Lost("connecting was given up".into()));
            }
            self.be_patient(detached.with_protocol_mut(|session| timeout_of(session)));
        }
        if self.patience.is_some_and(|patience| patience <= now) {
            return Err(Ending::Lost("no server could be reached to close the session".into()));
        }
        if self.ready.is_some() && self.connect_by.is_some_and(|by| by <= now) {
            self.end_round(detached)?;
        }
        Ok(())
    }

    /// Handles the end of a round: every address was tried, or the time for connecting has passed.
    fn end_round(&mut self, detached: &Detached<Session>) -> std::result::Result<(), Ending> {
        let Some(round) = self.round.take() else { return Ok(()) };
        self.failed_rounds = self.failed_rounds.saturating_add(1);
        if round.unreachable() > 0 {
            detached.with_protocol_mut(Session::handle_unreachable);
        }
        let attempts = round.into_attempts();
        if let Some(ready) = self.ready.take() {
            drop(ready.send(Err(Error::NoServer { attempts })));
            return Err(Ending::Lost("no server granted a session".into()));
        }
        self.link.note_trouble(format!("no server could be reached: {}", Error::NoServer { attempts }).into());
        Ok(())
    }

    /// When the next round starts; `None` before the first.
    fn pause(&mut self) -> Option<Instant> {
        let doubled = 2_u32.saturating_pow(self.failed_rounds.checked_sub(1)?.min(8));
        let longest = LONGEST_PAUSE.div_f32(10.0).saturating_mul(doubled).min(LONGEST_PAUSE);
        // Between half of the pause and all of it, so that clients do not reconnect at the same moment.
        Instant::now().checked_add(longest.div_f32(2.0).saturating_add(self.random.below(longest.div_f32(2.0))))
    }

    /// The latest time at which something is due.
    fn wake(&self, detached: &Detached<Session>) -> Instant {
        let session = detached.with_protocol_mut(|session| session.poll_timeout());
        let due = [session, detached.poll_timeout()].into_iter().flatten().map(Instant::from_std);
        let connect_by = self.connect_by.filter(|_| self.ready.is_some());
        let far = Instant::now() + Duration::from_secs(24 * 3600);
        due.chain(connect_by).chain(self.patience).min().unwrap_or(far)
    }

    fn new_round(&mut self, detached: &Detached<Session>) -> Round<C> {
        let mut servers = self.servers.clone();
        if !self.settings.in_order {
            self.random.shuffle(&mut servers);
        }
        let longest = self.settings.server_timeout;
        let at_stake = detached.with_protocol_mut(|session| session.grant().map(|grant| grant.timeout));
        Round::new(&self.connector, servers, move |addresses| {
            let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
            at_stake.map_or(longest, |timeout| longest.min(timeout / 2 / addresses.max(1)))
        })
    }

    /// Starts to wait for the end of the session, for at most this long.
    fn be_patient(&mut self, timeout: Duration) {
        if self.patience.is_none() {
            self.patience = Instant::now().checked_add(timeout);
        }
    }
}

/// The next stream of a round, if there is one.
async fn next<C: Connector>(round: &mut Option<Round<C>>) -> Option<(String, C::Stream)> {
    match round {
        Some(round) => round.next().await,
        None => std::future::pending().await,
    }
}

/// The timeout as granted; a short one if there is no session.
fn timeout_of(session: &Session) -> Duration {
    session.grant().map_or(Duration::from_secs(1), |grant| grant.timeout)
}
