//! `mpsr watch`: the sockets of a directory, live.

use anyhow::Context as _;
use fs_watch::{Event, Socket, Watcher};

use crate::{
    args::Watch,
    json::{self, Object, PathText},
    output::Output,
    signals::Signals,
    text::escaped,
};

pub(crate) async fn run(args: Watch) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let mut watcher = Watcher::start(&args.directory).await.context("cannot watch")?;
    let mut output = Output::new();
    loop {
        let event = tokio::select! {
            event = watcher.next() => event,
            () = signals.next() => break,
            gone = output.abandoned() => return Err(gone),
        };
        let Some(event) = event else { break };
        if args.json {
            object(event).map_or(Ok(()), |object| output.object(&object))?;
        } else {
            line(&event).map_or(Ok(()), |line| output.line(line.as_bytes()))?;
        }
        output.flush()?;
    }
    watcher.shutdown().await;
    Ok(())
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
