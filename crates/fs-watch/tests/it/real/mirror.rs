//! A consumer that keeps a map of what it was told, and checks that it was told it properly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_watch::{Builder, Event, Generation, Reason, Socket, SocketId, Verdict, Watcher, Why};
use tokio::time::Instant;

pub(crate) struct Mirror {
    pub(crate) watcher: Watcher,
    pub(crate) sockets: BTreeMap<PathBuf, Socket>,
    pub(crate) trouble: Option<Why>,
    pub(crate) resyncs: usize,
    pub(crate) removals: Vec<Reason>,
    pub(crate) ready: BTreeSet<SocketId>,
    highest: BTreeMap<PathBuf, Generation>,
    log: Vec<Event>,
}

impl Mirror {
    /// Starts the watcher and takes its first listing.
    pub(crate) async fn start(builder: Builder) -> Self {
        let mut mirror = Self {
            watcher: builder.start().await.unwrap(),
            sockets: BTreeMap::new(),
            trouble: None,
            resyncs: 0,
            removals: Vec::new(),
            ready: BTreeSet::new(),
            highest: BTreeMap::new(),
            log: Vec::new(),
        };
        mirror.until("the first listing is whole", |mirror| mirror.has_seen(&Event::InitDone)).await;
        let begins = mirror.log.iter().position(|event| *event == Event::Init).unwrap();
        let first_apply = mirror.log.iter().position(|event| matches!(event, Event::InitApply(_)));
        assert!(first_apply.is_none_or(|first| begins < first));
        mirror
    }

    /// Takes events until `condition` holds. The test's own limit bounds it.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let Ok(event) = tokio::time::timeout(crate::real::SOON, self.watcher.next()).await else {
                let tail = &self.log[self.log.len().saturating_sub(20)..];
                panic!("waited in vain until {what}; last of all came {tail:#?}");
            };
            self.apply(event.expect("the watcher lives"));
        }
    }

    /// Takes everything that has happened until now.
    pub(crate) async fn sync(&mut self) {
        self.watcher.sync().await.unwrap();
        while let Some(event) = self.watcher.try_next() {
            self.apply(event);
        }
    }

    pub(crate) fn is_ready(&self, path: &Path) -> bool {
        self.sockets.get(path).is_some_and(|socket| self.ready.contains(&socket.id()))
    }

    /// Takes what comes within this time.
    pub(crate) async fn take_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(end, self.watcher.next()).await {
            self.apply(event.expect("the watcher lives"));
        }
    }

    pub(crate) async fn until_there(&mut self, path: &Path) -> Socket {
        self.until(&format!("{path:?} is there"), |mirror| mirror.sockets.contains_key(path)).await;
        self.sockets[path].clone()
    }

    pub(crate) async fn until_gone(&mut self, path: &Path) {
        self.until(&format!("{path:?} is gone"), |mirror| !mirror.sockets.contains_key(path)).await;
    }

    pub(crate) async fn until_resynced(&mut self) {
        self.until("all is seen again", |mirror| mirror.trouble.is_none()).await;
    }

    pub(crate) fn has_seen(&self, event: &Event) -> bool {
        self.log.contains(event)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.sockets.keys().map(|path| path.file_name().unwrap().to_str().unwrap()).collect()
    }

    fn apply(&mut self, event: Event) {
        self.log.push(event.clone());
        match event {
            Event::InitApply(socket) | Event::Added(socket) => {
                let before = self.highest.insert(socket.path.clone(), socket.generation);
                assert!(before < Some(socket.generation), "a generation fell: {socket:?}");
                let before = self.sockets.insert(socket.path.clone(), socket);
                assert_eq!(before, None, "what is there was added");
            }
            Event::Removed { id, reason } => {
                let before = self.sockets.remove(&id.path).expect("what is not there was removed");
                assert_eq!(before.id(), id);
                self.ready.remove(&id);
                self.removals.push(reason);
            }
            Event::Ready(socket) => {
                let announced = self.sockets.get_mut(&socket.path).expect("a socket is announced before it is ready");
                assert_eq!(announced.id(), socket.id());
                assert_eq!(socket.liveness.verdict, Verdict::Listening);
                assert!(self.ready.insert(socket.id()), "one was ready twice");
                *announced = socket;
            }
            Event::Degraded(why) => {
                assert_ne!(self.trouble.as_ref(), Some(&why), "the same trouble was told twice");
                self.trouble = Some(why);
            }
            Event::Resynced => {
                self.trouble = None;
                self.resyncs += 1;
            }
            _ => {}
        }
    }
}
