//! The part that runs inside the environment: it plays one scenario, with peers that are this program once more.
//!
//! Each wait has a limit, and every child is killed when the play ends.

use std::{
    fmt::Write as _,
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    net::Shutdown,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{PermissionsExt as _, chown},
            net::{SocketAddr, UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    environment::{PLAY, Play, Restriction},
    outcome::Outcome,
    scenario::Scenario,
};

mod child;
mod restrict;

use child::Child;

/// What a peer is to do: a verb and an address.
const PEER: &str = "MPSR_ENVIRONMENT_PEER";
/// The command line to run under a restriction.
const RESTRICTED: &str = "MPSR_ENVIRONMENT_RESTRICTED";
/// What every scenario moves.
const MESSAGES: [&str; 3] = ["one", "two", "three"];

#[test]
#[ignore = "started by the tests of this program, inside an environment"]
fn a_scenario() {
    let play: Play = serde_json::from_str(&std::env::var(PLAY).expect("a play")).unwrap();
    let outcome = Stage::new(play).play();
    println!("{}", outcome.to_line());
}

#[test]
#[ignore = "started by a scenario, as a program that uses none of our code"]
fn a_peer() {
    let order = std::env::var(PEER).expect("an order");
    let (verb, address) = order.split_once(' ').unwrap();
    let text = MESSAGES.join("\n") + "\n";
    match verb {
        "produce" => {
            let mut stream = connect(address);
            stream.write_all(text.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
        "receive" => {
            let mut got = String::new();
            // The name is there a moment before the socket listens.
            let mut stream = (0..1_000).find_map(|_| try_connect(address).inspect_err(|_| pause()).ok());
            stream.as_mut().expect("it listens within a second or so").read_to_string(&mut got).unwrap();
            println!("GOT {got:?}");
        }
        "offer" => {
            let (mut stream, _) = bind(address).accept().unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
        "serve" => {
            let mut got = String::new();
            let (mut stream, _) = bind(address).accept().unwrap();
            stream.read_to_string(&mut got).unwrap();
            println!("GOT {got:?}");
        }
        "hold" => {
            let _listener = bind(address);
            let _ = io::stdin().read(&mut [0]);
            fs::remove_file(address).unwrap();
        }
        "leave" => drop(bind(address)),
        other => panic!("no peer does {other:?}"),
    }
}

#[test]
#[ignore = "started by a scenario, in front of the tool"]
fn a_restriction() {
    let line: (Restriction, Vec<String>) = serde_json::from_str(&std::env::var(RESTRICTED).expect("a line")).unwrap();
    restrict::apply(line.0);
    panic!("{}", Command::new(&line.1[0]).args(&line.1[1..]).exec());
}

fn connect(address: &str) -> UnixStream {
    try_connect(address).unwrap()
}

fn try_connect(address: &str) -> io::Result<UnixStream> {
    match address.strip_prefix('@') {
        Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()),
        None => UnixStream::connect_addr(&SocketAddr::from_pathname(short(address)).unwrap()),
    }
}

fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// A listener on which everyone may connect, whatever the umask is.
fn bind(address: &str) -> UnixListener {
    let listener = UnixListener::bind(short(address)).unwrap();
    fs::set_permissions(address, fs::Permissions::from_mode(0o666)).unwrap();
    println!("READY");
    listener
}

/// The same file by a path that fits an address: from inside its directory if its own path does not.
fn short(address: &str) -> PathBuf {
    let path = Path::new(address);
    if address.len() <= 107 {
        return path.into();
    }
    std::env::set_current_dir(path.parent().unwrap()).unwrap();
    path.file_name().unwrap().into()
}

struct Stage {
    play: Play,
    directory: PathBuf,
    sockets: PathBuf,
}

impl Stage {
    fn new(play: Play) -> Self {
        let directory = play.directory.join("play");
        let sockets = directory.join("sockets");
        // On a full disk they were made before it was full. What an earlier play left goes.
        if [(&directory, 1), (&sockets, 0)]
            .iter()
            .any(|(path, entries)| fs::read_dir(path).is_ok_and(|found| found.count() > *entries))
        {
            fs::remove_dir_all(&directory).unwrap();
        }
        for made in [&directory, &sockets] {
            match fs::create_dir(made) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.unwrap(),
            }
            fs::set_permissions(made, fs::Permissions::from_mode(play.mode)).unwrap();
        }
        if let Some(uid) = play.tool_uid {
            chown(&directory, Some(uid), Some(uid)).unwrap();
        }
        if let Some(uid) = play.peer_uid.or(play.tool_uid) {
            chown(&sockets, Some(uid), Some(uid)).unwrap();
        }
        Self { play, directory, sockets }
    }

    fn play(&self) -> Outcome {
        let path = self.directory.join("in.sock").display().to_string();
        let outcome = match self.play.scenario {
            Scenario::ListenPath => self.listen(&format!("unix:{path}"), &format!("produce {path}")),
            Scenario::ListenAbstract => {
                let name = format!("mpsr-environment-{}", std::process::id());
                self.listen(&format!("unix:@{name}"), &format!("produce @{name}"))
            }
            Scenario::ListenSystemd => self.listen("systemd:in", &format!("produce {path}")),
            Scenario::ListenDirectory => {
                self.listen(&format!("dir:{}", self.sockets.display()), &format!("offer {}", self.socket("a.sock")))
            }
            Scenario::Send => self.send(),
            Scenario::SendBind => self.send_bind(),
            Scenario::Watch => self.watch(),
            Scenario::Ls => self.ls(),
            Scenario::Sweep => self.sweep(),
        };
        outcome.unwrap_or_else(|outcome| outcome)
    }

    fn socket(&self, name: &str) -> String {
        self.sockets.join(name).display().to_string()
    }

    fn listen(&self, address: &str, peer: &str) -> Result<Outcome, Outcome> {
        let passed = (self.play.scenario == Scenario::ListenSystemd).then(|| {
            let path = peer.split_once(' ').unwrap().1;
            let listener = UnixListener::bind(short(path)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
            OwnedFd::from(listener)
        });
        let mut tool = self.tool("listen", &["--json", address], passed);
        let ready = if address.starts_with("dir:") { "watching" } else { "listening" };
        tool.until(|event| event["event"] == ready)?;
        let mut peer = self.peer(peer);
        // It ends when its lines are taken, or when it is turned away.
        peer.wait_for_success().map_err(|outcome| Outcome::Differs(format!("the peer does not get in: {outcome}")))?;
        let mut messages = Vec::new();
        while messages.len() < MESSAGES.len() {
            // A peer that is turned away ends without a message.
            let event =
                tool.until(|event| ["message", "left", "rejected"].iter().any(|kind| event["event"] == *kind))?;
            match event["text"].as_str().filter(|_| event["event"] == "message") {
                Some(text) => messages.push(text.to_owned()),
                None => return Err(Outcome::Differs(format!("received {messages:?}, then {event}"))),
            }
        }
        tool.until(|event| event["event"] == "left")?;
        tool.signal(Signal::TERM);
        tool.wait_for_success()?;
        if messages == MESSAGES { Ok(Outcome::Works) } else { Err(Outcome::Differs(format!("received {messages:?}"))) }
    }

    fn send(&self) -> Result<Outcome, Outcome> {
        let socket = self.socket("in.sock");
        let server = self.peer(&format!("serve {socket}"));
        server.until_line("READY")?;
        let address = format!("unix:{socket}");
        let mut tool = self.tool("send", &[&[address.as_str()], &MESSAGES[..]].concat(), None);
        tool.wait_for_success()?;
        self.got(&server)
    }

    fn send_bind(&self) -> Result<Outcome, Outcome> {
        let path = self.directory.join("offer.sock");
        let address = format!("unix:{}", path.display());
        let mut tool = self.tool("send", &[&["--bind", address.as_str()], &MESSAGES[..]].concat(), None);
        tool.until_there(&path)?;
        let client = self.peer(&format!("receive {}", path.display()));
        let outcome = self.got(&client)?;
        tool.wait_for_success()?;
        Ok(outcome)
    }

    fn got(&self, peer: &Child) -> Result<Outcome, Outcome> {
        let expected = format!("GOT {:?}", MESSAGES.join("\n") + "\n");
        let got = peer.until_line("GOT")?;
        if got == expected { Ok(Outcome::Works) } else { Err(Outcome::Differs(format!("the peer {got}"))) }
    }

    fn watch(&self) -> Result<Outcome, Outcome> {
        let directory = self.sockets.display().to_string();
        let mut tool = self.tool("watch", &["--json", &directory], None);
        tool.until(|event| event["event"] == "init-done")?;
        let socket = self.socket("a.sock");
        let mut peer = self.peer(&format!("hold {socket}"));
        peer.until_line("READY")?;
        let mut told = String::new();
        for expected in ["added", "ready"] {
            let within = tool.event_within(Duration::from_secs(8), |event| event["event"] == expected);
            if within?.is_none() {
                let _ = write!(told, "{expected} is never told");
                return Err(Outcome::Differs(told));
            }
        }
        peer.close_input();
        peer.wait_for_success()?;
        tool.until(|event| event["event"] == "removed")?;
        tool.signal(Signal::TERM);
        tool.wait_for_success()?;
        Ok(Outcome::Works)
    }

    /// One socket that is served and one that its server left behind two seconds ago.
    fn live_and_stale(&self) -> Result<(Child, PathBuf, PathBuf), Outcome> {
        let [live, stale] = ["live.sock", "stale.sock"].map(|name| self.socket(name));
        let mut left = self.peer(&format!("leave {stale}"));
        left.wait_for_success()?;
        let peer = self.peer(&format!("hold {live}"));
        peer.until_line("READY")?;
        // Younger files are never judged, so this time is part of the scenario.
        std::thread::sleep(Duration::from_millis(2_100));
        Ok((peer, live.into(), stale.into()))
    }

    fn ls(&self) -> Result<Outcome, Outcome> {
        let (_peer, ..) = self.live_and_stale()?;
        let directory = self.sockets.display().to_string();
        let mut tool = self.tool("ls", &["--json", &directory], None);
        tool.wait_for_success()?;
        let mut states: Vec<String> = Vec::new();
        for event in tool.rest().iter().filter(|event| event["event"] == "socket") {
            let path = event["path"].as_str().unwrap_or("?");
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
            states.push(format!("{name} {}", event["state"].as_str().unwrap_or("?")));
        }
        states.sort();
        let states = states.join(", ");
        if states == "live.sock live, stale.sock stale" { Ok(Outcome::Works) } else { Err(Outcome::Differs(states)) }
    }

    fn sweep(&self) -> Result<Outcome, Outcome> {
        let (_peer, live, stale) = self.live_and_stale()?;
        let directory = self.sockets.display().to_string();
        let mut tool = self.tool("sweep", &["--json", "--min-age", "0", &directory], None);
        let ended = tool.wait_for_success();
        assert!(live.exists(), "the socket of a living server was removed");
        ended?;
        if !stale.exists() {
            return Ok(Outcome::Works);
        }
        let swept = |event: &Value| event["path"].as_str().is_some_and(|path| path.ends_with("stale.sock"));
        let reason = tool.rest().iter().find(|event| swept(event)).map(|event| event["reason"].to_string());
        Err(Outcome::Differs(format!("kept: {}", reason.unwrap_or_default())))
    }

    fn tool(&self, command: &str, arguments: &[&str], passed: Option<OwnedFd>) -> Child {
        let mut line = self.play.tool.clone();
        if passed.is_some() {
            // The socket comes as standard input and becomes the first passed descriptor.
            let pass = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=in exec \"$@\"";
            line.splice(0..0, ["sh", "-c", pass, "sh"].map(str::to_owned));
        }
        line.push(self.play.mpsr.display().to_string());
        line.push(command.to_owned());
        line.extend(self.play.options.iter().cloned());
        line.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let mut command = match self.play.restriction {
            None => {
                let mut command = Command::new(&line[0]);
                command.args(&line[1..]);
                command
            }
            Some(restriction) => {
                let mut command = self.me("inside::a_restriction");
                command.env(RESTRICTED, serde_json::to_string(&(restriction, line)).unwrap());
                command
            }
        };
        match passed {
            None => Child::start(&mut command, self.play.non_blocking_output),
            Some(socket) => Child::start_with(&mut command, socket, self.play.non_blocking_output),
        }
    }

    fn peer(&self, order: &str) -> Child {
        let order = match &self.play.peer_directory {
            None => order.to_owned(),
            Some(there) => order.replace(&self.play.directory.display().to_string(), &there.display().to_string()),
        };
        let mut line = self.play.peer.clone();
        let me = self.me("inside::a_peer");
        line.push(me.get_program().to_string_lossy().into_owned());
        line.extend(me.get_args().map(|argument| argument.to_string_lossy().into_owned()));
        Child::start(Command::new(&line[0]).args(&line[1..]).env(PEER, order), false)
    }

    fn me(&self, entry: &str) -> Command {
        let mut command = Command::new(&self.play.me);
        command.args([entry, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command
    }
}
