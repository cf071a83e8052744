//! A front process accepts TCP connections and hands them to a worker process, which answers their clients itself.
//!
//! A connection is handed over by passing its descriptor with a frame that says which client called. The front then
//! closes its own descriptor, so that only the worker talks to the client. The program starts itself a second time as
//! the worker. Both end by themselves, with a report of every descriptor.
//!
//! ```sh
//! cargo run -p uds-actor --example pass_fds
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    env,
    error::Error,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::fd::OwnedFd,
    path::Path,
    process::{self, Command},
    thread,
    time::Duration,
};

use frame_codec::LengthPrefixed;
use tokio::{net::TcpListener, time::timeout};
use uds_actor::{Actor, Bind, Connect, fds::Limits};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: usize = 4;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match env::args_os().nth(1) {
        Some(path) => work(Path::new(&path)).await,
        None => front().await,
    }
}

async fn front() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("worker.sock");
    // A listener accepts descriptors only if you allow it (`pass_descriptors`). This one need not: the worker sends
    // none.
    let mut listener = Bind::path(&path).listen()?;
    let mut worker = Command::new(env::current_exe()?).arg(&path).spawn()?;
    let (stream, peer) = timeout(Duration::from_secs(10), listener.accept()).await??;
    println!("front:  process {}; the worker is {peer}", process::id());
    let (sender, _receiver, control) =
        Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(Limits::default()).spawn();

    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let address = tcp.local_addr()?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            thread::spawn(move || -> Result<String> {
                let mut stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer)?;
                Ok(format!("client {number}: {answer}"))
            })
        })
        .collect();
    for _ in 0..CLIENTS {
        let (connection, caller) = timeout(Duration::from_secs(10), tcp.accept()).await??;
        sender.send_with(caller.to_string().as_bytes(), &mut vec![OwnedFd::from(connection.into_std()?)]).await?;
    }
    sender.finish().await?;
    println!("front:  {}", control.finished().await);
    for client in clients {
        println!("{}", client.join().map_err(|_| "a client panicked")??);
    }
    let status = worker.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the worker failed: {status}").into()) }
}

async fn work(path: &Path) -> Result<()> {
    let stream = Connect::path(path).deadline(Duration::from_secs(10)).pass_descriptors().connect().await?;
    let (sender, mut receiver, control) =
        Actor::new(stream, LengthPrefixed::u32_be()).pass_descriptors(Limits::default()).spawn();
    drop(sender); // this side sends nothing
    while let Some(batch) = receiver.recv_batch().await {
        for message in batch {
            for descriptor in message.descriptors {
                let mut client = TcpStream::from(descriptor);
                // Blocking mode is a property of the connection, and the front had set it differently.
                client.set_nonblocking(false)?;
                write!(client, "{}, you are served by process {}", message.payload.escape_ascii(), process::id())?;
            }
        }
    }
    println!("worker: {}", control.finished().await);
    Ok(())
}
