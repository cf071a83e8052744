//! The watcher loses no event however often the futures that take them are dropped.

use std::{os::unix::net::UnixListener, path::Path, time::Duration};

use cancel_kit::{Check, Drops, Error, Survey};
use fs_watch::{Event, Probing, Watcher};
use tempfile::TempDir;

const HANG: Duration = Duration::from_secs(20);

fn passes(survey: Result<Survey, Error<Vec<String>>>) {
    survey.unwrap_or_else(|error| panic!("{error}"));
}

/// A directory with a socket in it.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    bind(&dir.path().join("first"));
    dir
}

/// Leaves a socket there. Whether it is live does not matter here.
fn bind(path: &Path) {
    drop(UnixListener::bind(path).expect("the name is free"));
}

/// Takes events up to this one, and says in words what they were.
async fn until(drops: &Drops, watcher: &mut Watcher, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    while told.last().is_none_or(|word| word != last) {
        let (what, path) = match drops.drive(async || watcher.next().await).await.expect("the thread lives") {
            Event::InitApply(socket) => ("there", socket.path),
            Event::Added(socket) => ("added", socket.path),
            Event::Removed { id, .. } => ("removed", id.path),
            Event::Init | Event::InitDone => continue,
            other => panic!("nothing goes wrong here: {other:?}"),
        };
        told.push(format!("{what} {}", path.file_name().expect("a name").to_string_lossy()));
    }
    told
}

#[test]
fn next_takes_an_event_only_when_it_gives_it() {
    passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
        let dir = directory();
        // Sockets are not probed: it would be a matter of chance whether a socket that is closed at once is seen as
        // live.
        let start = Watcher::builder(dir.path()).probing(Probing::Off).start();
        let mut watcher = start.await.expect("it can be watched");
        let mut told = until(&drops, &mut watcher, "there first").await;
        for name in ["second", "third"] {
            // Tasks begin when this one is pending, so there is something to wait for and to drop. The socket is seen
            // before it goes: what comes and goes between two looks is not told.
            let path = dir.path().join(name);
            let coming = tokio::spawn(async move { bind(&path) });
            told.extend(until(&drops, &mut watcher, &format!("added {name}")).await);
            coming.await.expect("no panic");
            let path = dir.path().join(name);
            let going = tokio::spawn(async move { std::fs::remove_file(path).expect("it is there") });
            told.extend(until(&drops, &mut watcher, &format!("removed {name}")).await);
            going.await.expect("no panic");
        }
        watcher.shutdown().await;
        told
    }));
}

#[test]
fn start_dropped_half_way_does_not_disturb_the_next() {
    let check = || {
        Check::new().restarts().run_in_tokio(HANG, async |drops: Drops| {
            let dir = directory();
            let start = async || Watcher::start(dir.path()).await;
            let mut watcher = drops.drive(start).await.expect("it can be watched");
            let told = until(&drops, &mut watcher, "there first").await;
            watcher.shutdown().await;
            told
        })
    };
    // The thread may have scanned before the first poll. Then there was nothing to wait for: try again.
    let survey = std::iter::repeat_with(check).find(|survey| *survey != Err(Error::Vacuous));
    passes(survey.expect("it is repeated until then"));
}

#[cfg(feature = "tokio")]
mod attached {
    use fs_watch::attach::{Attached, End, News};

    use super::*;

    /// Takes news up to the end of a handler, and says in words what they were.
    async fn until_ended(drops: &Drops, attached: &mut Attached<String>) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let (what, id) = match drops.drive(async || attached.next().await).await.expect("it goes on") {
                News::Event(_) => continue,
                News::Started(id) => ("started", id),
                News::Ended { id, end: End::Finished, .. } => ("finished", id),
                other => panic!("nothing goes wrong here: {other:?}"),
            };
            told.push(format!("{what} {}", id.path.file_name().expect("a name").to_string_lossy()));
            if what == "finished" {
                return told;
            }
        }
    }

    #[test]
    fn next_tells_all_news_once() {
        passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
            let dir = directory();
            let watcher = Watcher::start(dir.path()).await.expect("it can be watched");
            let mut attached = watcher.attach(async |socket, stop| {
                if !socket.path.ends_with("first") {
                    stop.requested().await;
                }
                Ok(())
            });
            let mut told = until_ended(&drops, &mut attached).await;
            let path = dir.path().join("second");
            let mut coming = tokio::spawn(async move { bind(&path) });
            let mut seen = false;
            // Gone once it has a handler.
            while !seen {
                let news = drops.drive(async || attached.next().await).await.expect("it goes on");
                seen = matches!(news, News::Started(_));
            }
            (&mut coming).await.expect("no panic");
            let path = dir.path().join("second");
            let going = tokio::spawn(async move { std::fs::remove_file(path).expect("it is there") });
            told.extend(until_ended(&drops, &mut attached).await);
            going.await.expect("no panic");
            let report = attached.shutdown().await;
            (told, report.started, report.finished).0
        }));
    }

    #[test]
    fn stop_may_be_waited_for_again_and_again() {
        passes(Check::new().run_in_tokio(HANG, async |drops: Drops| {
            let dir = directory();
            let watcher = Watcher::start(dir.path()).await.expect("it can be watched");
            let (hand_out, mut handed_out) = tokio::sync::mpsc::channel(1);
            let mut attached: Attached<String> = watcher.attach(move |_, stop| {
                let hand_out = hand_out.clone();
                async move {
                    hand_out.send(stop.clone()).await.map_err(|_| "the receiver is gone".to_owned())?;
                    stop.requested().await;
                    Ok(())
                }
            });
            while !matches!(attached.next().await, Some(News::Started(_))) {}
            let stop = handed_out.recv().await.expect("the handler runs");
            let ending = tokio::spawn(attached.shutdown());
            drops.drive(async || stop.requested().await).await;
            let report = ending.await.expect("no panic");
            vec![format!("{report:?}")]
        }));
    }
}
