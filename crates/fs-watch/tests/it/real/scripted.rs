//! What the watcher makes of a backend that stays silent, fails, dies or panics.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fs_watch::backend::{Polling, Scripted};
use fs_watch::{Backend, Error, Event, Hints, Target, Why};

use crate::real::mirror::Mirror;
use crate::real::{Place, Rig, SOON, Source};

fn rig() -> Rig {
    Rig::new(Place::Disk, Source::Events).expect("there is a place for temporary files")
}

#[tokio::test]
async fn a_hint_at_a_name_scans_only_that_name() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    let _unhinted = rig.bind("a");
    let _hinted = rig.bind("b");
    script.hints().unwrap().name("b");
    mirror.until_there(&rig.path("b")).await;
    assert_eq!(mirror.names(), ["b"]);
}

#[tokio::test]
async fn an_overflow_causes_one_full_scan_and_one_resync() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    let _listeners = [rig.bind("a"), rig.bind("b")];
    script.hints().unwrap().overflow();
    mirror.until("it is resynced", |mirror| mirror.resyncs == 1).await;
    assert_eq!(mirror.names(), ["a", "b"]);
    assert_eq!(mirror.trouble, None);
    // The next thing to come is what is hinted at next, and not a second Resynced.
    let _last = rig.bind("c");
    script.hints().unwrap().name("c");
    let next = tokio::time::timeout(SOON, mirror.watcher.next()).await.unwrap();
    assert!(matches!(next, Some(Event::Added(_))), "{next:?}");
}

#[tokio::test]
async fn a_backend_that_cannot_arm_leaves_a_watcher_that_looks_often() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let why = Why::LimitReached { limit: "the number of test watches" };
    script.refuse(Some(why.clone()));
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    assert_eq!(mirror.trouble, Some(why));
    let _listener = rig.bind("a");
    mirror.until_there(&rig.path("a")).await;

    script.refuse(None);
    mirror.until_resynced().await;
    assert_eq!(mirror.resyncs, 1);
    let _again = rig.bind("b");
    script.hints().unwrap().name("b");
    mirror.until_there(&rig.path("b")).await;
}

#[tokio::test]
async fn a_lost_backend_is_replaced_and_the_gap_is_mended() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    let _missed = rig.bind("a");
    script.hints().unwrap().lost();
    mirror.until("it is resynced", |mirror| mirror.resyncs == 1).await;
    assert_eq!(mirror.names(), ["a"]);
    assert_eq!((script.arms(), script.disarms()), (2, 1));
}

#[tokio::test]
async fn a_backend_that_keeps_dying_is_left_alone_for_growing_pauses() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    let hints = script.hints().unwrap();
    hints.lost();
    mirror.until("the first death is mended", |mirror| mirror.resyncs == 1).await;
    for (resyncs, pause) in [(2, 250), (3, 500), (4, 1_000)] {
        let died = Instant::now();
        hints.lost();
        let is_told = |mirror: &Mirror| matches!(mirror.trouble, Some(Why::BackendFailed { .. }));
        // On a machine that stalls, the pause may end before the first scan.
        mirror.until("it is told or mended", |mirror| is_told(mirror) || mirror.resyncs == resyncs).await;
        // There are no hints, but there are scans.
        let name = format!("{resyncs}");
        let _listener = rig.bind(&name);
        if is_told(&mirror) {
            mirror.until_there(&rig.path(&name)).await;
        }
        mirror.until("it is mended", |mirror| mirror.resyncs == resyncs).await;
        assert!(died.elapsed() >= Duration::from_millis(pause), "armed again after {:?}", died.elapsed());
    }
}

#[tokio::test]
async fn the_safety_scan_finds_what_no_hint_reported() {
    let rig = rig();
    let (backend, _script) = Scripted::new();
    let builder = rig.builder().safety_interval(Duration::from_millis(20)).backend(backend);
    let mut mirror = Mirror::start(builder).await;
    let listener = rig.bind("a");
    mirror.until_there(&rig.path("a")).await;
    drop(listener);
    std::fs::remove_file(rig.path("a")).unwrap();
    mirror.until_gone(&rig.path("a")).await;
    assert_eq!(mirror.resyncs, 0);
}

#[tokio::test]
async fn hints_at_nonsense_do_no_harm() {
    let rig = rig();
    let (backend, script) = Scripted::new();
    let mut mirror = Mirror::start(rig.builder().backend(backend)).await;
    let hints = script.hints().unwrap();
    for name in ["", ".", "..", "no/such", "a\0b", "/etc/passwd"] {
        hints.name(name);
    }
    hints.name("x".repeat(5_000));
    let _listener = rig.bind("a");
    hints.name("a");
    mirror.until_there(&rig.path("a")).await;
    assert_eq!(mirror.names(), ["a"]);
}

#[tokio::test]
async fn intervals_beyond_reason_are_taken_for_the_nearest() {
    let rig = rig();
    for interval in [Duration::ZERO, Duration::MAX] {
        let builder = rig.builder().safety_interval(interval).backend(Polling::every(interval));
        let watcher = builder.start().await.unwrap();
        watcher.shutdown().await;
    }
}

/// Panics at the given call of `arm`.
struct Fuse {
    left: u32,
}

impl Backend for Fuse {
    fn arm(&mut self, _target: &Target, hints: &Hints) -> Result<(), Why> {
        assert!(self.left > 0, "this backend panics, as the test wants it to");
        self.left -= 1;
        hints.directory();
        Ok(())
    }

    fn disarm(&mut self) {}
}

#[tokio::test]
async fn a_backend_that_panics_ends_the_stream_and_nothing_else() {
    let rig = rig();
    let error = rig.builder().backend(Fuse { left: 0 }).start().await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error:?}");

    let mut watcher = rig.builder().backend(Fuse { left: 1 }).start().await.unwrap();
    let end = async { while watcher.next().await.is_some() {} };
    tokio::time::timeout(SOON, end).await.expect("the stream must end");
    watcher.shutdown().await;
}

/// Puts another directory in the place of the one that it is told to arm, once.
struct Swapper {
    dir: PathBuf,
    armed: Arc<Mutex<Vec<Target>>>,
}

impl Backend for Swapper {
    fn arm(&mut self, target: &Target, _hints: &Hints) -> Result<(), Why> {
        let mut armed = self.armed.lock().unwrap();
        if armed.is_empty() {
            std::fs::rename(&self.dir, self.dir.with_extension("away")).unwrap();
            std::fs::create_dir(&self.dir).unwrap();
        }
        armed.push(target.clone());
        Ok(())
    }

    fn disarm(&mut self) {}
}

#[tokio::test]
async fn a_directory_replaced_between_arming_and_listing_is_armed_again() {
    let rig = rig();
    let armed = Arc::new(Mutex::new(Vec::new()));
    let mirror = Mirror::start(rig.builder().backend(Swapper { dir: rig.dir(), armed: armed.clone() })).await;
    // There are no hints, and no scan is due for a day.
    let again = async {
        while armed.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the directory that is there must be armed");
    let armed = armed.lock().unwrap();
    assert!(!armed[0].is_same_directory(&armed[1]));
    drop(mirror);
}
