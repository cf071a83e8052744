//! Bursts, consumers that do not keep up, consumers that leave, and the two-event view.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixListener;
use std::pin::pin;
use std::sync::{Arc, mpsc as std_mpsc};

use fs_watch::{Event, SocketEvent, Watcher, watch_for_new_sockets};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::real::mirror::Mirror;
use crate::real::{Rig, SOON, everywhere};

everywhere![
    a_burst_is_seen_whole_by_a_consumer_that_slept,
    a_consumer_that_sleeps_while_the_directory_is_remade_hangs_nobody,
    a_next_that_is_dropped_loses_nothing,
    the_stream_says_what_next_says,
    a_watcher_can_be_dropped_at_any_time,
    shutdown_ends_with_events_untaken,
    a_sync_ends_however_many_wait_for_one,
    a_sync_ends_when_the_directory_does,
];

const BURST: usize = 2_000;

async fn a_burst_is_seen_whole_by_a_consumer_that_slept(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    for number in 0..BURST {
        // The file stays when the listener is closed, and descriptors are few.
        drop(rig.bind(&number.to_string()));
    }
    mirror.until("all have come", |mirror| mirror.sockets.len() == BURST).await;
    for number in 0..BURST {
        fs::remove_file(rig.path(&number.to_string())).unwrap();
    }
    mirror.until("all have gone", |mirror| mirror.sockets.is_empty()).await;
    assert_eq!(mirror.trouble, None);
}

/// With a bounded channel between the callback and a consumer that itself calls `watch`, this is the classic deadlock:
/// hundreds of events that are not taken, and a watch that must be set again meanwhile.
async fn a_consumer_that_sleeps_while_the_directory_is_remade_hangs_nobody(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let mut living = Vec::new();
    for round in 0..10 {
        for number in 0..200 {
            drop(rig.bind(&number.to_string()));
        }
        living.push(rig.bind(&format!("round {round}")));
        fs::remove_dir_all(rig.dir()).unwrap();
        fs::create_dir(rig.dir()).unwrap();
    }
    let _last = rig.bind("last");
    mirror.until("only the last is left", |mirror| mirror.names() == ["last"]).await;
    mirror.watcher.shutdown().await;
}

async fn a_next_that_is_dropped_loses_nothing(rig: Rig) {
    let mut watcher = rig.builder().start().await.unwrap();
    for number in 0..100 {
        drop(rig.bind(&number.to_string()));
    }
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        // Each future is polled once and dropped, ready or not.
        if let Some(event) = watcher.next().now_or_never() {
            if let Some(Event::InitApply(socket) | Event::Added(socket)) = event {
                assert!(seen.insert(socket.path), "one was seen twice");
            }
        } else {
            tokio::task::yield_now().await;
        }
    }
}

async fn the_stream_says_what_next_says(rig: Rig) {
    let _a = rig.bind("a");
    let mut watcher = rig.builder().start().await.unwrap();
    let first: Vec<_> = StreamExt::by_ref(&mut watcher).take(3).collect().await;
    assert!(
        matches!(&first[..], [Event::Init, Event::InitApply(socket), Event::InitDone]
            if socket.path == rig.path("a")),
        "{first:?}"
    );
    let _b = rig.bind("b");
    let next = StreamExt::next(&mut watcher).await;
    assert!(matches!(next, Some(Event::Added(socket)) if socket.path == rig.path("b")));
}

async fn a_watcher_can_be_dropped_at_any_time(rig: Rig) {
    for round in 0..20 {
        // Dropped while it starts, which may or may not have got anywhere.
        drop(pin!(rig.builder().start()).now_or_never());
        let mut watcher = rig.builder().start().await.unwrap();
        drop(rig.bind(&round.to_string()));
        let _pending = watcher.next().now_or_never();
        drop(watcher);
    }
}

async fn shutdown_ends_with_events_untaken(rig: Rig) {
    for number in 0..BURST {
        drop(rig.bind(&number.to_string()));
    }
    // More is waiting than the outbox likes to hold, so the thread rests until there is room.
    let watcher = rig.builder().start().await.unwrap();
    drop(rig.bind("late"));
    watcher.shutdown().await;
}

async fn a_sync_ends_however_many_wait_for_one(rig: Rig) {
    let watcher = Arc::new(rig.builder().start().await.unwrap());
    let mut waiting = JoinSet::new();
    for _ in 0..100 {
        let of_task = watcher.clone();
        waiting.spawn(async move { of_task.sync().await });
        // And some who do not wait until the end.
        drop(pin!(watcher.sync()).now_or_never());
    }
    while let Some(synced) = waiting.join_next().await {
        synced.unwrap().unwrap();
    }
}

