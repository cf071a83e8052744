//! The server and its producers in one program: some connect, some offer a socket in a directory.
//!
//! ```sh
//! cargo run -p mpsr-server --example combined
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{path::PathBuf, time::Duration};

use frame_codec::Delimited;
use mpsr_server::{Event, Funnel};
use tokio::net::UnixStream;
use uds_actor::{Actor, Bind, Connect};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const PRODUCERS: u64 = 6;
const LINES: u64 = 1000;

#[tokio::main]
async fn main() -> Result {
    let place = tempfile::tempdir()?;
    let inlet = place.path().join("in.sock");
    let sockets = place.path().join("sockets");
    std::fs::create_dir(&sockets)?;

    let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&inlet)).directory(&sockets).start().await?;
    for number in 0..PRODUCERS {
        if number % 2 == 0 {
            tokio::spawn(connect(number, inlet.clone()));
        } else {
            tokio::spawn(offer(number, sockets.join(format!("{number}.sock"))));
        }
    }

    let mut left = 0;
    while let Some(event) = funnel.next().await {
        match event {
            Event::Joined(producer) => println!("+ {producer}"),
            Event::Left(report) => {
                println!("- {report}");
                left += 1;
                if left == PRODUCERS {
                    funnel.handle().shutdown(Duration::from_secs(1));
                }
            }
            Event::Trouble { place, error } => println!("! {place}: {error}"),
            _ => {}
        }
    }
    let report = funnel.finished().await;
    println!("{report}");
    assert_eq!((report.delivered.frames, report.truncated, report.lost.frames), (PRODUCERS * LINES, 0, 0));
    Ok(())
}

/// A producer that connects to the server.
async fn connect(number: u64, inlet: PathBuf) -> Result {
    say(number, Connect::path(inlet).deadline(Duration::from_secs(1)).connect().await?).await
}

/// A producer that listens, and sends to the first client that connects.
async fn offer(number: u64, path: PathBuf) -> Result {
    let mut listener = Bind::path(path).listen()?;
    let (stream, _who) = listener.accept().await?;
    say(number, stream).await
}

async fn say(number: u64, stream: UnixStream) -> Result {
    let (sender, _receiver, _control) = Actor::new(stream, Delimited::lines()).spawn();
    for line in 0..LINES {
        sender.send(format!("line {line} of producer {number}").as_bytes()).await?;
    }
    sender.finish().await?;
    Ok(())
}
