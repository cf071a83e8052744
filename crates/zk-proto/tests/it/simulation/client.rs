//! A client around a session, and what its user knows: every call's outcome, every watch, every path as it was read last.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use packetizer::{Call, CallId, Error, Limits, Mux, Output, Reply, Unsent, frame_codec::LengthPrefixed};
use zk_proto::{
    Acl, AddWatch, AddWatchMode, Create, Delete, Ending, ErrorCode, EventType, Exists, GetChildren2, GetData,
    Notification, Session, SessionEvent, SetData, Stat, WatchId,
    session::{AddAuth, AuthId, GiveUp, Verdict, Watching},
};

use crate::simulation::server::{Millis, TIMEOUT};

pub(crate) const PATHS: [&str; 6] = ["/a", "/a/b", "/a/c", "/d", "/d/e", "/f"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Set,
    Delete,
    Get { watch: bool },
    Exists { watch: bool },
    Children { watch: bool },
    Watch { tree: bool },
}

/// A call of the user.
struct Asked {
    kind: Kind,
    path: &'static str,
    watch: Option<WatchId>,
    data: Vec<u8>,
}

pub(crate) enum Waiter {
    Own,
    User(usize),
}

/// What a user of a watch has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// Data as of this transaction, and no event since.
    Data(i64),
    Missing,
    Children(i64),
    /// Everything below a path, or the path itself, until further notice.
    Lasting {
        tree: bool,
    },
}

pub(crate) struct Watch {
    pub(crate) path: &'static str,
    seen: Seen,
}

impl Watch {
    /// Whether a watch for one event has not been told of how things stand now.
    pub(crate) fn missed(&self, stat: Option<Stat>) -> bool {
        match self.seen {
            Seen::Data(seen) => stat.is_none_or(|stat| stat.mzxid.0 != seen),
            Seen::Missing => stat.is_some(),
            Seen::Children(seen) => stat.is_none_or(|stat| stat.pzxid.0 != seen),
            Seen::Lasting { .. } => false,
        }
    }

    pub(crate) fn is_about_children(&self) -> bool {
        matches!(self.seen, Seen::Children(_))
    }

    pub(crate) fn is_lasting(&self) -> Option<bool> {
        match self.seen {
            Seen::Lasting { tree } => Some(tree),
            _ => None,
        }
    }
}

pub(crate) struct Client {
    pub(crate) mux: Mux<Session, Waiter>,
    calls: Vec<Option<Asked>>,
    /// Watches that the user has, by their reply.
    pub(crate) watches: BTreeMap<WatchId, Watch>,
    /// What was read of a path last, while nothing says that it has changed since.
    known: BTreeMap<(WatchId, &'static str), i64>,
    next_watch: u64,
    next_write: u64,
    pub(crate) proofs: BTreeSet<Vec<u8>>,
    pub(crate) events: Vec<SessionEvent>,
    /// Writes with the outcome "not sent", and those that were answered.
    pub(crate) not_sent: BTreeSet<Vec<u8>>,
    pub(crate) answered: BTreeSet<Vec<u8>>,
    outcomes: usize,
    ids: Vec<CallId>,
    pub(crate) connected: bool,
}

impl Client {
    pub(crate) fn new() -> Self {
        let session = Session::default().with_timeout(Duration::from_millis(TIMEOUT));
        let mut mux = Mux::new(LengthPrefixed::zookeeper(), session, Limits::default());
        mux.handle_disconnect(Unsent::Keep);
        Self {
            mux,
            calls: Vec::new(),
            watches: BTreeMap::new(),
            known: BTreeMap::new(),
            next_watch: 0,
            next_write: 0,
            proofs: BTreeSet::new(),
            events: Vec::new(),
            not_sent: BTreeSet::new(),
            answered: BTreeSet::new(),
            outcomes: 0,
            ids: Vec::new(),
            connected: false,
        }
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        self.mux.protocol_mut()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.mux.protocol().ending().is_some()
    }

