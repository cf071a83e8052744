//! A server for typed messages in plain, blocking Rust: a socket with a name, one thread for each client.
//!
//! A file that an earlier server left behind is no obstacle, and the file is removed at the end. It is its own client, and ends by
//! itself.
//!
//! ```sh
//! cargo run -p uds-channel --all-features --example std_server
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, thread};

use uds_channel::{Blocking, Channel, Json};
use uds_socket::Bind;

type Client = Channel<String, usize, Blocking, Json>;
type Server = Channel<usize, String, Blocking, Json>;

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("lengths.sock");
    let mut listener = Bind::path(&path).listen_blocking()?;
    thread::spawn(move || {
        while let Ok((mut channel, peer)) = Server::accept(&mut listener) {
            println!("serving {peer}");
            thread::spawn(move || while channel.recv().is_ok_and(|text| channel.send(&text.len()).is_ok()) {});
        }
    });

    let mut client = Client::connect(&path)?;
    for text in ["plain", "std"] {
        client.send(&text.to_owned())?;
        println!("{text:?} has {} bytes", client.recv()?);
    }
    Ok(())
}
