//! Three files that look alike in a directory: a socket with a server, one that a server left behind, and another file.
//!
//! The server does not notice that it is examined.
//!
//! ```sh
//! cargo run -p socket-file --example inspect
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{fs, io, os::unix::net::UnixListener};

use socket_file::Found;

fn main() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    let _server = UnixListener::bind(path("served.sock"))?;
    drop(UnixListener::bind(path("left.sock"))?);
    fs::write(path("notes.sock"), "not a socket")?;

    for name in ["served.sock", "left.sock", "notes.sock"] {
        match Found::open(&path(name))? {
            Found::Socket(socket) => println!("{name}: {}", socket.probe(&path(name))?),
            Found::Other(kind) => println!("{name}: {kind}"),
        }
    }
    Ok(())
}
