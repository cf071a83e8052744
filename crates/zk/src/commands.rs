//! The commands: each takes the client, does one thing and prints what became of it.

mod create;
mod four_letters;
mod nodes;
mod tree;
mod watch;

use std::time::Duration;

use tokio::time::timeout;
use zk_client::{Client, Error};

use crate::{
    args::{Args, Command},
    json::Object,
    output::Output,
    shown,
    signals::{Interrupted, Interrupts},
};

/// How long the end of the session may take, once everything is printed. If the server does not confirm it, it ends the session by
/// itself after the session timeout.
const FAREWELL: Duration = Duration::from_secs(1);

/// Runs the command to its end, or until a signal comes.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut interrupts = Interrupts::catch()?;
    let mut out = Output::new(args.json);
    if let Command::FourLetters { word } = &args.command {
        return tokio::select! {
            biased;
            interrupted = interrupts.next() => Err(interrupted.into()),
            answered = four_letters::run(word, &args.connection, &mut out) => answered,
        };
    }
    let zk = tokio::select! {
        biased;
        interrupted = interrupts.next() => return Err(interrupted.into()),
        connected = args.connection.open() => connected?,
    };
    let outcome = execute(args.command, &zk, &mut out, interrupts).await;
    let _ = timeout(FAREWELL, zk.close()).await;
    outcome
}

/// Does what the command says. Everything is printed when it returns.
async fn execute(command: Command, zk: &Client, out: &mut Output, interrupts: Interrupts) -> anyhow::Result<()> {
    let changes = command.changes();
    let work = async {
        match command {
            Command::Watch { path, mode, count } => {
                return watch::run(zk, out, &path, mode, count, interrupts.clone()).await;
            }
            Command::Create(create) => return create::run(zk, out, create, interrupts.clone()).await,
            Command::Get { path, stat, base64, hex } => nodes::get(zk, out, &path, stat, base64, hex).await?,
            Command::Set { path, payload, version, stat } => nodes::set(zk, out, &path, payload, version, stat).await?,
            Command::Delete { path, version, recursive } => nodes::delete(zk, out, &path, version, recursive).await?,
            Command::Ls { path, recursive: true, .. } => tree::paths(zk, out, &path).await?,
            Command::Ls { path, stat, .. } => nodes::ls(zk, out, &path, stat).await?,
            Command::Tree { path, depth } => tree::tree(zk, out, &path, depth).await?,
            Command::Stat { path } => nodes::stat(zk, out, &path).await?,
            Command::Sync { path } => {
                zk.sync(&path).await?;
                if out.is_json() {
                    out.object(&Object::Path { path: &path })?;
                }
            }
            Command::Whoami => {
                for who in zk.who_am_i().await? {
                    if out.is_json() {
                        out.object(&Object::Identity { scheme: &who.scheme, user: &who.user })?;
                    } else {
                        out.line(&format!("{}  {}", shown::name(&who.scheme), shown::name(&who.user)))?;
                    }
                }
            }
            Command::FourLetters { .. } => unreachable!("it needs no session"),
        }
        out.flush()
    };
    let mut own = interrupts.clone();
    tokio::select! {
        biased;
        done = work => done,
        interrupted = own.next() => Err(doubt(interrupted, changes)),
    }
}

/// What a command that is left half way has to say.
fn doubt(interrupted: Interrupted, changes: bool) -> anyhow::Error {
    let error = anyhow::Error::new(interrupted);
    if changes { error.context("it is not known whether the change was made") } else { error }
}

/// That a node does not exist, as an error.
fn missing(operation: &'static str, path: &str) -> Error {
    Error::Rejected { operation, path: path.into(), code: zk_client::ErrorCode::NoNode }
}
