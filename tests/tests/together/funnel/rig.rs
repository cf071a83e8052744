//! A funnel with one source, producers for it, and everything that it tells.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mpsr_server::{Endpoint, Event, Funnel, Limits, Membership, ProducerReport, Report};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub(crate) use test_kit::soon::soon;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
};
use uds_actor::{Address, Bind, Connect};

use crate::funnel::framings::AnyFraming;

/// Longer than anything takes here.
pub(crate) const LONG: Duration = Duration::from_secs(40);

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

/// A running funnel with one source or several, each at most once.
pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) funnel: Funnel,
    sources: Vec<Source>,
    announce: mpsc::UnboundedSender<Membership<Endpoint>>,
    /// Where the funnel finds each producer, in the order of their numbers. [`Everything::at`] takes it.
    pub(crate) places: Vec<Address>,
    /// Listening sockets of producers: they stay, so that none vanishes before it is received from.
    bound: Vec<UnixListener>,
}

impl Rig {
    pub(crate) async fn start(source: Source, framing: AnyFraming, limits: Limits) -> Self {
        Self::with(vec![source], framing, limits).await
    }

    pub(crate) async fn with(sources: Vec<Source>, framing: AnyFraming, limits: Limits) -> Self {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let dir = tempfile::tempdir().unwrap();
        let mut builder = Funnel::builder(framing).limits(limits);
        let (announce, announced) = mpsc::unbounded_channel();
        let mut announced = Some(announced);
        for source in &sources {
            builder = match source {
                Source::Path => builder.listen(Bind::path(dir.path().join("in.sock"))),
                Source::Abstract => {
                    let name = format!("tributary-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed));
                    builder.listen(Bind::abstract_name(name))
                }
                Source::Directory => builder.directory(dir.path()),
                Source::Members => {
                    std::fs::create_dir(dir.path().join("members")).unwrap();
                    let mut announced = announced.take().expect("each source comes once");
                    builder.members(futures_util::stream::poll_fn(move |cx| announced.poll_recv(cx)))
                }
            };
        }
        let funnel = soon("the funnel", builder.start()).await.unwrap();
        Self { dir, funnel, sources, announce, places: Vec::new(), bound: Vec::new() }
    }

    /// A new producer's end of its connection. They are numbered from 0.
    pub(crate) async fn producer(&mut self) -> UnixStream {
        let door = self.door(self.sources[0], None);
        let (stream, listener) = soon("a connection", door.open()).await.unwrap();
        self.bound.extend(listener);
        stream
    }

    /// How one more producer gets its connection, now or later. In a directory and as a member it may take the name of an
    /// earlier one.
    pub(crate) fn door(&mut self, source: Source, replaces: Option<usize>) -> Door {
        let number = self.places.len();
        match source {
            Source::Path | Source::Abstract => {
                let listeners = self.sources.iter().filter(|source| matches!(source, Source::Path | Source::Abstract));
                let index = listeners.take_while(|earlier| **earlier != source).count();
                let address = self.funnel.listening()[index].clone();
                self.places.push(address.clone());
                Door::Theirs(address)
            }
            Source::Directory | Source::Members => {
                let is_member = source == Source::Members;
                let directory = if is_member { self.dir.path().join("members") } else { self.dir.path().to_owned() };
                let own = || Address::Path(directory.join(format!("p{number:04}.sock")));
                let address = replaces.map_or_else(own, |earlier| self.places[earlier].clone());
                self.places.push(address.clone());
                let Address::Path(path) = address.clone() else { panic!("it replaces one without a name") };
                // Another one with an address that is known is another generation.
                let endpoint = Endpoint { address, generation: number as u64 };
                Door::Own(path, is_member.then(|| (self.announce.clone(), endpoint)))
            }
        }
    }
}

/// How a producer gets its connection.
pub(crate) enum Door {
    /// It connects to the funnel.
    Theirs(Address),
    /// It binds this name, is announced if no watcher would find it, and the funnel connects.
    Own(PathBuf, Option<(mpsc::UnboundedSender<Membership<Endpoint>>, Endpoint)>),
}

impl Door {
    /// The connection, and the socket that must stay for as long as its name is to be served.
    pub(crate) async fn open(self) -> std::io::Result<(UnixStream, Option<UnixListener>)> {
        match self {
            Self::Theirs(address) => Ok((Connect::to(address).connect().await.map_err(std::io::Error::other)?, None)),
            own @ Self::Own(..) => {
                let listener = own.bind()?;
                Ok((listener.accept().await?.0, Some(listener)))
            }
        }
    }

    /// Instead of accepting the funnel's connection, ends the socket with the connection in its queue, which resets it.
    pub(crate) async fn reset(self) -> std::io::Result<()> {
        let listener = self.bind()?;
        let is_waiting = || {
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            poll(&mut polled, Some(&Timespec::default())).map(|ready| ready > 0)
        };
        while !is_waiting()? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn bind(self) -> std::io::Result<UnixListener> {
        let Self::Own(path, announce) = self else { panic!("it has no socket of its own") };
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(path)?;
        if let Some((announce, endpoint)) = announce {
            announce.send(Membership::Joined(endpoint)).map_err(std::io::Error::other)?;
        }
        Ok(listener)
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

/// What a funnel told of all, by the place where it found them and then by the order of joining.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    producers: BTreeMap<(String, u64), Told>,
    pub(crate) trouble: Vec<String>,
}

impl Everything {
    pub(crate) fn note(&mut self, event: Event) {
        let key = |producer: &mpsr_server::Producer| (producer.address.to_string(), producer.id.value());
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
    fn known(&mut self, key: &(String, u64)) -> &mut Told {
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

    /// Those that were found in one place, in the order of joining.
    pub(crate) fn at(&self, place: &Address) -> Vec<&Told> {
        let place = place.to_string();
        self.producers.iter().filter(|((at, _), _)| *at == place).map(|(_, told)| told).collect()
    }

    /// By place, and then in the order of joining. With one source it is the order of their numbers.
    pub(crate) fn in_order(&self) -> Vec<&Told> {
        self.producers.values().collect()
    }

    /// Takes events until this many have left.
    pub(crate) async fn until_left(&mut self, rig: &mut Rig, producers: usize) {
        while self.left() < producers {
            let event = soon("an event", rig.funnel.next()).await.expect("the funnel runs");
            self.note(event);
        }
    }

    /// Takes events to the end, after a shutdown, and gives the report.
    pub(crate) async fn until_end(&mut self, mut rig: Rig) -> Report {
        while let Some(event) = soon("an event", rig.funnel.next()).await {
            self.note(event);
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
