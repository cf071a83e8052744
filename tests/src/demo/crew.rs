//! Child processes that all end with their crew: killed if necessary, and waited for.

use std::{
    io,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

/// How much of the standard error of a child is kept.
const MAX_SAID: usize = 64 << 10;

/// The children of one run.
///
/// If it is dropped without [`dismiss`](Self::dismiss), by a panic, it kills them and lets the runtime wait for them.
#[derive(Debug)]
pub struct Crew {
    members: JoinSet<Departure>,
    dismissed: watch::Sender<bool>,
}

/// A child that ended.
#[derive(Debug)]
pub struct Departure {
    /// The index it was hired with.
    pub index: usize,
    /// How it ended.
    pub status: io::Result<ExitStatus>,
    /// The end of its standard error.
    pub said: String,
}

impl Crew {
    /// An empty crew.
    #[must_use]
    pub fn new() -> Self {
        Self { members: JoinSet::new(), dismissed: watch::channel(false).0 }
    }

    /// Starts a process. Returns its pid and standard input.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn hire(&mut self, index: usize, command: std::process::Command) -> io::Result<Hired> {
        let mut command = Command::from(command);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let pid = child.id().expect("a child that was not waited for has a process id");
        let stdin = child.stdin.take();
        self.members.spawn(attend(index, child, self.dismissed.subscribe()));
        Ok(Hired { pid, stdin })
    }

    /// The next child that ends; `None` when there is none left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Option<Departure> {
        match self.members.join_next().await? {
            Ok(departure) => Some(departure),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Kills the remaining children and waits for all of them.
    pub async fn dismiss(mut self) {
        self.dismissed.send_replace(true);
        while self.next().await.is_some() {}
    }
}

impl Default for Crew {
    fn default() -> Self {
        Self::new()
    }
}

/// What the caller keeps of a child.
#[derive(Debug)]
pub struct Hired {
    /// Its process id.
    pub pid: u32,
    /// Its standard input, if that is ours to write.
    pub stdin: Option<tokio::process::ChildStdin>,
}

async fn attend(index: usize, mut child: Child, mut dismissed: watch::Receiver<bool>) -> Departure {
    let stderr = child.stderr.take().expect("standard error was piped");
    let dismissed = async move {
        // An error means that the crew was dropped, with the same effect.
        let _ = dismissed.wait_for(|&dismissed| dismissed).await;
    };
    let ended = tokio::select! {
        ended = async { tokio::join!(child.wait(), last_words(stderr)) } => Some(ended),
        () = dismissed => None,
    };
    let (status, said) = match ended {
        Some(ended) => ended,
        None => match child.start_kill() {
            Ok(()) => (child.wait().await, String::new()),
            Err(error) => (Err(error), String::new()),
        },
    };
    Departure { index, status, said }
}

/// Reads to the end and keeps the last of it.
pub(super) async fn last_words(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..len]);
        if kept.len() > MAX_SAID {
            kept.drain(..kept.len() - MAX_SAID / 2);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sh(script: &str) -> std::process::Command {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes far too long")
    }

    #[tokio::test]
    async fn each_end_is_told_with_its_last_words() {
        let mut crew = Crew::new();
        crew.hire(3, sh("echo sorry >&2; exit 4")).unwrap();
        let departure = within(crew.next()).await.unwrap();
        assert_eq!((departure.index, departure.said.as_str()), (3, "sorry\n"));
        assert_eq!(departure.status.unwrap().code(), Some(4));
        assert!(within(crew.next()).await.is_none());
    }

    #[tokio::test]
    async fn nobody_is_left_after_a_dismissal() {
        let mut crew = Crew::new();
        let hired = crew.hire(0, sh("trap '' TERM; exec sleep 600")).unwrap();
        within(crew.dismiss()).await;
        assert!(!std::path::Path::new(&format!("/proc/{}", hired.pid)).exists(), "not reaped");
    }

    #[tokio::test]
    async fn only_the_end_of_a_flood_is_kept() {
        let flood = vec![b'x'; MAX_SAID * 3];
        let said = last_words([&flood[..], b"end"].concat().as_slice()).await;
        assert!(said.len() <= MAX_SAID && said.ends_with("end"));
    }
}
