//! One round of attempts: every address of every server, once.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    connector::Connector,
    error::{Attempt, Failure},
};

/// The head start of each attempt over the next one.
const STAGGER: Duration = Duration::from_millis(250);

/// An address to try.
struct Target<A> {
    server: Arc<str>,
    address: A,
}

/// The addresses of a server that were not tried yet; `None` until the name is resolved.
type Known<A> = Option<VecDeque<A>>;

/// The result of a background job.
enum Found<C: Connector> {
    Addresses(usize, io::Result<Vec<C::Address>>),
    Stream(String, Result<C::Stream, Failure>),
}

/// A round in progress. It resolves names and connects to addresses concurrently, each with a head start over the next,
/// and returns the streams one by one.
pub(super) struct Round<C: Connector> {
    connector: Arc<C>,
    /// The servers in the order of this round, with the addresses of each that were not tried yet.
    servers: Vec<(Arc<str>, Known<C::Address>)>,
    jobs: JoinSet<Found<C>>,
    /// Attempts in progress, with the time at which they started.
    connecting: Vec<(String, Instant)>,
    /// Attempts that failed before a stream was open.
    unreachable: usize,
    /// The number of addresses known so far.
    addresses: usize,
    next_start: Option<Instant>,
    limit: Box<dyn Fn(usize) -> Duration + Send + Sync>,
    failures: Vec<Attempt>,
}

impl<C: Connector> Round<C> {
    /// Begins a round over the servers in this order. `limit` returns how long one attempt may take, given the number
    /// of addresses.
    pub(super) fn new(
        connector: &Arc<C>,
        servers: impl IntoIterator<Item = Arc<str>>,
        limit: impl Fn(usize) -> Duration + Send + Sync + 'static,
    ) -> Self {
        let servers: Vec<_> = servers.into_iter().map(|server| (server, None)).collect();
        let mut jobs = JoinSet::new();
        let patience = limit(servers.len());
        for (index, (server, _)) in servers.iter().enumerate() {
            let (connector, server) = (Arc::clone(connector), Arc::clone(server));
            jobs.spawn(async move {
                let resolved = timeout(patience, connector.resolve(&server)).await;
                Found::Addresses(index, resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
            });
        }
        Self {
            connector: Arc::clone(connector),
            servers,
            jobs,
            connecting: Vec::new(),
            unreachable: 0,
            addresses: 0,
            next_start: None,
            limit: Box::new(limit),
            failures: Vec::new(),
        }
    }

    /// How long the next attempt may take.
    pub(super) fn limit(&self) -> Duration {
        (self.limit)(self.addresses.max(1))
    }

    /// The next stream, with the name of its server; `None` at the end of the round.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Option<(String, C::Stream)> {
        loop {
            let start = self.next_start.filter(|_| !self.connecting.is_empty());
            if start.is_none_or(|start| start <= Instant::now()) && self.start_one() {
                continue;
            }
            let waiting = self.servers.iter().any(|(_, known)| known.as_ref().is_some_and(|known| !known.is_empty()));
            let found = tokio::select! {
                biased;
                found = self.jobs.join_next() => found,
                () = sleep_until(start.unwrap_or_else(Instant::now)), if waiting && start.is_some() => continue,
            };
            match found? {
                Err(_panicked_or_stopped) => {}
                Ok(Found::Addresses(index, resolved)) => self.handle_resolved(index, resolved),
                Ok(Found::Stream(server, stream)) => {
                    if let Some(place) = self.connecting.iter().position(|(name, _)| *name == server) {
                        self.connecting.swap_remove(place);
                    }
                    match stream {
                        Ok(stream) => return Some((server, stream)),
                        Err(failure) => {
                            self.unreachable += 1;
                            self.failures.push(Attempt { server, failure });
                        }
                    }
                }
            }
        }
    }

    fn handle_resolved(&mut self, index: usize, resolved: io::Result<Vec<C::Address>>) {
        let Some((server, known)) = self.servers.get_mut(index) else { return };
        match resolved {
            Ok(addresses) => {
                self.addresses += addresses.len();
                *known = Some(addresses.into());
            }
            Err(error) => {
                self.unreachable += 1;
                self.failures.push(Attempt { server: server.to_string(), failure: Failure::Resolve(error) });
            }
        }
    }

    /// Takes the next known address, in the order of the servers.
    fn take(&mut self) -> Option<Target<C::Address>> {
        self.servers.iter_mut().find_map(|(server, known)| {
            let address = known.as_mut()?.pop_front()?;
            Some(Target { server: Arc::clone(server), address })
        })
    }

    /// Starts the next attempt, if there is an address left.
    fn start_one(&mut self) -> bool {
        let Some(target) = self.take() else { return false };
        let (connector, limit) = (Arc::clone(&self.connector), self.limit());
        let name = target.name();
        self.connecting.push((name.clone(), Instant::now()));
        self.jobs.spawn(async move {
            let stream = match timeout(limit, connector.connect(&target.server, &target.address)).await {
                Ok(stream) => stream.map_err(Failure::Connect),
                Err(_elapsed) => Err(Failure::TimedOut(limit)),
            };
            Found::Stream(name, stream)
        });
        self.next_start = Instant::now().checked_add(STAGGER);
        true
    }

    /// Records that a stream that this round returned did not lead to a session.
    pub(super) fn handle_failed(&mut self, server: String, failure: Failure) {
        self.failures.push(Attempt { server, failure });
    }

    /// Attempts that failed before a stream was open.
    pub(super) const fn unreachable(&self) -> usize {
        self.unreachable
    }

    /// All attempts: those that failed, those in progress, and those not made.
    pub(super) fn into_attempts(mut self) -> Vec<Attempt> {
        let mut attempts = std::mem::take(&mut self.failures);
        for (server, start) in std::mem::take(&mut self.connecting) {
            attempts.push(Attempt { server, failure: Failure::TimedOut(start.elapsed()) });
        }
        while let Some(target) = self.take() {
            attempts.push(Attempt { server: target.name(), failure: Failure::NotTried });
        }
        attempts
    }
}

impl<A: std::fmt::Display> Target<A> {
    /// The server's name, and its address if that differs.
    fn name(&self) -> String {
        let address = self.address.to_string();
        if address == *self.server { address } else { format!("{} ({address})", self.server) }
    }
}
