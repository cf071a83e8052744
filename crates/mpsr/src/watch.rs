//! `mpsr watch`: the sockets of a directory, live.

use std::{future::ready, sync::Arc, time::Duration};

use anyhow::Context as _;
use fs_watch::{DotFiles, Event, Probing, Socket, Watcher, directory::Inspection};
use tokio::{sync::Notify, time::timeout};

mod tree;

use tree::Tree;

use crate::{
    args::Watch,
    json::{self, Object, PathText},
    ls::passed_over,
    output::{Output, last_word, note},
    signals::Signals,
    text::escaped,
};

/// How long the printing may take to end after a signal: a reader that has stopped reading would delay it without end.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: Watch) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let mut events = Events::of(&args).await.context("cannot watch")?;
    let mut output = Output::new();
    let asked = Arc::new(Notify::new());
    tokio::spawn(end_on_signal(signals, Arc::clone(&asked)));
    let mut is_written = true;
    loop {
        let event = tokio::select! {
            biased;
            () = asked.notified() => break,
            gone = output.abandoned() => return Err(gone),
            event = events.next() => event,
            // Whenever nothing more is there to be told: a burst is written in blocks.
            () = ready(()), if !is_written => {
                output.flush()?;
                is_written = true;
                continue;
            }
        };
        let Some(event) = event else { break };
        if event == Event::InitDone {
            note_passed_over(&args);
        }
        if args.json {
            object(event).map_or(Ok(()), |object| output.object(&object))?;
        } else {
            line(&event).map_or(Ok(()), |line| output.line(line.as_bytes()))?;
        }
        is_written = false;
    }
    // The watcher is not waited for: a filesystem that does not answer would keep it.
    output.flush()
}

/// Where the events come from.
enum Events {
    One(Watcher),
    Tree(Tree),
}

impl Events {
    async fn of(args: &Watch) -> Result<Self, fs_watch::Error> {
        let builder = {
            let dot_files = if args.all { DotFiles::Reported } else { DotFiles::Ignored };
            let probing = if args.connect { Probing::TableAndConnect } else { Probing::Kernel };
            move |directory: &std::path::Path| Watcher::builder(directory).dot_files(dot_files).probing(probing)
        };
        if args.recursive {
            return Tree::start(args.directory.clone(), args.all, builder).await.map(Self::Tree);
        }
        builder(&args.directory).start().await.map(Self::One)
    }

    /// Cancel safe.
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::One(watcher) => watcher.next().await,
            Self::Tree(tree) => tree.next().await,
        }
    }
}

/// Says which sockets are there and not shown. That they cannot be counted is no trouble: nothing depends on it.
fn note_passed_over(args: &Watch) {
    let inspection = Inspection::default()
        .probing(Probing::Off)
        .dot_files(if args.all { DotFiles::Reported } else { DotFiles::Ignored })
        .recursive(args.recursive);
    if let Ok(survey) = inspection.run([&args.directory]) {
        // A link can be listed, and not watched: nothing tells of what happens to its target.
        let mut passed = survey.passed_over;
        let links = std::mem::take(&mut passed.links);
        passed_over(&passed).iter().for_each(|text| note(&format!("mpsr: {text}")));
        if links > 0 {
            let what = if links == 1 {
                "link to a socket (watch the directory it leads"
            } else {
                "links to sockets (watch the directories they lead"
            };
            note(&format!("mpsr: passed over: {links} symbolic {what} to)"));
        }
    }
}

/// In a task of its own, because the printing may be stuck.
async fn end_on_signal(mut signals: Signals, asked: Arc<Notify>) {
    signals.next().await;
    asked.notify_one();
    let _ = timeout(PATIENCE, signals.next()).await;
    last_word("mpsr: ended by a signal while its output was not read").await;
    std::process::exit(1);
}

fn object(event: Event) -> Option<Object<'static>> {
    Some(match event {
        Event::Init => Object::Init,
        Event::InitApply(found) => Object::Present { socket: socket(&found) },
        Event::InitDone => Object::InitDone,
        Event::Added(found) => Object::Added { socket: socket(&found) },
        Event::Ready(found) => Object::Ready { socket: socket(&found), kind: found.kind.to_string() },
        Event::Removed { id, reason } => Object::Removed {
            path: PathText::new(&id.path),
            generation: id.generation.value(),
            reason: reason.to_string(),
        },
        Event::Degraded(why) => Object::Degraded { text: why.to_string() },
        Event::Resynced => Object::Resynced,
        _ => return None,
    })
}

fn socket(found: &Socket) -> json::Socket {
    json::Socket {
        path: PathText::new(&found.path),
        generation: found.generation.value(),
        mode: format!("{:o}", found.facts.mode),
        uid: found.facts.uid,
        gid: found.facts.gid,
    }
}

/// For people: a sign, the path, and what else is known.
fn line(event: &Event) -> Option<String> {
    let path = |path: &std::path::Path| escaped(path.as_os_str().as_encoded_bytes());
    let describe = |sign: char, found: &Socket| {
        let facts = &found.facts;
        format!(
            "{sign} {}  mode {:03o}, uid {}, gid {}, generation {}",
            path(&found.path),
            facts.mode,
            facts.uid,
            facts.gid,
            found.generation
        )
    };
    Some(match event {
        Event::Init => return None,
        Event::InitApply(found) => describe('=', found),
        Event::InitDone => "-- watching; from here on changes".to_owned(),
        Event::Added(found) => describe('+', found),
        Event::Ready(found) => {
            format!("! {}  {} socket, ready, generation {}", path(&found.path), found.kind, found.generation)
        }
        Event::Removed { id, reason } => format!("- {}  {reason}, generation {}", path(&id.path), id.generation),
        Event::Degraded(why) => format!("?? {}", escaped(why.to_string().as_bytes())),
        Event::Resynced => "-- complete again".to_owned(),
        _ => return None,
    })
}
