//! An echo server that uses only the standard library. It is its own client, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io, net::Shutdown, thread};

use uds_socket::{Bind, Connect};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("echo.sock");
    let mut listener = Bind::path(&path).listen_blocking()?;
    thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            println!("serving {peer}");
            thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });

    let stream = Connect::path(&path).connect_blocking()?;
    io::copy(&mut &b"hello"[..], &mut &stream)?;
    stream.shutdown(Shutdown::Write)?;
    println!("{}", io::read_to_string(stream)?);
    Ok(())
}
