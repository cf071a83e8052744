//! Prints the sockets of a directory as they come and go: `cargo run --example watch -- DIR`.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use fs_watch::{Error, Event, Watcher};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| "/tmp".into());
    let mut watcher = Watcher::start(dir).await?;
    println!("watching {:?}; Ctrl-C ends it", watcher.dir());
    while let Some(event) = watcher.next().await {
        match event {
            Event::InitApply(socket) => {
                println!("  {:?} mode {:o} uid {}", socket.path, socket.facts.mode, socket.facts.uid);
            }
            Event::Added(socket) => {
                println!("+ {:?} generation {}", socket.path, socket.generation)
            }
            Event::Ready(socket) => println!("* {:?}: {}", socket.path, socket.liveness.evidence),
            Event::Removed { id, reason } => {
                println!("- {:?} generation {}: {reason}", id.path, id.generation);
            }
            Event::Degraded(why) => println!("! {why}"),
            Event::Resynced => println!("! everything is seen again"),
            Event::InitDone => println!("  that is all for now"),
            _ => {}
        }
    }
    Ok(())
}
