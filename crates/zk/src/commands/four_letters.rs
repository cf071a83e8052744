//! `4lw`: the four-letter words, which servers answer in text without a session.

use std::io;

use anyhow::{Context as _, anyhow};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use zk_client::Error;
use zk_proto::{ConnectString, Server};

use crate::{args::Connection, json::Object, notes::note, output::Output};

/// The longest answer that is taken: `dump` and `wchp` of a large ensemble have some megabytes.
const MOST: u64 = 256 << 20;

/// How a server says that it may not answer.
const NOT_ALLOWED: &[u8] = b" is not executed because it is not in the whitelist.";

/// Asks each server, and prints the answers in the order of the servers. With several of them, their names go to standard error.
pub(super) async fn run(word: &str, connection: &Connection, out: &mut Output) -> anyhow::Result<()> {
    let given = connection.servers();
    let servers: ConnectString =
        given.parse().map_err(|reason| Error::ConnectString { given: given.clone(), reason })?;
    let is_several = servers.servers().len() > 1;
    let mut failure = None;
    for server in servers.servers() {
        let name = server.to_string();
        let answer = timeout(connection.timeout, ask(server, word)).await;
        let answer = answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let answer = answer.with_context(|| format!("cannot ask {name}")).and_then(|answer| {
            if answer.trim_ascii_end().ends_with(NOT_ALLOWED) {
                Err(anyhow!("{name} does not answer {word}: add it to 4lw.commands.whitelist in its configuration"))
            } else {
                Ok(answer)
            }
        });
        match answer {
            Ok(answer) if out.is_json() => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                out.object(&Object::Answer { server: &name, word, answer })?;
            }
            Ok(answer) => {
                if is_several {
                    out.flush()?;
                    note(&name);
                }
                out.bytes(&answer)?;
            }
            Err(error) => {
                // The last one is told by the caller.
                if let Some(earlier) = failure.replace(error) {
                    note(&format!("zk: {earlier:#}"));
                }
            }
        }
        out.flush()?;
    }
    failure.map_or(Ok(()), Err)
}

async fn ask(server: &Server, word: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((server.host(), server.port())).await?;
    stream.write_all(word.as_bytes()).await?;
    let mut answer = Vec::new();
    (&mut stream).take(MOST + 1).read_to_end(&mut answer).await?;
    if answer.len() as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer has more than 256 MiB"));
    }
    if answer.is_empty() && word != "hash" {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection without an answer"));
    }
    Ok(answer)
}
