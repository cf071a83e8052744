//! `cargo xtask doctor`: what this machine has, what it lacks, and the line that installs it.
//!
//! It looks and says; it never installs.

use std::{
    env, fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{
    console::say,
    need::{self, Need, Tool},
    table::{self, Align},
    workspace::Workspace,
};

/// A tool, what it is for, and whether anything works without it.
struct Wanted {
    need: Need,
    purpose: &'static str,
    vital: bool,
}

/// What is known about one thing.
struct Finding {
    name: String,
    state: State,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Missing,
    /// Nothing here works like that.
    Broken,
}

const fn program(name: &'static str, install: &'static str) -> Need {
    Need { tool: Tool::Program(name), install, in_ci: false }
}

const fn useful(need: Need, purpose: &'static str) -> Wanted {
    Wanted { need, purpose, vital: false }
}

const fn vital(need: Need, purpose: &'static str) -> Wanted {
    Wanted { need, purpose, vital: true }
}

const TOOLS: &[Wanted] = &[
    vital(program("rustc", "https://rustup.rs, or: apt-get install rustc (1.88 or later)"), "compiles"),
    vital(program("cc", "apt-get install gcc libc6-dev"), "links"),
    useful(need::RUSTFMT, "ci step fmt"),
    useful(need::CLIPPY, "ci step clippy"),
    useful(need::NEXTEST, "runs tests, with a limit on each; cargo test stands in"),
    useful(need::DENY, "ci step deny"),
    useful(need::CXX, "cargo xtask fuzz, ci step fuzz"),
    useful(program("git", "apt-get install git"), "tells tidy which files are ours"),
    useful(program("socat", "apt-get install socat"), "a producer of the demo"),
    useful(program("nc", "apt-get install netcat-openbsd"), "a producer of the demo (needs -U)"),
    useful(program("python3", "apt-get install python3"), "a producer of the demo"),
    useful(need::JAVA, "real Apache ZooKeeper in tests"),
    useful(need::APT, "fetches Apache ZooKeeper for tests, without installing it"),
    useful(need::DPKG, "unpacks Apache ZooKeeper for tests"),
];

pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    let shell = Shell::new()?;
    let mut findings: Vec<Finding> = TOOLS.iter().map(|wanted| tool(&shell, wanted)).collect();
    findings.push(unix_sockets());
    findings.push(writable("/dev/shm", "memory file system"));
    findings.push(runtime_dir());
    findings.extend(LIMITS.iter().map(limit));
    findings.push(open_files());
    findings.push(Finding {
        name: "Cargo.lock".into(),
        state: if workspace.has_lock() { State::Fine } else { State::Missing },
        text: if workspace.has_lock() { "builds are held to it" } else { "run: cargo generate-lockfile" }.into(),
    });

    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| vec![finding.name.clone(), finding.state.word().to_owned(), finding.text.clone()])
        .collect();
    for line in table::lines(&[Align::Left; 3], &rows) {
        say(&line);
    }
    let broken = findings.iter().any(|finding| finding.state == State::Broken);
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Missing => "missing",
            Self::Broken => "BROKEN",
        }
    }
}

fn tool(shell: &Shell, wanted: &Wanted) -> Finding {
    let Wanted { need, purpose, vital } = wanted;
    let name = need.tool.name();
    match need.tool.version() {
        Some(found) => {
            let version = match need.tool {
                Tool::Cargo(_) => found,
                Tool::Program(program) => version(shell, program).unwrap_or(found),
            };
            Finding { name, state: State::Fine, text: format!("{version}; {purpose}") }
        }
        None => Finding {
            name,
            state: if *vital { State::Broken } else { State::Missing },
            text: format!("{}   ({purpose})", need.install),
        },
    }
}

/// The line in which a program names its version; some have no way to say it.
fn version(shell: &Shell, program: &str) -> Option<String> {
    let flag = match program {
        "nc" => return None,
        "socat" => "-V",
        "java" => "-version",
        _ => "--version",
    };
    // Java answers on standard error.
    let output = cmd!(shell, "{program} {flag}").quiet().ignore_status().output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().find(|line| line.chars().any(|c| c.is_ascii_digit())).map(|line| line.trim().to_owned())
}

fn unix_sockets() -> Finding {
    let path = env::temp_dir().join(format!("xtask-doctor-{}.sock", std::process::id()));
    let name = "unix sockets".to_owned();
    match UnixListener::bind(&path) {
        Ok(_) => {
            let _ = fs::remove_file(&path);
            Finding { name, state: State::Fine, text: format!("bound one in {}", env::temp_dir().display()) }
        }
        Err(error) => {
            let text = format!("cannot bind {}: {error}", path.display());
            Finding { name, state: State::Broken, text }
        }
    }
}

fn writable(dir: &str, purpose: &str) -> Finding {
    let probe = Path::new(dir).join(format!("xtask-doctor-{}", std::process::id()));
    let written = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
    Finding {
        name: dir.to_owned(),
        state: if written.is_ok() { State::Fine } else { State::Missing },
        text: match written {
            Ok(()) => format!("{purpose}, writable"),
            Err(error) => format!("{purpose}: {error}"),
        },
    }
}

fn runtime_dir() -> Finding {
    let dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    Finding {
        name: "XDG_RUNTIME_DIR".into(),
        state: if dir.is_some() { State::Fine } else { State::Missing },
        text: dir.map_or_else(
            || "no directory of your own for sockets; use one that only you can write".into(),
            |dir| dir.display().to_string(),
        ),
    }
}

/// A kernel setting, the least that serves, and what it bounds.
struct Limit {
    path: &'static str,
    least: u64,
    bounds: &'static str,
}

const LIMITS: &[Limit] = &[
    Limit { path: "fs/inotify/max_user_instances", least: 16, bounds: "watchers of one user" },
    Limit { path: "fs/inotify/max_user_watches", least: 1024, bounds: "watched directories of one user" },
    Limit { path: "fs/inotify/max_queued_events", least: 1024, bounds: "hints before a full listing" },
    Limit { path: "net/core/somaxconn", least: 128, bounds: "producers waiting to be accepted" },
    Limit { path: "net/core/wmem_max", least: 65_536, bounds: "bytes waiting in one socket" },
];

fn limit(limit: &Limit) -> Finding {
    let value = fs::read_to_string(Path::new("/proc/sys").join(limit.path));
    let value = value.ok().and_then(|text| text.trim().parse::<u64>().ok());
    let name = limit.path.replace('/', ".");
    match value {
        Some(value) if value >= limit.least => {
            Finding { name, state: State::Fine, text: format!("{value}; {}", limit.bounds) }
        }
        Some(value) => {
            let text = format!("{value}, too few ({}): sysctl -w {name}={}", limit.bounds, limit.least);
            Finding { name, state: State::Missing, text }
        }
        None => Finding { name, state: State::Missing, text: "this kernel does not say".into() },
    }
}

fn open_files() -> Finding {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or("?");
    let enough = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|soft| soft >= 256);
    Finding {
        name: "open files".into(),
        state: if enough { State::Fine } else { State::Missing },
        text: format!("{soft}; one for each producer (ulimit -n)"),
    }
}
