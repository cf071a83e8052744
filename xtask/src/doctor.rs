//! `cargo xtask doctor`: what this machine has, what it lacks, and the line that installs it.
//!
//! It only reports; it never installs anything.

use std::{env, fs, os::unix::net::UnixListener, path::Path, process::ExitCode};

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::{
    console::say,
    need::{self, Need, Tool},
    table::{self, Align},
};

use State::{Broken, Fine, Missing};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fine,
    Missing,
    /// It is there but does not work.
    Broken,
}

/// Name, state, and a remark.
type Finding = (String, State, String);

const fn program(name: &'static str, install: &'static str) -> Need {
    Need { tool: Tool::Program(name), install, in_ci: false }
}

/// A tool, what its absence means, and what it is for.
const TOOLS: &[(Need, State, &str)] = &[
    (program("rustc", "https://rustup.rs, or: apt-get install rustc (1.88 or later)"), Broken, "compiles"),
    (program("cc", "apt-get install gcc libc6-dev"), Broken, "links"),
    (need::RUSTFMT, Missing, "ci step fmt"),
    (need::CLIPPY, Missing, "ci step clippy"),
    (need::NEXTEST, Missing, "runs tests, with a limit on each; cargo test stands in"),
    (need::CXX, Missing, "cargo xtask fuzz, ci step fuzz"),
    (program("rustup", "https://rustup.rs"), Missing, "ci step msrv: the declared version of Rust"),
    (need::DENY, Missing, "ci --full: step deny"),
    (need::SEMVER, Missing, "ci --full: cargo xtask api"),
    (need::PUBLIC_API, Missing, "cargo xtask api: the listing"),
    (need::MUTANTS, Missing, "ci --full: cargo xtask mutants"),
    (program("git", "apt-get install git"), Missing, "cargo xtask api and mutants --diff: what has changed"),
    (program("socat", "apt-get install socat"), Missing, "a producer of the demo"),
    (program("nc", "apt-get install netcat-openbsd"), Missing, "a producer of the demo (needs -U)"),
    (program("python3", "apt-get install python3"), Missing, "a producer of the demo"),
    (need::JAVA, Missing, "real Apache ZooKeeper in tests"),
    (need::APT, Missing, "fetches Apache ZooKeeper for tests, without installing it"),
    (need::DPKG, Missing, "unpacks Apache ZooKeeper for tests"),
];

/// A kernel setting, the least value that is enough, and what it bounds.
const LIMITS: &[(&str, u64, &str)] = &[
    ("fs/inotify/max_user_instances", 16, "watchers of one user"),
    ("fs/inotify/max_user_watches", 1024, "watched directories of one user"),
    ("fs/inotify/max_queued_events", 1024, "hints before a full listing"),
    ("net/core/somaxconn", 128, "producers waiting to be accepted"),
    ("net/core/wmem_max", 65_536, "bytes waiting in one socket"),
];

pub(crate) fn run() -> Result<ExitCode> {
    let shell = Shell::new()?;
    let mut findings: Vec<Finding> = TOOLS.iter().map(|wanted| tool(&shell, wanted)).collect();
    findings.push(unix_sockets());
    findings.push(writable("/dev/shm"));
    findings.push(match env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir()) {
        Some(dir) => ("XDG_RUNTIME_DIR".into(), Fine, dir.display().to_string()),
        None => {
            ("XDG_RUNTIME_DIR".into(), Missing, "no directory of your own for sockets; make one with mode 700".into())
        }
    });
    findings.extend(LIMITS.iter().map(limit));
    findings.push(open_files());

    let rows = findings.iter().map(|(name, state, text)| vec![name.clone(), state.word().to_owned(), text.clone()]);
    table::lines(&[Align::Left; 3], &rows.collect::<Vec<_>>()).iter().for_each(|line| say(line));
    let is_broken = findings.iter().any(|(_, state, _)| *state == Broken);
    Ok(if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Fine => "ok",
            Missing => "missing",
            Broken => "BROKEN",
        }
    }
}

fn tool(shell: &Shell, (need, absence, purpose): &(Need, State, &str)) -> Finding {
    let name = need.tool.name();
    match (need.tool.version(), need.tool) {
        (Some(found), Tool::Cargo(_)) => (name, Fine, format!("{found}; {purpose}")),
        (Some(found), Tool::Program(program)) => {
            (name, Fine, format!("{}; {purpose}", version(shell, program).unwrap_or(found)))
        }
        (None, _) => (name, *absence, format!("{}   ({purpose})", need.install)),
    }
}

/// The line in which a program names its version; some cannot.
fn version(shell: &Shell, program: &str) -> Option<String> {
    let flag = match program {
        "nc" => return None,
        "socat" => "-V",
        "java" => "-version",
        _ => "--version",
    };
    // Java prints it to standard error.
    let output = cmd!(shell, "{program} {flag}").quiet().ignore_status().output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    said.lines().find(|line| line.chars().any(|c| c.is_ascii_digit())).map(|line| line.trim().to_owned())
}

fn unix_sockets() -> Finding {
    let path = env::temp_dir().join(format!("xtask-doctor-{}.sock", std::process::id()));
    let bound = UnixListener::bind(&path);
    let _ = fs::remove_file(&path);
    match bound {
        Ok(_) => ("unix sockets".into(), Fine, format!("bound one in {}", env::temp_dir().display())),
        Err(error) => ("unix sockets".into(), Broken, format!("cannot bind {}: {error}", path.display())),
    }
}

fn writable(dir: &str) -> Finding {
    let probe = Path::new(dir).join(format!("xtask-doctor-{}", std::process::id()));
    match fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)) {
        Ok(()) => (dir.into(), Fine, "memory file system, writable".into()),
        Err(error) => (dir.into(), Missing, format!("memory file system: {error}")),
    }
}

fn limit((path, least, bounds): &(&str, u64, &str)) -> Finding {
    let name = path.replace('/', ".");
    let value = fs::read_to_string(Path::new("/proc/sys").join(path));
    match value.ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(value) if value >= *least => (name, Fine, format!("{value}; {bounds}")),
        Some(value) => {
            let text = format!("{value}, too few ({bounds}): sysctl -w {name}={least}");
            (name, Missing, text)
        }
        None => (name, Missing, "this kernel does not say".into()),
    }
}

fn open_files() -> Finding {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or("?");
    let is_enough = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|soft| soft >= 256);
    let state = if is_enough { Fine } else { Missing };
    ("open files".into(), state, format!("{soft}; one for each producer (ulimit -n)"))
}