    pub(crate) fn open(&mut self, now: Instant) {
        self.mux.handle_connect();
        self.session().handle_open(now + Duration::from_millis(TIMEOUT / 6), now);
        self.connected = true;
    }

    pub(crate) fn lose(&mut self, now: Instant) {
        let unsent = if self.is_over() { Unsent::Fail } else { Unsent::Keep };
        self.mux.handle_disconnect(unsent);
        self.session().handle_lost(now);
        self.connected = false;
        self.drain();
        if self.is_over() {
            // It may have become so with the loss.
            self.mux.handle_disconnect(Unsent::Fail);
            self.drain();
        }
    }

    /// What is to be written.
    pub(crate) fn transmit(&mut self, now: Instant) -> Vec<u8> {
        while let Some(call) = self.session().poll_call() {
            if let Err((error, _)) = self.mux.request_with(&call, call.options(), Waiter::Own) {
                assert!(matches!(error, Error::Encode(zk_proto::Error::NothingToSend)), "{error}");
            }
        }
        let mut bytes = Vec::new();
        while let Some(block) = self.mux.poll_transmit() {
            self.mux.handle_written(block.len());
            bytes.extend_from_slice(&block);
        }
        if !bytes.is_empty() {
            self.session().handle_sent(now);
        }
        bytes
    }

