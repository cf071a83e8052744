//! A source of hints that dies, refuses or panics, put around either of the real ones: what it does while it is well is
//! what they do.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use fs_watch::backend::{Inotify, Polling};
use fs_watch::{Backend, Error, Event, Hints, Target, Why};

use crate::real::mirror::Mirror;
use crate::real::{EVERY, Rig, SOON, Source, everywhere};

everywhere![
    trap_03_a_backend_that_dies_is_replaced_and_what_it_missed_is_told,
    trap_03_a_backend_that_panics_ends_the_stream_and_hangs_nobody,
    trap_15_where_no_watch_is_to_be_had_sockets_are_seen_by_looking,
];

/// The backend; a clone is the test's end.
#[derive(Clone)]
struct Faulty {
    state: Arc<Mutex<State>>,
    scan_interval: Option<Duration>,
}

struct State {
    inner: Box<dyn Backend>,
    hints: Option<Hints>,
    failure: Option<Why>,
    panics: bool,
    arms: usize,
}

impl Faulty {
    fn around(source: Source) -> Self {
        let inner: Box<dyn Backend> = match source {
            Source::Events => Box::new(Inotify::default()),
            Source::Polling => Box::new(Polling::every(EVERY)),
        };
        let scan_interval = inner.scan_interval();
        let state = State { inner, hints: None, failure: None, panics: false, arms: 0 };
        Self { state: Arc::new(Mutex::new(state)), scan_interval }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives no hint any more, and has not said so yet.
    fn die(&self) -> Hints {
        let mut state = self.state();
        state.inner.disarm();
        state.hints.clone().expect("it is armed")
    }
}

impl Backend for Faulty {
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why> {
        let mut state = self.state();
        assert!(!state.panics, "this backend panics, as the test wants it to");
        if let Some(why) = &state.failure {
            return Err(why.clone());
        }
        state.arms += 1;
        state.hints = Some(hints.clone());
        state.inner.arm(target, hints)
    }

    fn disarm(&mut self) {
        self.state().inner.disarm();
    }

    fn scan_interval(&self) -> Option<Duration> {
        self.scan_interval
    }
}

async fn trap_03_a_backend_that_dies_is_replaced_and_what_it_missed_is_told(rig: Rig) {
    let backend = Faulty::around(rig.source);
    let _early = rig.bind("early");
    let mut mirror = Mirror::start(rig.builder().backend(backend.clone())).await;
    let hints = backend.die();
    let arms = backend.state().arms;
    let _missed = rig.bind("missed");
    hints.lost();
    mirror.until("it is resynced", |mirror| mirror.resyncs == 1).await;
    mirror.until_there(&rig.path("missed")).await;
    assert!(backend.state().arms > arms, "another one takes its place");
    // Which gives hints as the first one did.
    let _late = rig.bind("late");
    mirror.until_there(&rig.path("late")).await;
    mirror.sync().await;
    assert_eq!(mirror.names(), ["early", "late", "missed"]);
    assert_eq!((mirror.resyncs, &mirror.removals[..]), (1, &[][..]));
    mirror.watcher.shutdown().await;
}

async fn trap_03_a_backend_that_panics_ends_the_stream_and_hangs_nobody(rig: Rig) {
    let backend = Faulty::around(rig.source);
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder().backend(backend.clone())).await;
    backend.state().panics = true;
    // A complete look arms before it lists.
    let error = mirror.watcher.sync().await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
    let end = async {
        while let Some(event) = mirror.watcher.next().await {
            assert!(!matches!(event, Event::Removed { .. }), "{event:?}");
        }
    };
    tokio::time::timeout(SOON, end).await.expect("the stream must end");
    mirror.watcher.shutdown().await;
    // Another one is not harmed by it.
    let mut next = Mirror::start(rig.builder()).await;
    let _late = rig.bind("b");
    next.until_there(&rig.path("b")).await;
}

async fn trap_15_where_no_watch_is_to_be_had_sockets_are_seen_by_looking(rig: Rig) {
    let backend = Faulty::around(rig.source);
    let why = Why::LimitReached { limit: "the number of test watches" };
    backend.state().failure = Some(why.clone());
    let _early = rig.bind("early");
    let mut mirror = Mirror::start(rig.builder().backend(backend.clone())).await;
    assert_eq!(mirror.trouble, Some(why));
    let _late = rig.bind("late");
    mirror.until_there(&rig.path("late")).await;
    std::fs::remove_file(rig.path("early")).unwrap();
    mirror.until_gone(&rig.path("early")).await;
    mirror.sync().await;
    assert_eq!((mirror.names(), mirror.resyncs), (vec!["late"], 0));

    backend.state().failure = None;
    mirror.until_resynced().await;
    assert_eq!((mirror.names(), mirror.resyncs), (vec!["late"], 1));
    let _last = rig.bind("last");
    mirror.until_there(&rig.path("last")).await;
}
