//! `mpsr watch`: the sockets of a directory, live.

use std::{future::ready, sync::Arc, time::Duration};

use anyhow::bail;
use fs_watch::{
    DotFiles, Probing, Watcher,
    directory::{Inspection, PassedOver},
};
use tokio::{sync::Notify, time::timeout};

mod branch;
mod told;
mod tree;
mod unasked;

use told::Told;
use tree::Tree;
use unasked::Unasked;

use crate::{
    args::Watch,
    json::Object,
    ls,
    output::{Output, last_word, note},
    signals::Signals,
    words,
};

/// How long the end may take after a signal. A reader that has stopped reading, or a filesystem that does not respond,
/// would delay it forever.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: Watch) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let asked = Arc::new(Notify::new());
    tokio::spawn(end_on_signal(signals, Arc::clone(&asked)));
    let events = tokio::select! {
        events = Events::of(&args) => events.map_err(|error| words::watch("cannot watch", error))?,
        () = asked.notified() => return Ok(()),
    };
    print(&args, events, &asked).await
}

/// Prints events until a request to end.
async fn print(args: &Watch, mut events: Events, asked: &Notify) -> anyhow::Result<()> {
    let mut output = Output::new();
    let mut is_written = true;
    let mut unasked = Unasked::new(args.connect);
    loop {
        let event = tokio::select! {
            biased;
            () = asked.notified() => break,
            gone = output.abandoned() => return Err(gone),
            event = events.next() => event,
            // When no more events are waiting: a burst is written in blocks.
            () = ready(()), if !is_written => {
                output.flush()?;
                is_written = true;
                continue;
            }
            () = unasked.is_due() => {
                unasked.check().iter().for_each(|text| note(&format!("mpsr: {text}")));
                continue;
            }
        };
        let Some(told) = event else {
            output.flush()?;
            bail!("the thread that watched {:?} has ended by itself: nothing more is seen", args.directory);
        };
        if matches!(told, Told::InitDone) {
            let passed = passed_over(args);
            note_passed_over(passed);
            if let Some(object) = Object::passed_over(&passed).filter(|_| args.json) {
                output.object(&object)?;
            }
        }
        unasked.handle(&told);
        if args.json {
            output.object(&told.to_object())?;
        } else if let Some(line) = told.to_line() {
            output.line(&line)?;
        }
        is_written = false;
    }
    // We do not wait for the watcher, because a filesystem that does not respond would block it.
    output.flush()
}

/// The source of the events.
enum Events {
    One(Watcher),
    Tree(Box<Tree>),
}

impl Events {
    async fn of(args: &Watch) -> Result<Self, fs_watch::Error> {
        let builder = {
            let dot_files = if args.all { DotFiles::Reported } else { DotFiles::Ignored };
            let probing = if args.connect { Probing::TableAndConnect } else { Probing::Kernel };
            move |directory: &std::path::Path| Watcher::builder(directory).dot_files(dot_files).probing(probing)
        };
        if args.recursive {
            return Tree::start(args.directory.clone(), args.all, builder).await.map(|tree| Self::Tree(Box::new(tree)));
        }
        builder(&args.directory).start().await.map(Self::One)
    }

    /// Cancel safe.
    async fn next(&mut self) -> Option<Told> {
        match self {
            Self::One(watcher) => loop {
                let event = watcher.next().await?;
                if let Some(told) = Told::new(event, watcher.dir(), 0) {
                    return Some(told);
                }
            },
            Self::Tree(tree) => tree.next().await,
        }
    }
}

/// Which sockets are there but not shown. It is no problem if they cannot be counted: nothing depends on it.
fn passed_over(args: &Watch) -> PassedOver {
    let inspection = Inspection::default()
        .probing(Probing::Off)
        .dot_files(if args.all { DotFiles::Reported } else { DotFiles::Ignored })
        .recursive(args.recursive);
    inspection.run([&args.directory]).map_or_else(|_| PassedOver::default(), |survey| survey.passed_over)
}

fn note_passed_over(mut passed: PassedOver) {
    // A link can be listed, but not watched: no event reports what happens to its target.
    let links = std::mem::take(&mut passed.links);
    ls::passed_over(&passed).iter().for_each(|text| note(&format!("mpsr: {text}")));
    if links > 0 {
        let what = if links == 1 {
            "link to a socket (watch the directory it leads"
        } else {
            "links to sockets (watch the directories they lead"
        };
        note(&format!("mpsr: passed over: {links} symbolic {what} to)"));
    }
}

/// Runs in a separate task, because printing, or a scan for directories, may be stuck.
async fn end_on_signal(mut signals: Signals, asked: Arc<Notify>) {
    signals.next().await;
    asked.notify_one();
    let _ = timeout(PATIENCE, signals.next()).await;
    last_word("mpsr: ended by a signal while its output was not read, or a filesystem did not answer").await;
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use fs_watch::{Backend, Hints, Target, Why};

    use super::*;

    /// Makes the watching thread panic in its second call.
    struct Panics(bool);

    impl Backend for Panics {
        fn arm(&mut self, _: &Target, hints: &Hints) -> Result<(), Why> {
            hints.lost();
            assert!(!std::mem::replace(&mut self.0, true), "planted");
            Ok(())
        }

        fn disarm(&mut self) {}
    }

    #[tokio::test]
    async fn it_fails_when_the_thread_that_watches_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let args =
            Watch { directory: directory.path().to_owned(), all: false, recursive: false, connect: false, json: false };
        let watcher = Watcher::builder(directory.path()).backend(Panics(false)).start().await.unwrap();
        let ended = timeout(Duration::from_secs(30), print(&args, Events::One(watcher), &Notify::new())).await;
        let error = ended.expect("it ends").expect_err("it has failed").to_string();
        assert!(error.contains("has ended by itself") && error.contains(directory.path().to_str().unwrap()), "{error}");
    }
}
