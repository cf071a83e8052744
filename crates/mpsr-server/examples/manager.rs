//! A manager: watches a directory, gives each socket in it an actor, and has one receiver for all of them.
//!
//! This program does by hand, with `fs-watch` and `uds-actor`, what [`mpsr_server::Funnel`] does in one line. It is for
//! managers that do more than receive. Its producers are separate processes: this program, started again.
//!
//! ```sh
//! cargo run -p mpsr-server --example manager
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use frame_codec::{Batch, Delimited};
use fs_watch::{
    Event, Socket, Watcher,
    attach::{News, Policy, Start, Stop},
    connect_at,
    directory::{Lock, Sweep},
};
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    sync::mpsc,
};
use uds_actor::{Actor, Bind};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PRODUCERS: u64 = 4;
const LINES: u64 = 1000;
/// How long to drain the connection to a socket that is gone.
const GOODBYE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => manage().await,
        (Some(role), Some(path)) if role == "produce" => produce(&path).await,
        (Some(role), Some(path)) if role == "hang" => hang(&path).await,
        _ => Err("it takes no arguments".into()),
    }
}

async fn manage() -> Result {
    let place = tempfile::tempdir()?;
    let directory = place.path();
    // A second manager of this directory gets our pid and does not start.
    let _lock = Lock::take(directory)?;

    // Four producers send something and end. The fifth sends nothing and is killed.
    let mut children = Vec::new();
    for number in 0..PRODUCERS {
        children.push(start("produce", &directory.join(format!("{number}.sock")))?);
    }
    let silent = directory.join("silent.sock");
    let mut hanging = start("hang", &silent)?;

    // The one receiver. Its channel is bounded, and so are the actors behind it: a producer that is not read from
    // waits.
    let (funnel, mut receiver) = mpsc::channel::<(PathBuf, Batch)>(16);
    let policy = Policy::default().with_start(Start::Ready);
    let watcher = Watcher::start(directory).await?;
    let mut attached = watcher.attach_with(policy, move |socket, stop| receive(socket, stop, funnel.clone()));

    let mut lines = BTreeMap::<PathBuf, u64>::new();
    let mut silent_is_gone = false;
    while lines.values().sum::<u64>() < PRODUCERS * LINES || !silent_is_gone {
        tokio::select! {
            Some((path, batch)) = receiver.recv() => *lines.entry(path).or_default() += batch.len() as u64,
            Some(news) = attached.next() => match news {
                News::Started(id) => {
                    println!("+ {}", name(&id.path));
                    if id.path == silent {
                        hanging.kill().await?;
                    }
                }
                News::Ended { id, end, again_in, .. } => println!("- {}: {end:?}, again in {again_in:?}", name(&id.path)),
                News::Event(Event::Removed { id, reason }) => {
                    println!("  {} is {reason}", name(&id.path));
                    silent_is_gone |= id.path == silent;
                }
                News::Event(Event::Degraded(why)) => println!("! {why}"),
                _ => {}
            },
        }
    }
    for child in &mut children {
        assert!(child.wait().await?.success(), "a producer has failed");
    }
    let report = attached.shutdown().await;
    println!("{report:?}");
    for (path, lines) in &lines {
        println!("{}: {lines} lines", name(path));
        assert_eq!(*lines, LINES);
    }
    assert_eq!((lines.len() as u64, report.panicked, report.aborted), (PRODUCERS, 0, 0));

    // The other producers have removed their sockets. The one that was killed left a stale socket, which the sweep
    // removes once it is old enough: a younger file may belong to a server that is just starting.
    let young = Duration::from_secs(2);
    tokio::time::sleep(young).await;
    let swept = Sweep::default().min_age(young).run(directory)?;
    for finding in &swept.findings {
        println!("{}: {}", name(&finding.path), finding.fate);
    }
    assert_eq!(swept.removed(), 1);
    Ok(())
}

/// The handler of one socket: connects, and passes on what arrives.
async fn receive(socket: Socket, stop: Stop, funnel: mpsc::Sender<(PathBuf, Batch)>) -> Result {
    // Connect only to the socket that was announced, and only if it belongs to us or root.
    let stream = UnixStream::from_std(connect_at(&socket)?)?;
    let (_sender, mut receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
    loop {
        tokio::select! {
            batch = receiver.recv_batch() => match batch {
                Some(batch) => funnel.send((socket.path.clone(), batch)).await?,
                None => return Ok(()),
            },
            () = stop.requested() => break,
        }
    }
    // Its name is gone, but we may not have read everything yet.
    let rest = async {
        while let Some(batch) = receiver.recv_batch().await {
            funnel.send((socket.path.clone(), batch)).await?;
        }
        Result::Ok(())
    };
    tokio::join!(control.drain(GOODBYE), rest).1
}

fn start(role: &str, path: &Path) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).arg(role).arg(path).kill_on_drop(true).spawn()?)
}

/// A producer that offers a socket, and sends to the first client that connects.
async fn produce(path: impl AsRef<Path>) -> Result {
    let mut listener = Bind::path(path.as_ref()).listen()?;
    let (stream, _who) = listener.accept().await?;
    let (sender, _receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
    for line in 0..LINES {
        sender.send(format!("line {line}").as_bytes()).await?;
    }
    sender.finish().await?;
    control.finished().await;
    Ok(())
}

/// A producer that offers a socket and does nothing more.
async fn hang(path: impl AsRef<Path>) -> Result {
    let mut listener = Bind::path(path.as_ref()).listen()?;
    let _connection = listener.accept().await?;
    std::future::pending().await
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().escape_debug().to_string()
}
