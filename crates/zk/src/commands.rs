//! The commands: each takes the client, does one thing and prints what became of it.

mod create;
mod four_letters;
mod nodes;
mod tree;
mod watch;

use std::time::Duration;

use tokio::time::timeout;
use zk_client::Client;

use crate::{
    args::{Args, Command},
    output::Output,
    signals::Interrupts,
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
async fn execute(command: Command, zk: &Client, out: &mut Output, mut interrupts: Interrupts) -> anyhow::Result<()> {
    let changes = command.changes();
    match command {
        // These two may be interrupted on purpose, so they listen themselves, and nothing else does: two listeners would race.
        Command::Watch { path, mode, count } => watch::run(zk, out, &path, mode, count, interrupts).await,
        Command::Create(create) => create::run(zk, out, create, interrupts).await,
        command => tokio::select! {
            biased;
            interrupted = interrupts.next() => Err(interrupted.leaving(changes)),
            done = once(command, zk, out) => done,
        },
    }
}

/// A command that ends by itself.
async fn once(command: Command, zk: &Client, out: &mut Output) -> anyhow::Result<()> {
    match command {
        Command::Get { path, stat, base64, hex } => nodes::get(zk, out, &path, stat, base64, hex).await?,
        Command::Set { path, payload, version, stat } => nodes::set(zk, out, &path, payload, version, stat).await?,
        Command::Delete { path, version, recursive } => nodes::delete(zk, out, &path, version, recursive).await?,
        Command::Ls { path, recursive: true, .. } => tree::paths(zk, out, &path).await?,
        Command::Ls { path, stat, .. } => nodes::ls(zk, out, &path, stat).await?,
        Command::Tree { path, depth } => tree::tree(zk, out, &path, depth).await?,
        Command::Stat { path } => nodes::stat(zk, out, &path).await?,
        Command::Sync { path } => nodes::sync(zk, out, &path).await?,
        Command::Whoami => nodes::whoami(zk, out).await?,
        Command::Watch { .. } | Command::Create(_) | Command::FourLetters { .. } => {
            unreachable!("these do not end here")
        }
    }
    out.flush()
}
