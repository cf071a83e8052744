//! The `mpsr listen` of the demo: its events and its end.

use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use super::{crew, event::Event, recipe::Stage};

/// The running receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    /// The report it printed, if it did.
    pub(super) report: Option<Event>,
    /// Its whole standard error.
    pub(super) said: String,
}

impl Receiver {
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        let mut command = Command::new(&stage.mpsr);
        command
            .arg("listen")
            .arg(format!("unix:{}", stage.listener.display()))
            .arg(format!("dir:{}", stage.sockets.display()))
            .args(["--json", "--framing", "lines"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", stage.mpsr.display()))?;
        let stdout = child.stdout.take().expect("standard output was piped");
        let stderr = child.stderr.take().expect("standard error was piped");
        let stderr = Some(tokio::spawn(crew::last_words(stderr)));
        Ok(Self { child, events: BufReader::new(stdout).lines(), stderr })
    }

    /// The next event; `None` once there are no more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Event>> {
        match self.events.next_line().await.context("cannot read what mpsr prints")? {
            Some(line) => {
                let event =
                    Event::parse(&line).with_context(|| format!("mpsr printed outside its contract: {line:?}"))?;
                Ok(Some(event))
            }
            None => Ok(None),
        }
    }

    /// Sends SIGTERM and waits for the end. Later events are ignored.
    pub(super) async fn stop(&mut self) -> Result<End> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("mpsr listen ended on its own")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("cannot signal mpsr")?;
        while self.next().await?.is_some() {}
        let status = self.child.wait().await.context("cannot wait for mpsr")?;
        let said = self.last_words().await;
        let report = said
            .lines()
            .filter_map(|line| Event::parse(line).ok())
            .rfind(|event| matches!(event, Event::Report { .. }));
        Ok(End { status, report, said })
    }

    /// Kills it if it is still running; returns its standard error.
    pub(super) async fn dismiss(mut self) -> String {
        // It may have ended already, which is fine.
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
        self.last_words().await
    }

    async fn last_words(&mut self) -> String {
        match self.stderr.take() {
            Some(reader) => reader.await.unwrap_or_default(),
            None => String::new(),
        }
    }
}
