//! axum, tonic and hyper over our listeners, and a matrix of what that is worth beside tokio's `UnixListener`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod child;
mod ends;
mod limits;
mod matrix;
mod servers;

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(20);

/// Asks a server for `/` on a connection of its own; the whole answer.
fn ask(path: &Path) -> io::Result<String> {
    ask_on(UnixStream::connect(path)?)
}

fn ask_on(mut stream: UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(LONG))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether it is a complete answer of the server in [`child`].
fn is_complete(answer: &str) -> bool {
    answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with(child::BODY)
}
