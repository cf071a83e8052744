//! A server and its clients with tokio that exchange typed messages: each request is answered by several messages.
//!
//! ```sh
//! cargo run -p uds-channel --all-features --example tokio_channel
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error as StdError, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{net::UnixStream, time::timeout};
use uds_channel::{AsyncChannel, Json, RecvError};
use uds_socket::{Bind, Connect};

#[derive(Debug, Serialize, Deserialize)]
struct CountTo(u32);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Number(u32),
    Done,
}

/// How long a client waits for each message.
const PER_MESSAGE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("count.sock");
    let mut listener = Bind::path(&path).listen()?;
    let clients = async { tokio::try_join!(ask(&path, 3), ask(&path, 5)) };
    let serving = async {
        loop {
            let (stream, peer) = listener.accept().await?;
            println!("server: {peer} is here");
            tokio::spawn(serve(stream));
        }
    };
    tokio::select! {
        numbers = clients => assert_eq!(numbers?, (3, 5)),
        failed = serving => return failed,
    }
    Ok(())
}

async fn serve(stream: UnixStream) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let mut channel: AsyncChannel<Answer, CountTo, Json> = AsyncChannel::from_stream(stream);
    loop {
        let CountTo(last) = match channel.recv().await {
            Ok(request) => request,
            Err(RecvError::Ended) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for number in 1..=last {
            channel.feed(&Answer::Number(number)).await?;
        }
        channel.send(&Answer::Done).await?;
    }
}

/// Returns how many numbers came.
async fn ask(path: &Path, last: u32) -> Result<u32, Box<dyn StdError>> {
    let stream = Connect::path(path).connect().await?;
    let mut channel: AsyncChannel<CountTo, Answer, Json> = AsyncChannel::from_stream(stream);
    channel.send(&CountTo(last)).await?;
    let mut numbers = 0;
    while let Answer::Number(number) = timeout(PER_MESSAGE, channel.recv()).await?? {
        println!("client: {number} of {last}");
        numbers += 1;
    }
    Ok(numbers)
}
