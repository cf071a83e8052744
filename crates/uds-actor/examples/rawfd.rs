//! The raw descriptors of a file and of a socket: what they are, and how they become owned again.
//!
//! A raw descriptor is a number that any code may close. The program looks at two of them. Then it gives an actor a
//! socket that it knows only by number, as if it had inherited the socket from its parent.
//!
//! ```sh
//! cargo run -p uds-actor --example rawfd
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd},
    os::unix::net::UnixStream as StdStream,
};

use frame_codec::Delimited;
use tokio::net::UnixStream;
use uds_actor::{Actor, Peer};

/// The kernel's name for the object behind one of our descriptors (`proc(5)`).
fn name_of(descriptor: RawFd) -> std::io::Result<String> {
    Ok(std::fs::read_link(format!("/proc/self/fd/{descriptor}"))?.display().to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut file = File::open("/proc/self/comm")?;
    println!("a file:   descriptor {} is {}", file.as_raw_fd(), name_of(file.as_raw_fd())?);

    let (ours, theirs) = StdStream::pair()?;
    println!("a socket: descriptor {} is {}", ours.as_raw_fd(), name_of(ours.as_raw_fd())?);
    println!("          at the other end is {}", Peer::of(&ours)?);

    // A number is not an owner. `dup(2)` through a borrow gives a second descriptor that we do own, so closing it
    // closes no other code's descriptor.
    let owned: OwnedFd = theirs.as_fd().try_clone_to_owned()?;
    println!("          descriptor {} is another one for the same socket as {}", owned.as_raw_fd(), theirs.as_raw_fd());
    drop(theirs);

    // From an owned descriptor to an actor: first a standard stream, non-blocking, then tokio's.
    let stream = StdStream::from(owned);
    stream.set_nonblocking(true)?;
    let (sender, _receiver, control) = Actor::new(UnixStream::from_std(stream)?, Delimited::lines()).spawn();

    let mut text = String::new();
    file.read_to_string(&mut text)?;
    for line in text.lines() {
        sender.send(line.as_bytes()).await?;
    }
    sender.finish().await?;

    let mut received = String::new();
    let mut ours = ours;
    ours.read_to_string(&mut received)?;
    assert_eq!(received, text, "what was in the file came through the socket");
    drop(ours);
    println!("the file's text through the socket: {received:?}\n{}", control.finished().await);
    Ok(())
}
