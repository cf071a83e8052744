//! A client that reads replies until its request is done, each within two seconds, and a server in an event loop.
//!
//! A request takes several steps. The server reports progress, and then `Ok` or `Error`. The client has no runtime and
//! blocks; the server has its own loop over epoll. Both end by themselves.
//!
//! ```sh
//! cargo run -p uds-channel --all-features --example sozu_channel
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error as StdError, thread, time::Duration};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use serde::{Deserialize, Serialize};
use uds_channel::{Blocking, Channel, Json, NonBlocking, Readiness, RecvError, SendError};

#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Reload { files: u32 },
    Explode,
}

#[derive(Debug, Serialize, Deserialize)]
enum Response {
    Processing(String),
    Ok(String),
    Error(String),
}

type Client = Channel<Request, Response, Blocking, Json>;
type Server = Channel<Response, Request, NonBlocking, Json>;

/// How long the client waits for each message.
const PER_MESSAGE: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn StdError + Send + Sync>> {
    let (mut client, server) = Client::pair()?;
    let serving = thread::spawn(move || serve(server));

    for request in [Request::Reload { files: 3 }, Request::Explode] {
        println!("client: {request:?}");
        client.send(&request)?;
        loop {
            match client.recv_timeout(PER_MESSAGE)? {
                Response::Processing(step) => println!("client:   … {step}"),
                Response::Ok(text) => break println!("client:   done: {text}"),
                Response::Error(text) => break println!("client:   rejected: {text}"),
            }
        }
    }

    match client.recv_timeout(Duration::from_millis(10)) {
        Err(error @ RecvError::TimedOut { .. }) => println!("client: nothing more is said: {error}"),
        other => return Err(format!("nothing was asked, and there is {other:?}").into()),
    }
    drop(client);
    let served = serving.join().map_err(|_| "the server panicked")??;
    println!("server: {served} requests served");
    Ok(())
}

/// Serves one client until it closes, and returns how many requests there were.
fn serve(mut channel: Server) -> Result<u32, Box<dyn StdError + Send + Sync>> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    // Edge-triggered: reported once, until the socket was found empty (reading) or full (writing).
    epoll::add(&epoll, &channel, EventData::new_u64(0), EventFlags::IN | EventFlags::OUT | EventFlags::ET)?;
    let mut events = Vec::with_capacity(4);
    let mut served = 0;
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let flags = event.flags;
            let over = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            let (readable, writable) = (flags.contains(EventFlags::IN), flags.contains(EventFlags::OUT));
            // Data that cannot be written now is written when the socket is writable again. An error shows when we
            // read.
            let _ = channel.on_readiness(Readiness { readable: readable || over, writable });
        }
        loop {
            match channel.try_recv() {
                Ok(Some(request)) => {
                    answer(&mut channel, &request)?;
                    served += 1;
                }
                Ok(None) => break,
                Err(RecvError::Ended) => return Ok(served),
                Err(error) => return Err(error.into()),
            }
        }
        let _ = channel.run()?;
    }
}

fn answer(channel: &mut Server, request: &Request) -> Result<(), SendError> {
    match request {
        Request::Reload { files } => {
            for file in 1..=*files {
                channel.queue(&Response::Processing(format!("file {file} of {files}")))?;
            }
            channel.queue(&Response::Ok(format!("{files} files reloaded")))
        }
        Request::Explode => channel.queue(&Response::Error("not today".into())),
    }
}
