//! A funnel with one source, producers for it, and everything that it tells.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mpsr_server::{Endpoint, Event, Funnel, Limits, Membership, ProducerReport, Report};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    time::timeout,
};
use uds_actor::{Address, Bind, Connect};

use crate::framings::AnyFraming;

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(40);

/// What the future gives, if it does so in time.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(LONG, future).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting for {what}"),
    }
}

/// How producers and funnel find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Producers connect to a socket file of the funnel.
    Path,
    /// Producers connect to an abstract name of the funnel.
    Abstract,
    /// The funnel connects to sockets that producers bind in a directory.
    Directory,
    /// The funnel connects to sockets that the application names.
    Members,
}

impl Source {
    pub(crate) const ALL: [Self; 4] = [Self::Path, Self::Abstract, Self::Directory, Self::Members];
}

/// A running funnel with one source.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) funnel: Funnel,
    source: Source,
    announce: mpsc::UnboundedSender<Membership<Endpoint>>,
    producers: usize,
    /// Listening sockets of producers: they stay, so that none vanishes before it is received from.
    bound: Vec<UnixListener>,
}

impl Rig {
    pub(crate) async fn start(source: Source, framing: AnyFraming, limits: Limits) -> Self {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let dir = tempfile::tempdir().unwrap();
        let builder = Funnel::builder(framing).limits(limits);
        let (announce, mut announced) = mpsc::unbounded_channel();
        let builder = match source {
            Source::Path => builder.listen(Bind::path(dir.path().join("in.sock"))),
            Source::Abstract => {
                let name = format!("tributary-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
                builder.listen(Bind::abstract_name(name))
            }
            Source::Directory => builder.directory(dir.path()),
            Source::Members => builder.members(futures_util::stream::poll_fn(move |cx| announced.poll_recv(cx))),
        };
        let funnel = soon("the funnel", builder.start()).await.unwrap();
        Self { dir, funnel, source, announce, producers: 0, bound: Vec::new() }
    }

    /// A new producer's end of its connection. They are numbered from 0, as [`Told`] numbers them.
    pub(crate) async fn producer(&mut self) -> UnixStream {
        let number = self.producers;
        self.producers += 1;
        let path = self.dir.path().join(format!("p{number:04}.sock"));
        match self.source {
            Source::Path | Source::Abstract => {
                soon("a connection", Connect::to(self.funnel.listening()[0].clone()).connect()).await.unwrap()
            }
            Source::Directory | Source::Members => {
                let listener = UnixListener::bind(&path).unwrap();
                let endpoint = Endpoint { address: Address::Path(path), generation: 1 };
                if self.source == Source::Members {
                    self.announce.send(Membership::Joined(endpoint)).unwrap();
                }
                let (stream, _) = soon("the funnel's connection", listener.accept()).await.unwrap();
                self.bound.push(listener);
                stream
            }
        }
    }
}

/// What a funnel told of one producer.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) messages: Vec<Vec<u8>>,
    /// Where messages are missing: behind how many, and how many.
    pub(crate) missing: Vec<(usize, u64)>,
    pub(crate) joined: bool,
    pub(crate) left: Option<ProducerReport>,
}

/// What a funnel told of all, by the number of the producer: its place in the order of connecting, or of addresses.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    /// By the address that tells producers apart, where it does, and then by the order of joining.
    producers: BTreeMap<(Option<PathBuf>, u64), Told>,
    pub(crate) trouble: Vec<String>,
}

impl Everything {
    pub(crate) fn note(&mut self, event: Event, source: Source) {
        let key = |producer: &mpsr_server::Producer| {
            let path = match (&producer.address, source) {
                (Address::Path(path), Source::Directory | Source::Members) => Some(path.clone()),
                _ => None,
            };
            (path, producer.id.value())
        };
        match event {
            Event::Joined(producer) => {
                let told = self.producers.entry(key(&producer)).or_default();
                assert!(!std::mem::replace(&mut told.joined, true), "{producer} joins once");
            }
            Event::Delivery(delivery) => {
                let told = self.known(&key(delivery.producer()));
                told.messages.extend(delivery.into_iter().map(|message| message.to_vec()));
            }
            Event::Missing { producer, count } => {
                let told = self.known(&key(&producer));
                let behind = told.messages.len();
                match told.missing.last_mut() {
                    Some((last, missing)) if *last == behind => *missing += count,
                    _ => told.missing.push((behind, count)),
                }
            }
            Event::Left(report) => {
                let key = key(&report.producer);
                self.known(&key).left = Some(report);
            }
            Event::Trouble { place, error } => self.trouble.push(format!("{place}: {error}")),
            _ => {}
        }
    }

    /// One that has joined and not left: nothing comes before the one or after the other.
    fn known(&mut self, key: &(Option<PathBuf>, u64)) -> &mut Told {
        let told = self.producers.get_mut(key).expect("it has joined");
        assert!(told.left.is_none(), "it has not left");
        told
    }

    pub(crate) fn left(&self) -> usize {
        self.producers.values().filter(|told| told.left.is_some()).count()
    }

    pub(crate) fn messages(&self) -> usize {
        self.producers.values().map(|told| told.messages.len()).sum()
    }

    /// In the order of their numbers.
    pub(crate) fn in_order(&self) -> Vec<&Told> {
        self.producers.values().collect()
    }

    /// Takes events until so many have left.
    pub(crate) async fn until_left(&mut self, rig: &mut Rig, producers: usize) {
        while self.left() < producers {
            let event = soon("an event", rig.funnel.next()).await.expect("the funnel runs");
            self.note(event, rig.source);
        }
    }

    /// Takes events to the end, after a shutdown, and gives the report.
    pub(crate) async fn until_end(&mut self, mut rig: Rig) -> Report {
        while let Some(event) = soon("an event", rig.funnel.next()).await {
            self.note(event, rig.source);
        }
        soon("the report", rig.funnel.finished()).await
    }

    /// Law: the reports add up, and agree with what was delivered.
    pub(crate) fn check(&self, report: &Report) {
        let mut sums = [0; 6];
        for told in self.producers.values() {
            let left = told.left.as_ref().expect("everyone has left");
            assert_eq!(left.received.frames, left.delivered.frames + left.lost.frames, "{left}");
            assert_eq!(left.received.bytes, left.delivered.bytes + left.lost.bytes, "{left}");
            assert_eq!(left.delivered.frames, told.messages.len() as u64, "{left}");
            assert_eq!(left.delivered.bytes, told.messages.iter().map(|message| message.len() as u64).sum(), "{left}");
            assert_eq!(left.skipped, told.missing.iter().map(|(_, count)| count).sum::<u64>(), "{left}");
            let numbers = [left.received.frames, left.delivered.frames, left.lost.frames, left.truncated()];
            for (sum, number) in sums.iter_mut().zip(numbers.into_iter().chain([left.skipped, left.shortened])) {
                *sum += number;
            }
        }
        let total = [report.received.frames, report.delivered.frames, report.lost.frames, report.truncated];
        assert_eq!(total, sums[..4], "{report}");
        assert_eq!([report.skipped, report.shortened], sums[4..], "{report}");
        assert_eq!(report.producers, self.producers.len() as u64, "{report}");
    }
}
