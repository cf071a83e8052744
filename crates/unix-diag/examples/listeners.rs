//! The listeners of this machine, or rather of this network namespace, and how many connections wait for each.
//!
//! No server notices that it was looked up.
//!
//! ```sh
//! cargo run -p unix-diag --example listeners
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, os::unix::net::UnixListener};

use unix_diag::{FileId, Table};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("own.sock");
    let _listener = UnixListener::bind(&path)?;
    let own = FileId::of(&path.symlink_metadata()?);

    let table = Table::read()?;
    for (file, socket) in table.iter().filter(|(_, socket)| socket.is_served()) {
        let name = if file == own { path.display().to_string() } else { format!("{file:?}") };
        match socket.backlog {
            Some(backlog) => println!("{name}: {backlog:?}"),
            None => println!("{name}: datagrams"),
        }
    }
    table.get(own).map(|_| ()).ok_or_else(|| "our own listener is not in the table".into())
}