/// Of what is not there all is known.
async fn a_sync_ends_when_the_directory_does(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    for round in 0..20 {
        let _listener = rig.bind("a");
        mirror.sync().await;
        assert_eq!(mirror.names(), ["a"], "round {round}");
        {
            let mut synced = pin!(mirror.watcher.sync());
            let begun = synced.as_mut().now_or_never();
            fs::remove_dir_all(rig.dir()).unwrap();
            if begun.is_none() {
                synced.await.unwrap();
            }
        }
        mirror.sync().await;
        assert_eq!(mirror.names(), [""; 0], "round {round}");
        fs::create_dir(rig.dir()).unwrap();
    }
}

#[tokio::test]
async fn the_plain_view_tells_paths_as_they_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let _early = UnixListener::bind(path("early")).unwrap();
    let (sender, mut receiver) = mpsc::channel(8);
    let watching = tokio::spawn(watch_for_new_sockets(dir.path().to_owned(), sender));
    let mut next = async || tokio::time::timeout(SOON, receiver.recv()).await.unwrap().unwrap();

    assert_eq!(next().await, SocketEvent::NewSocket(path("early")));
    let _late = UnixListener::bind(path("late")).unwrap();
    assert_eq!(next().await, SocketEvent::NewSocket(path("late")));
    fs::remove_file(path("early")).unwrap();
    assert_eq!(next().await, SocketEvent::SocketClosed(path("early")));

    drop(receiver);
    tokio::time::timeout(SOON, watching).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_plain_view_loses_nothing_to_a_channel_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (sender, mut receiver) = mpsc::channel(1);
    let watching = tokio::spawn(watch_for_new_sockets(dir.path().to_owned(), sender));
    // Each is served, and descriptors are few: a hard link to a socket is a socket.
    let path = |number: usize| dir.path().join(number.to_string());
    let _listener = UnixListener::bind(path(0)).unwrap();
    for number in 1..BURST {
        fs::hard_link(path(0), path(number)).unwrap();
    }
    let mut there = BTreeSet::new();
    while there.len() < BURST {
        match tokio::time::timeout(SOON, receiver.recv()).await.unwrap().unwrap() {
            SocketEvent::NewSocket(path) => assert!(there.insert(path)),
            SocketEvent::SocketClosed(path) => assert!(there.remove(&path)),
        }
    }
    drop(receiver);
    tokio::time::timeout(SOON, watching).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_plain_view_ends_when_its_receiver_goes_while_the_channel_is_full() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..10 {
        drop(UnixListener::bind(dir.path().join(number.to_string())).unwrap());
    }
    let (sender, mut receiver) = mpsc::channel(1);
    let watching = tokio::spawn(watch_for_new_sockets(dir.path().to_owned(), sender));
    tokio::time::timeout(SOON, receiver.recv()).await.unwrap().unwrap();
    drop(receiver);
    tokio::time::timeout(SOON, watching).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_plain_view_refuses_what_is_no_directory() {
    let (sender, _receiver) = mpsc::channel(1);
    let error = watch_for_new_sockets("/dev/null", sender).await.unwrap_err();
    assert!(error.to_string().contains("is not a directory"), "{error}");
}

/// A runtime waits for what runs in its pool for blocking calls; a watcher must not be there.
#[test]
fn a_runtime_can_end_while_a_watcher_waits() {
    let (done, ended) = std_mpsc::channel();
    std::thread::spawn(move || {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut watcher = runtime.block_on(Watcher::start(dir.path())).unwrap();
        runtime.spawn(async move { while watcher.next().await.is_some() {} });
        runtime.block_on(tokio::task::yield_now());
        drop(runtime);
        done.send(()).unwrap();
    });
    ended.recv_timeout(SOON).expect("the runtime must end");
}

/// The consumer's task must yield to others while it waits, on a runtime with a single thread too.
#[test]
fn a_waiting_watcher_lets_other_tasks_run() {
    let (done, ended) = std_mpsc::channel();
    std::thread::spawn(move || {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut watcher = Watcher::start(dir.path()).await.unwrap();
            let path = dir.path().join("a");
            let (event, _listener) = tokio::join!(
                async {
                    loop {
                        if let Some(Event::Added(socket)) = watcher.next().await {
                            break socket;
                        }
                    }
                },
                async { UnixListener::bind(&path).unwrap() },
            );
            assert_eq!(event.path, path);
            watcher.shutdown().await;
        });
        done.send(()).unwrap();
    });
    ended.recv_timeout(SOON).expect("both must come to their end");
}
