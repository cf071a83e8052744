//! The producers: common programs, each with the command that sends a file.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::source::Source;

/// Connects and sends in pieces of every size, so that no piece ends where a line does.
const PYTHON_CONNECT: &str = r#"
import socket, sys, time
text = open(sys.argv[2], "rb").read()
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
at, size = 0, 1
while at < len(text):
    peer.sendall(text[at:at + size])
    at, size = at + size, size % 997 + 13
    time.sleep(0.002)
peer.close()
"#;

/// Binds, waits for one receiver, sends, and removes its socket.
const PYTHON_LISTEN: &str = r#"
import os, socket, sys
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen(1)
peer, _ = door.accept()
with open(sys.argv[2], "rb") as text:
    peer.sendfile(text)
peer.close()
os.unlink(sys.argv[1])
"#;

/// A way to produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name on the screen.
    pub name: &'static str,
    /// Which side connects.
    pub transport: Transport,
    program: Program,
}

/// Which side connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The producer connects to the receiver's listener.
    Connect,
    /// The receiver connects to the socket that the producer binds in the directory.
    Dir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// `mpsr send`, its input from the file.
    Mpsr,
    /// `mpsr send`, with input that we write slowly and in odd pieces.
    MpsrFed,
    Socat,
    Netcat,
    Python,
}

/// In the order in which they start; our own producer that binds is there before the receiver.
pub const RECIPES: &[Recipe] = &[
    Recipe { name: "mpsr send --bind", transport: Transport::Dir, program: Program::Mpsr },
    Recipe { name: "mpsr send, fed slowly", transport: Transport::Connect, program: Program::MpsrFed },
    Recipe { name: "python3, connecting", transport: Transport::Connect, program: Program::Python },
    Recipe { name: "socat, binding", transport: Transport::Dir, program: Program::Socat },
    Recipe { name: "mpsr send", transport: Transport::Connect, program: Program::Mpsr },
    Recipe { name: "socat, connecting", transport: Transport::Connect, program: Program::Socat },
    Recipe { name: "python3, binding", transport: Transport::Dir, program: Program::Python },
    Recipe { name: "nc -U", transport: Transport::Connect, program: Program::Netcat },
];

/// Where things are during one run.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The `mpsr` under demonstration.
    pub mpsr: PathBuf,
    /// The receiver's listener.
    pub listener: PathBuf,
    /// The directory of producers' sockets.
    pub sockets: PathBuf,
}

impl Recipe {
    /// Why it cannot be used here, if so.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        match self.program {
            Program::Mpsr | Program::MpsrFed => None,
            Program::Socat => says("socat", &["-V"]).err(),
            Program::Netcat => match says("nc", &["-h"]) {
                Ok(help) if has_unix_and_shutdown(&help) => None,
                Ok(_) => Some("this nc has no -U and -N (netcat-openbsd has)".to_owned()),
                Err(reason) => Some(reason),
            },
            Program::Python => says("python3", &["-c", "import socket; print(socket.AF_UNIX)"]).err(),
        }
    }

    /// Whether we write its input ourselves.
    #[must_use]
    pub fn is_fed(&self) -> bool {
        self.program == Program::MpsrFed
    }

    /// The socket it binds, if it binds one.
    #[must_use]
    pub fn socket(&self, stage: &Stage, index: usize) -> Option<PathBuf> {
        (self.transport == Transport::Dir).then(|| stage.sockets.join(format!("producer-{index}.sock")))
    }

    /// The command that sends `source`.
    ///
    /// # Errors
    ///
    /// The source cannot be opened.
    pub fn command(&self, stage: &Stage, index: usize, source: &Source) -> std::io::Result<Command> {
        let socket = self.socket(stage, index);
        let address = socket.as_deref().unwrap_or(&stage.listener);
        let mut command = match self.program {
            Program::Mpsr | Program::MpsrFed => mpsr(stage, address, socket.is_some()),
            Program::Socat => {
                let mut command = Command::new("socat");
                let verb = if socket.is_some() { "UNIX-LISTEN" } else { "UNIX-CONNECT" };
                // From standard input: a path with a comma or a colon would be read as options.
                command.args(["-u", "STDIN"]).arg(format!("{verb}:{}", address.display()));
                command
            }
            Program::Netcat => {
                let mut command = Command::new("nc");
                command.args(["-U", "-N"]).arg(address);
                command
            }
            Program::Python => {
                let script = if socket.is_some() { PYTHON_LISTEN } else { PYTHON_CONNECT };
                let mut command = Command::new("python3");
                command.args(["-c", script]).arg(address).arg(&source.path);
                command
            }
        };
        command.stdin(match self.program {
            Program::MpsrFed => Stdio::piped(),
            Program::Python => Stdio::null(),
            Program::Mpsr | Program::Socat | Program::Netcat => Stdio::from(std::fs::File::open(&source.path)?),
        });
        Ok(command)
    }
}

impl Transport {
    /// One word for the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Dir => "dir",
        }
    }
}

fn mpsr(stage: &Stage, address: &Path, binds: bool) -> Command {
    let mut command = Command::new(&stage.mpsr);
    command.arg("send").arg(format!("unix:{}", address.display())).args(["--framing", "lines"]);
    if binds {
        command.arg("--bind");
    }
    command
}

/// What a program prints, or why it cannot be run.
fn says(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|_| format!("{program} is not installed"))?;
    let text = [output.stdout, output.stderr].concat();
    // A wrapper may exist without the program behind it. nc treats a request for help as a failure.
    if !output.status.success() && program != "nc" {
        return Err(format!("{program} does not run here"));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The one-letter options are listed together in the usage line: `usage: nc [-46CDdFhklNnrStUuvZz]`.
fn has_unix_and_shutdown(help: &str) -> bool {
    help.lines()
        .find(|line| line.contains("usage:"))
        .and_then(|line| line.split_once("[-")?.1.split_once(']'))
        .is_some_and(|(letters, _)| letters.contains('U') && letters.contains('N'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_netcat_is_told_from_others() {
        assert!(has_unix_and_shutdown(
            "OpenBSD netcat (Debian patchlevel 1.219-1)\nusage: nc [-46CDdFhklNnrStUuvZz] [-I length]\n"
        ));
        assert!(!has_unix_and_shutdown("usage: nc [-46dU] [-I length]\n"));
        assert!(!has_unix_and_shutdown(
            "[v1.10-47]\nconnect to somewhere:\tnc [-options] hostname port[s] [ports] ... \n"
        ));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_obstacle_with_its_name() {
        assert_eq!(says("no-such-program-here", &[]).unwrap_err(), "no-such-program-here is not installed");
        assert_eq!(says("false", &[]).unwrap_err(), "false does not run here");
    }

    #[test]
    fn names_tell_producers_apart() {
        for (index, recipe) in RECIPES.iter().enumerate() {
            assert!(RECIPES[..index].iter().all(|other| other.name != recipe.name), "{}", recipe.name);
        }
    }
}
