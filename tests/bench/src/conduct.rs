//! The conductor's side of a part: a process, its cues, its answer.

use std::{
    ffi::OsString,
    io::Write as _,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use crate::{
    contender::Contender,
    meter::Stretch,
    role::{Load, Role},
};

/// How long any single step of a part may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that plays a part. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Player {
    part: String,
    child: Child,
    cues: ChildStdin,
    lines: Receiver<String>,
}

impl Player {
    /// Starts this program again with a part to play, and waits until it is ready.
    pub(crate) fn start(role: &Role) -> Result<Self> {
        Self::start_under(&[], role)
    }

    /// The same under another program, `strace -c` for one.
    pub(crate) fn start_under(wrapper: &[OsString], role: &Role) -> Result<Self> {
        let own = std::env::current_exe()?;
        let (program, arguments) = match wrapper {
            [] => (own.into_os_string(), Vec::new()),
            [program, arguments @ ..] => {
                (program.clone(), arguments.iter().cloned().chain([own.into_os_string()]).collect())
            }
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg("role")
            .arg(serde_json::to_string(role)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let cues = child.stdin.take().context("stdin is piped")?;
        let out = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(out)) {
                let Ok(line) = line else { break };
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let player = Self { part: format!("{role:?}"), child, cues, lines };
        player.await_ready()?;
        Ok(player)
    }

    pub(crate) fn await_ready(&self) -> Result<()> {
        let line = self.line()?;
        ensure!(line == "ready", "{} said {line:?} instead of ready", self.part);
        Ok(())
    }

    pub(crate) fn go(&mut self) -> Result<()> {
        self.cues.write_all(b"go\n").with_context(|| format!("{} has ended", self.part))
    }

    /// What it has to tell while it goes on.
    pub(crate) fn report<T: DeserializeOwned>(&self) -> Result<T> {
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.part))
    }

    /// Its answer, and that it ended well.
    pub(crate) fn finish<T: DeserializeOwned>(mut self) -> Result<T> {
        let answer = self.report()?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.part);
        Ok(answer)
    }

    fn line(&self) -> Result<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(line),
            Err(error) => bail!("{}: {error}", self.part),
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // Nothing to do about a child that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one run of one contender measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Sample {
    /// Messages a second, from the first producer's start to the receiver's last message.
    pub(crate) rate: f64,
    /// Nanoseconds of CPU for a message, on the producers' side.
    pub(crate) send_cpu: f64,
    /// The same on the receiver's side.
    pub(crate) receive_cpu: f64,
}

/// Sends `messages` of `payload` bytes from each of `producers` processes to one receiver process.
pub(crate) fn stream(contender: &Contender, payload: usize, messages: u64, producers: usize) -> Result<Sample> {
    // Short: a socket's path may have 107 bytes.
    let directory = TempDir::with_prefix("bench-")?;
    let load = Load { path: directory.path().join("s"), payload, messages, producers, flavour: contender.flavour };
    let mut receiver = Player::start(&Role::Receive(contender.receive, load.clone()))?;
    let mut senders = (0..producers)
        .map(|_| Player::start(&Role::Produce(contender.produce, load.clone())))
        .collect::<Result<Vec<_>>>()?;
    receiver.go()?;
    receiver.await_ready()?;
    for sender in &mut senders {
        sender.go()?;
    }
    let received: Stretch = receiver.finish()?;
    for sender in &mut senders {
        // For those who wait for it; the others may have ended already.
        let _ = sender.go();
    }
    let sent = senders.into_iter().map(Player::finish).collect::<Result<Vec<Stretch>>>()?;
    let start = sent.iter().map(|stretch| stretch.start).min().context("there is a producer")?;
    let all = (messages * producers as u64) as f64;
    Ok(Sample {
        rate: all * 1e9 / (received.end - start) as f64,
        send_cpu: sent.iter().map(|stretch| stretch.cpu).sum::<u64>() as f64 / all,
        receive_cpu: received.cpu as f64 / all,
    })
}
