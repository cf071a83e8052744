//! `cargo xtask bench`: builds the benchmark in release mode, with the peers that this machine can build, and then
//! becomes it.
//!
//! The benchmark is outside the workspace, with its own lock file and target directory, because its peers bring a C
//! library and need newer compilers than we do.

use std::{
    os::unix::process::CommandExt,
    process::{self, ExitCode},
};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::{
    console::say,
    flags, need,
    workspace::{self, Workspace},
};

/// A peer that not every machine can build. Without it, the benchmark says what it skips and why.
struct Peer {
    feature: &'static str,
    is_there: fn(&Shell) -> bool,
}

const PEERS: [Peer; 2] = [
    Peer { feature: "zmq", is_there: |shell| cmd!(shell, "pkg-config --exists libzmq").quiet().run().is_ok() },
    Peer { feature: "omq", is_there: |_| need::rustc().is_some_and(|version| version >= (1, 93)) },
];

pub(crate) fn run(workspace: &Workspace, options: &flags::Bench) -> Result<ExitCode> {
    let shell = Shell::new()?;
    let cargo = workspace::cargo();
    let manifest = workspace.root.join("tests/bench/Cargo.toml");
    let target = workspace.target.join("bench");
    let peers: Vec<_> = PEERS.iter().filter(|peer| (peer.is_there)(&shell)).map(|peer| peer.feature).collect();
    let peers = peers.join(",");
    say(&format!("building the benchmark in release (peers besides tokio-util: {peers})"));
    // Not --locked: if one of our crates gains a dependency, it is missing from this lock file, and cargo only adds it.
    cmd!(shell, "{cargo} build --release --manifest-path {manifest} --target-dir {target} --features {peers}")
        .run()
        .context("the benchmark does not build")?;

    let program = target.join("release/tributary-bench");
    let mut bench = process::Command::new(&program);
    if options.quick {
        bench.arg("--quick");
    }
    if let Some(only) = &options.only {
        bench.args(["--only", only]);
    }
    if let Some(rounds) = options.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    if options.save {
        bench.arg("--save").arg(workspace.root.join("docs/benchmarks"));
    }
    // From here on the benchmark gets the signals and gives the exit code.
    let error = bench.exec();
    bail!("cannot start {}: {error}", program.display())
}
