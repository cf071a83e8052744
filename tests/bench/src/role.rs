//! The parts that processes play, and how the conductor talks to them.
//!
//! A part is one line of JSON on the command line. The process says `ready`, waits for a line on its standard input,
//! does its work, and answers with one line of JSON.

use std::{
    io::{self, BufRead as _, Write as _},
    path::PathBuf,
};

use anyhow::{Result, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use crate::{
    contender::{Produce, Receive},
    idle, produce, receive, round_trip,
    runtime::Flavour,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    Produce(Produce, Load),
    Receive(Receive, Load),
    Echo(round_trip::Contender, round_trip::Load),
    Ask(round_trip::Contender, round_trip::Load),
    IdleServer(idle::Contender, idle::Load),
    IdleClients(idle::Load),
}

/// How much is sent, and where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) path: PathBuf,
    /// Bytes of a message.
    pub(crate) payload: usize,
    /// Messages of each producer.
    pub(crate) messages: u64,
    pub(crate) producers: usize,
    pub(crate) flavour: Flavour,
}

pub(crate) fn play(spec: &str) -> Result<()> {
    // No part continues after the conductor has gone.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match serde_json::from_str(spec)? {
        Role::Produce(how, load) => produce::play(how, &load),
        Role::Receive(how, load) => receive::play(how, &load),
        Role::Echo(contender, load) => round_trip::echo(contender, load),
        Role::Ask(contender, load) => round_trip::ask(contender, load),
        Role::IdleServer(contender, load) => idle::server(contender, load),
        Role::IdleClients(load) => idle::clients(&load),
    }
}

/// Says that everything is set up.
pub(crate) fn say_ready() -> Result<()> {
    say("ready")
}

/// Waits until the conductor says go on.
pub(crate) fn await_go() -> Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    ensure!(line == "go\n", "the conductor is gone");
    Ok(())
}

/// Tells the conductor what came out.
pub(crate) fn answer(outcome: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string(outcome)?)
}

fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    Ok(())
}
