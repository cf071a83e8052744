//! `watch`: the changes of a node or a tree, as they come.

use zk_client::{Client, Ending, SessionEvent, WatchEvent};

use crate::{
    args::Mode,
    json::{self, Object},
    notes::note,
    output::Output,
    shown,
    signals::Interrupts,
};

pub(super) async fn run(
    zk: &Client,
    out: &mut Output,
    path: &str,
    mode: Mode,
    count: Option<u64>,
    mut interrupts: Interrupts,
) -> anyhow::Result<()> {
    let mut session = zk.events();
    let mut watch = tokio::select! {
        biased;
        _ = interrupts.next() => return Ok(()),
        watch = zk.watch(path, mode.into()) => watch?,
    };
    if out.is_json() {
        out.object(&Object::Event { event: "watching", path: Some(path), zxid: None, number: None })?;
    } else {
        note(&format!("watching {}", shown::name(path)));
    }
    let mut left = count;
    loop {
        // What comes together is written together.
        out.flush()?;
        if left == Some(0) {
            return Ok(());
        }
        tokio::select! {
            biased;
            _ = interrupts.next() => return Ok(()),
            event = watch.next() => match event {
                Some(event) => {
                    show(out, &event)?;
                    left = left.map(|left| left - u64::from(matches!(event, WatchEvent::Node(_))));
                }
                None => return Err(ended(zk.closed().await.ending)),
            },
            event = session.next() => match event {
                Some(SessionEvent::Suspended) => tell(out, "suspended", "zk: the connection is lost; looking for another one")?,
                Some(SessionEvent::Resumed) => tell(out, "resumed", "zk: the connection is back")?,
                Some(SessionEvent::Ended(ending)) => return Err(ended(ending)),
                Some(_) => {}
                None => return Err(ended(zk.closed().await.ending)),
            },
        }
    }
}

fn show(out: &mut Output, event: &WatchEvent) -> anyhow::Result<()> {
    match event {
        WatchEvent::Node(event) if out.is_json() => out.object(&Object::from(event)),
        WatchEvent::Node(event) => {
            let (word, number) = json::change(event.change);
            let number = number.map(|number| format!(" ({number})")).unwrap_or_default();
            out.line(&format!("{word}{number} {}", shown::name(&event.path)))
        }
        WatchEvent::Resync if out.is_json() => out.object(&Object::event("resync")),
        WatchEvent::Resync => out.line("resync"),
        _ => Ok(()),
    }
}

fn tell(out: &mut Output, event: &'static str, words: &str) -> anyhow::Result<()> {
    if out.is_json() {
        out.object(&Object::event(event))
    } else {
        note(words);
        Ok(())
    }
}

fn ended(ending: Ending) -> anyhow::Error {
    anyhow::anyhow!("{ending}")
}
