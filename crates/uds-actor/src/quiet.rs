//! Noticing that nothing has happened for a while.

use std::{future::Future as _, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

/// Watches a counter that only grows, and notices when it has stood still for a period.
pub(crate) struct Quiet {
    period: Duration,
    count: u64,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Quiet {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, count: 0, since: Instant::now(), timer: Box::pin(sleep(period)) }
    }

    /// Whether a period has passed since the count last changed; then the next period begins.
    ///
    /// The timer is not moved with each change but looked at when it fires, so that a busy connection pays nothing.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, count: u64) -> bool {
        if count != self.count {
            self.count = count;
            self.since = Instant::now();
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let due = self.since + self.period;
            let is_due = now >= due;
            if is_due {
                self.since = now;
            }
            self.timer.as_mut().reset(self.since + self.period);
            if is_due {
                // Registers the timer for the period that begins.
                let _ = self.timer.as_mut().poll(cx);
                return true;
            }
        }
        false
    }
}
