//! The signals that this program handles.
//!
//! | signal | effect |
//! |---|---|
//! | SIGINT, SIGTERM | a request to end |
//! | SIGHUP | the same, unless it was ignored at the start, as under `nohup` |
//! | SIGUSR1 | the report so far, for commands that have one |
//! | SIGXFSZ | none: a write beyond the limit on file sizes fails instead of ending the process |

use std::{fs, future::pending, process, time::Duration};

use anyhow::Context as _;
use rustix::process::{Resource, Signal as Number, getrlimit};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, timeout},
};

use crate::{notes, output::last_word};

/// Requests to end that follow each other within this time count as one: `timeout`, `tini -g` and shells signal a
/// process and its group, and a closing terminal adds SIGHUP.
const SAME_REQUEST: Duration = Duration::from_millis(500);
/// How long a command that is not stuck takes at most to end after a second request.
const HEARD: Duration = Duration::from_millis(500);

/// Requests to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` if it is ignored.
    hang_up: Option<Signal>,
    /// When the last request was counted.
    last: Option<Instant>,
}

impl Signals {
    /// From here on, these signals no longer end the process by themselves.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        // Checked first, because our own handler would hide the answer.
        let hang_up = if is_ignored(Number::HUP) { None } else { Some(catch(SignalKind::hangup())?) };
        let (interrupt, terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hang_up, last: None })
    }

    /// Waits for the next request to end. Signals within half a second of the last request belong to it, whatever their
    /// kind. Cancel safe.
    pub(crate) async fn next(&mut self) {
        loop {
            self.any().await;
            let now = Instant::now();
            if self.last.is_none_or(|last| now.duration_since(last) >= SAME_REQUEST) {
                self.last = Some(now);
                return;
            }
        }
    }

    async fn any(&mut self) {
        let hang_up = async {
            match &mut self.hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => notes::interrupted(),
            _ = self.terminate.recv() => {}
            _ = hang_up => {}
        }
    }
}

/// Requests for the report so far: SIGUSR1.
#[derive(Debug)]
pub(crate) struct ReportRequests(Signal);

impl ReportRequests {
    /// From here on, SIGUSR1 no longer ends the process.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        catch(SignalKind::user_defined1()).map(Self)
    }

    /// Waits for the next request. Cancel safe.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Turns a write beyond `RLIMIT_FSIZE` into an error. The signal that accompanies it would end the process silently and
/// leave its socket behind.
pub(crate) fn survive_file_size_limit() {
    if getrlimit(Resource::Fsize).current.is_none() {
        return;
    }
    // The handler stays after the runtime is gone. Without it, there would only be no report.
    if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
        let _entered = runtime.enter();
        drop(signal(SignalKind::from_raw(Number::XFSZ.as_raw())));
    }
}

/// Ends the process after a request to end if the command does not end within this time. It may be waiting for a
/// filesystem that does not respond, and only the end of the process ends that wait. This runs beside the thread that
/// is stuck.
pub(crate) async fn end_if_stuck(mut signals: Signals, patience: Duration) {
    signals.next().await;
    if timeout(patience, signals.next()).await.is_ok() {
        // The command receives the second request, too, and has more to report.
        sleep(HEARD).await;
    }
    last_word("mpsr: ended by a signal: a system call has not come back").await;
    process::exit(1);
}

fn catch(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot catch signals")
}

/// Whether this process ignores the signal. Without `/proc`, it counts as not ignored: `sigaction(2)` would know, but
/// no crate offers it as a safe function, not even for reading.
fn is_ignored(number: Number) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, number.as_raw()))
}

fn ignores(status: &str, number: i32) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & 1 << (number - 1) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_signal_is_found_in_the_mask() {
        let status = "Name:\tmpsr\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\tffffffffffffffff\n";
        assert!(ignores(status, Number::HUP.as_raw()));
        assert!(ignores(status, Number::PIPE.as_raw()));
        assert!(!ignores(status, Number::INT.as_raw()));
        assert!(!ignores("Name:\tmpsr\n", Number::HUP.as_raw()));
    }
}
