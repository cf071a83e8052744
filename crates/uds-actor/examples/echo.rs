//! An echo server and a few clients. Each connection is an actor and ends with its report.
//!
//! The clients send faster than they read, which blocks neither side: an actor reads while it writes. The server shuts
//! down when they have finished, and the program ends by itself.
//!
//! ```sh
//! cargo run -p uds-actor --example echo
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, path::Path, time::Duration};

use frame_codec::Delimited;
use tokio::{net::UnixStream, sync::oneshot, task::JoinSet};
use uds_actor::{Actor, Bind, Connect, Listener, Report};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: usize = 3;
const LINES: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("echo.sock");
    let listener = Bind::path(&path).listen()?;
    println!("listening on {}", listener.address());

    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, stopped));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(talk(number, path.clone()));
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let _ = stop.send(()); // the server waits for this
    for report in server.await?? {
        println!("server: {report}");
    }
    println!("the name is {}", if path.exists() { "still there" } else { "gone" });
    Ok(())
}

/// Gives each connection to an actor until it is told to stop, then also those that were still waiting.
async fn serve(mut listener: Listener, mut stopped: oneshot::Receiver<()>) -> Result<Vec<Report>> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = &mut stopped => break,
        };
        println!("server: {peer} is here");
        connections.spawn(echo(stream));
    }
    let mut waiting = listener.into_draining();
    while let Some((stream, _)) = waiting.accept().await? {
        connections.spawn(echo(stream));
    }
    let mut reports = Vec::new();
    while let Some(report) = connections.join_next().await {
        reports.push(report?);
    }
    Ok(reports)
}

async fn echo(stream: UnixStream) -> Report {
    let (sender, mut receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
    while let Some(batch) = receiver.recv_batch().await {
        if sender.send_batch(&batch).await.is_err() {
            break; // the client went without waiting for its replies; the report says what was not written
        }
    }
    drop(sender); // writes what is queued, and closes our direction
    control.finished().await
}

/// Sends many lines, and checks that all of them come back.
async fn talk(number: usize, path: impl AsRef<Path>) -> Result<()> {
    let stream = Connect::path(path.as_ref()).deadline(Duration::from_secs(5)).connect().await?;
    let (sender, mut receiver, control) = Actor::new(stream, Delimited::lines()).spawn();
    let speaking = tokio::spawn(async move {
        for line in 0..LINES {
            sender.send(format!("client {number}, line {line}").as_bytes()).await?;
        }
        sender.finish().await?;
        Ok::<_, uds_actor::SendError>(())
    });
    let mut heard = 0;
    while let Some(batch) = receiver.recv_batch().await {
        for line in &batch {
            if line != format!("client {number}, line {heard}").as_bytes() {
                return Err(format!("line {heard} came back as {:?}", line.escape_ascii().to_string()).into());
            }
            heard += 1;
        }
    }
    speaking.await??;
    println!("client {number}: {}", control.finished().await);
    if heard == LINES { Ok(()) } else { Err(format!("only {heard} lines came back").into()) }
}