    /// Takes a frame; `false` if the connection is to be closed.
    pub(crate) fn handle_frame(&mut self, frame: Vec<u8>, now: Instant) -> bool {
        let outcome = self.mux.handle_frame(frame.into());
        self.session().handle_received(now);
        self.drain();
        outcome.expect("the server keeps to the protocol");
        self.mux.protocol().verdict() == Verdict::Keep
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<GiveUp> {
        let give_up = self.session().handle_timeout(now);
        self.drain();
        give_up
    }

    /// Drops a user's watch.
    pub(crate) fn unwatch(&mut self, number: usize) {
        let Some(id) = self.watches.keys().nth(number % self.watches.len().max(1)).copied() else { return };
        self.forget(id);
        self.session().unwatch(id);
    }

    /// Loses interest in a call.
    pub(crate) fn cancel(&mut self, number: usize) {
        let Some(id) = self.ids.get(number % self.ids.len().max(1)) else { return };
        if let Some(Waiter::User(call)) = self.mux.cancel(*id) {
            self.outcomes += 1;
            if let Some(watch) = self.calls[call].take().and_then(|asked| asked.watch) {
                self.session().unwatch(watch);
            }
        }
    }

    pub(crate) fn add_auth(&mut self) {
        let proof = format!("user{}:secret", self.proofs.len()).into_bytes();
        let auth = AddAuth { id: AuthId(self.proofs.len() as u64), scheme: "digest", secret: &proof };
        if let Err((error, _)) = self.mux.request(&auth, Waiter::Own) {
            assert!(matches!(error, Error::NeverSent), "{error}");
            self.session().add_auth(&auth);
        }
        self.proofs.insert(proof);
    }

    pub(crate) fn call(&mut self, kind: Kind, path: &'static str) {
        let number = self.calls.len();
        self.next_write += 1;
        let data = format!("write {}", self.next_write).into_bytes();
        let watches = matches!(
            kind,
            Kind::Get { watch: true }
                | Kind::Exists { watch: true }
                | Kind::Children { watch: true }
                | Kind::Watch { .. }
        );
        let watch = watches.then(|| {
            self.next_watch += 1;
            WatchId(self.next_watch)
        });
        self.calls.push(Some(Asked { kind, path, watch, data: data.clone() }));
        let (waiter, path) = (Waiter::User(number), path.into());
        let (mux, data) = (&mut self.mux, Some(&data[..]));
        let made = match (kind, watch) {
            (Kind::Create, _) => mux.request(&Create { path, data, acl: Some(Acl::OPEN.into()), flags: 0 }, waiter),
            (Kind::Set, _) => mux.request(&SetData { path, data, version: -1 }, waiter),
            (Kind::Delete, _) => mux.request(&Delete { path, version: -1 }, waiter),
            (Kind::Get { watch }, None) => mux.request(&GetData { path, watch }, waiter),
            (Kind::Get { watch }, Some(user)) => mux.request(&Watching { call: GetData { path, watch }, user }, waiter),
            (Kind::Exists { watch }, None) => mux.request(&Exists { path, watch }, waiter),
            (Kind::Exists { watch }, Some(user)) => {
                mux.request(&Watching { call: Exists { path, watch }, user }, waiter)
            }
            (Kind::Children { watch }, None) => mux.request(&GetChildren2 { path, watch }, waiter),
            (Kind::Children { watch }, Some(user)) => {
                mux.request(&Watching { call: GetChildren2 { path, watch }, user }, waiter)
            }
            (Kind::Watch { tree }, user) => {
                let mode = if tree { AddWatchMode::PersistentRecursive } else { AddWatchMode::Persistent };
                let call = AddWatch { path, mode: mode.number() };
                mux.request(&Watching { call, user: user.expect("it is given") }, waiter)
            }
        };
        match made {
            Ok(id) => self.ids.push(id),
            Err((error, _)) => self.handle_answer(number, Err(error)),
        }
    }

    /// Hears what there is to hear, in its order.
    fn drain(&mut self) {
        let mut outputs = VecDeque::new();
        while let Some(output) = self.mux.poll_output() {
            outputs.push_back(output);
        }
        for output in outputs {
            match output {
                Output::Event(notification) => self.handle_notification(&notification),
                Output::Answer { waiter: Waiter::Own, .. } => {}
                Output::Answer { waiter: Waiter::User(call), result } => self.handle_answer(call, result),
            }
        }
        while let Some(event) = self.session().poll_event() {
            self.handle_event(event);
        }
    }

    fn handle_event(&mut self, event: SessionEvent) {
        use SessionEvent::{Authenticated, Connected, Ended, Resumed, Suspended};
        if let Authenticated(_) = event {
            return;
        }
        match (self.events.last(), &event) {
            (None, Connected { .. } | Ended(_))
            | (Some(Connected { .. } | Resumed { .. }), Suspended | Ended(_))
            | (Some(Suspended), Resumed { .. } | Ended(_)) => {}
            (before, after) => panic!("{after:?} after {before:?}"),
        }
        match &event {
            Resumed { gaps } => {
                let session = self.mux.protocol().grant().expect("a session").session;
                let same =
                    |event: &SessionEvent| matches!(event, Connected { session: first, .. } if *first == session);
                assert!(self.events.first().is_some_and(same), "another session than {:?}", self.events.first());
                let lasting = self.watches.iter().filter(|(_, watch)| watch.is_lasting().is_some());
                assert_eq!(*gaps, lasting.map(|(id, _)| *id).collect::<Vec<_>>());
                self.known.retain(|(id, _), _| !gaps.contains(id));
            }
            Ended(_) => {
                self.watches.clear();
                self.known.clear();
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn handle_notification(&mut self, notification: &Notification) {
        assert!(!matches!(self.events.last(), Some(SessionEvent::Ended(_))), "an event after the end");
        let path = &*notification.event.path;
        let kind = EventType::from_number(notification.event.kind);
        for id in &notification.users {
            let watch = self.watches.get(id).unwrap_or_else(|| panic!("{kind:?} of {path} for a user that is gone"));
            if watch.is_lasting().is_some() {
                self.known.retain(|(watch, known), _| watch != id || *known != path);
            } else {
                assert_eq!(watch.path, path);
                self.forget(*id);
            }
        }
    }

    fn forget(&mut self, id: WatchId) {
        self.watches.remove(&id);
        self.known.retain(|(watch, _), _| *watch != id);
    }

    fn handle_answer(&mut self, call: usize, result: Result<Reply<Session>, Error<zk_proto::Error>>) {
        let asked = self.calls[call].take().expect("a call has one outcome");
        self.outcomes += 1;
        let reply = match result {
            Ok(reply) => reply,
            Err(error) => {
                if !error.maybe_executed() {
                    self.not_sent.insert(asked.data);
                }
                if let Some(watch) = asked.watch {
                    self.session().unwatch(watch);
                }
                return;
            }
        };
        self.answered.insert(asked.data);
        let (path, watch) = (asked.path, asked.watch);
        match asked.kind {
            Kind::Create => drop(read::<Create<'_>>(reply)),
            Kind::Set => drop(read::<SetData<'_>>(reply)),
            Kind::Delete => drop(read::<Delete<'_>>(reply)),
            Kind::Get { .. } => match read::<GetData<'_>>(reply) {
                Ok(node) => self.see(path, Some(node.stat), watch),
                Err(ErrorCode::NoNode) => self.see(path, None, None),
                Err(code) => panic!("{code}"),
            },
            Kind::Exists { .. } => self.see(path, read::<Exists<'_>>(reply).expect("no error"), watch),
            Kind::Children { .. } => match read::<GetChildren2<'_>>(reply) {
                Ok((_, stat)) => {
                    self.see(path, Some(stat), None);
                    if let Some(watch) = watch {
                        self.watches.insert(watch, Watch { path, seen: Seen::Children(stat.pzxid.0) });
                    }
                }
                Err(ErrorCode::NoNode) => self.see(path, None, None),
                Err(code) => panic!("{code}"),
            },
            Kind::Watch { tree } => {
                read::<AddWatch<'_>>(reply).expect("it is watched");
                self.watches.insert(watch.expect("it was asked for"), Watch { path, seen: Seen::Lasting { tree } });
            }
        }
    }

    /// A path was read: every change since it was watched must have been told before.
    fn see(&mut self, path: &'static str, stat: Option<Stat>, watch: Option<WatchId>) {
        let mzxid = stat.map_or(-1, |stat| stat.mzxid.0);
        let pzxid = stat.map_or(-1, |stat| stat.pzxid.0);
        for (id, watch) in &self.watches {
            let covers = match watch.seen {
                Seen::Lasting { tree: true } => path == watch.path || path.starts_with(&format!("{}/", watch.path)),
                _ => path == watch.path,
            };
            if !covers {
                continue;
            }
            match watch.seen {
                Seen::Data(seen) => assert_eq!(mzxid, seen, "{path}: the new state came before its event"),
                Seen::Missing => assert_eq!(stat, None, "{path}: it exists, and its event did not come"),
                Seen::Children(seen) => assert_eq!(pzxid, seen, "{path}: other children came before their event"),
                Seen::Lasting { .. } => {
                    let known = *self.known.entry((*id, path)).or_insert(mzxid);
                    assert_eq!(mzxid, known, "{path}: the new state came before its event or a Resync");
                }
            }
        }
        if let Some(watch) = watch {
            let seen = stat.map_or(Seen::Missing, |stat| Seen::Data(stat.mzxid.0));
            self.watches.insert(watch, Watch { path, seen });
        }
    }

    /// After everything has settled: no call is left without an outcome.
    pub(crate) fn check_settled(&self) {
        assert_eq!(self.outcomes, self.calls.len(), "calls without an outcome");
        if let Some(SessionEvent::Ended(Ending::Closed)) = self.events.last() {
            panic!("no user closed the session");
        }
    }
}

fn read<C: Call<Protocol = Session>>(reply: Reply<Session>) -> C::Reply {
    reply.decode::<C>().expect("the server's replies can be read")
}

/// Since the epoch of the simulation.
pub(crate) fn at(epoch: Instant, now: Millis) -> Instant {
    epoch + Duration::from_millis(now)
}
