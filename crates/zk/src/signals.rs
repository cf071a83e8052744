//! The signals that end this program: SIGINT, SIGTERM and SIGHUP.
//!
//! The first one asks the command to end, which also closes the session. A second one, or two seconds in which the command does not
//! end, ends the process where it stands: it may be stuck in a write to standard output.

use std::{fmt, process, time::Duration};

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::timeout,
};

/// How long a command may take to end after the first signal.
const GRACE: Duration = Duration::from_secs(2);

/// What a shell adds to the number of a signal that ended a process.
const BY_SIGNAL: u8 = 128;

/// Tells when the program is to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupts(watch::Receiver<Option<Interrupted>>);

/// The program was interrupted by the signal with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted(u8);

impl Interrupted {
    /// The exit code that shells use for a process that such a signal ended.
    pub(crate) const fn exit_code(self) -> u8 {
        BY_SIGNAL + self.0
    }

    /// The error of a command that is left half way.
    pub(crate) fn leaving(self, a_change: bool) -> anyhow::Error {
        let error = anyhow::Error::new(self);
        if a_change { error.context("it is not known whether the change was made") } else { error }
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl Interrupts {
    /// From here on these signals do not end the process by themselves. Must be called in a runtime.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let catch = |kind| signal(kind).context("cannot catch signals");
        let mut interrupt = catch(SignalKind::interrupt())?;
        let mut terminate = catch(SignalKind::terminate())?;
        let mut hang_up = catch(SignalKind::hangup())?;
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => Interrupted(2),
                    _ = terminate.recv() => Interrupted(15),
                    _ = hang_up.recv() => Interrupted(1),
                }
            };
            let first = next().await;
            sender.send_replace(Some(first));
            let last = timeout(GRACE, next()).await.unwrap_or(first);
            process::exit(last.exit_code().into());
        });
        Ok(Self(receiver))
    }

    /// Waits for the first signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> Interrupted {
        match self.0.wait_for(Option::is_some).await.ok().and_then(|told| *told) {
            Some(interrupted) => interrupted,
            // The task that tells is gone only when the runtime is.
            None => std::future::pending().await,
        }
    }
}
