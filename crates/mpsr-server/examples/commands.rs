//! A manager that sends: each plugin offers a socket in a directory, and the manager can send to any of them, or to all.
//!
//! The handler of a socket registers the sender of its actor. Any task of the program can then send to that socket
//! until the handler ends. The queue in between is the actor's, and is bounded in bytes.
//!
//! ```sh
//! cargo run -p mpsr-server --example commands
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use frame_codec::Delimited;
use fs_watch::{
    Socket, Watcher,
    attach::{News, Policy, Registration, Stop},
    connect_at,
};
use tokio::{net::UnixStream, sync::mpsc};
use uds_actor::{Actor, Bind, Sender};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PLUGINS: [&str; 3] = ["audio.sock", "network.sock", "storage.sock"];

#[tokio::main]
async fn main() -> Result {
    let place = tempfile::tempdir()?;
    let plugins: Vec<_> = PLUGINS.map(|name| tokio::spawn(plugin(place.path().join(name)))).into();

    let (answers, mut answered) = mpsc::channel(16);
    let watcher = Watcher::start(place.path()).await?;
    let mut attached = watcher.attach_with_senders(Policy::default(), move |socket, stop, registration| {
        attend(socket, stop, registration, answers.clone())
    });
    let senders = attached.senders();

    // Send to each when all are there; to one when all have answered; to the others when that one has gone.
    let (mut here, mut ready, mut gone) = (0, BTreeSet::new(), 0);
    while gone < PLUGINS.len() {
        tokio::select! {
            Some(news) = attached.next() => match news {
                News::Registered(id) => {
                    println!("+ {}", name(&id.path));
                    here += 1;
                    if here == PLUGINS.len() {
                        send_all(&senders.all(), "reload").await?;
                    }
                }
                News::Ended { id, end, .. } => {
                    println!("- {}: {end:?}", name(&id.path));
                    assert!(senders.get(&id.path).is_none(), "there is no sender without a handler");
                    gone += 1;
                    if gone == 1 {
                        send_all(&senders.all(), "quit").await?;
                    }
                }
                _ => {}
            },
            Some((path, answer)) = answered.recv() => {
                println!("  {}: {answer}", name(&path));
                if answer == "done: reload" && ready.insert(path) && ready.len() == PLUGINS.len() {
                    let first = place.path().join(PLUGINS[0]);
                    let sender = senders.get(&first).ok_or("it has gone already")?;
                    sender.send(b"quit").await?;
                }
            }
        }
    }
    for plugin in plugins {
        plugin.await??;
    }
    println!("{:?}", attached.shutdown().await);
    Ok(())
}

async fn send_all(senders: &[(fs_watch::SocketId, Sender)], command: &str) -> Result {
    for (id, sender) in senders {
        println!("  {command} to {}", name(&id.path));
        // This waits if the plugin does not read. A manager with plugins that may be slow uses `try_send`.
        sender.send(command.as_bytes()).await?;
    }
    Ok(())
}

/// The handler of one socket: connects, registers its sender, and passes on the answers.
async fn attend(
    socket: Socket,
    stop: Stop,
    registration: Registration<Sender>,
    answers: mpsc::Sender<(PathBuf, String)>,
) -> Result {
    let stream = UnixStream::from_std(connect_at(&socket)?)?;
    let (sender, mut receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
    registration.register(sender);
    loop {
        tokio::select! {
            answer = receiver.recv() => match answer {
                Some(answer) => {
                    let answer = String::from_utf8_lossy(answer).into_owned();
                    answers.send((socket.path.clone(), answer)).await?;
                }
                None => return Ok(()),
            },
            () = stop.requested() => return Ok(()),
        }
    }
}

/// A plugin: executes commands until it is told to quit.
async fn plugin(path: PathBuf) -> Result {
    let mut listener = Bind::path(path).listen()?;
    let (stream, _manager) = listener.accept().await?;
    let (sender, mut receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
    while let Some(command) = receiver.recv().await {
        if command == b"quit" {
            break;
        }
        let answer = [b"done: ", command].concat();
        sender.send(&answer).await?;
    }
    sender.finish().await?;
    Ok(())
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
