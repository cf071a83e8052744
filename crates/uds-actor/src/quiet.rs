//! Noticing that nothing has happened for a while.

use std::{future::Future as _, pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

/// Watches a counter that only grows, and notices when it has not changed for a period.
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
    /// A change does not move the timer. We check the count when the timer fires, so that a busy connection has no
    /// cost.
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
                // Registers the timer for the next period.
                let _ = self.timer.as_mut().poll(cx);
                return true;
            }
        }
        false
    }
}

/// Notices that the peer accepts none of the waiting data.
pub(crate) struct Stall {
    quiet: Quiet,
    was_writing: bool,
    /// How often the queue became empty or non-empty.
    breaks: u64,
}

impl Stall {
    pub(crate) fn new(period: Duration) -> Self {
        Self { quiet: Quiet::new(period), was_writing: false, breaks: 0 }
    }

    /// Whether data has waited for a whole period in which `written`, which only grows, has not changed. `written` is
    /// `None` while nothing waits.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, written: Option<u64>) -> bool {
        if written.is_none() || !self.was_writing {
            self.breaks += 1;
        }
        self.was_writing = written.is_some();
        self.quiet.poll(cx, written.unwrap_or_default().wrapping_add(self.breaks))
    }
}

/// How often we check whether a peer that we no longer read from still exists.
const FAREWELL: Duration = Duration::from_secs(5);

/// Notices that a peer that we no longer read from is gone. No event reports this, and there may never be a write that
/// would find out.
#[derive(Default)]
pub(crate) struct Farewell {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Farewell {
    /// Whether it is gone; checked from time to time, beginning with the first call.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, is_gone: impl Fn() -> bool) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(FAREWELL)));
        while timer.as_mut().poll(cx).is_ready() {
            if is_gone() {
                return true;
            }
            timer.as_mut().reset(Instant::now() + FAREWELL);
        }
        false
    }
}

/// How long a connection must be idle before memory is released; at most twice as long.
const REST: Duration = Duration::from_millis(100);

/// Releasing less memory than this is not worth a timer, in bytes.
pub(crate) const LITTLE: usize = 2 << 10;

/// Notices that a connection is idle and has memory to release.
///
/// A busy connection polls one timer each time; an idle one has no timer.
#[derive(Default)]
pub(crate) struct Rest {
    timer: Option<Pin<Box<Sleep>>>,
    /// The count when the timer was set.
    seen: u64,
    /// The memory that was left after the last release.
    left: usize,
}

impl Rest {
    /// Whether `moved`, which only grows, has not changed for long enough while this much memory is held. It returns
    /// true once each time. Then call [`given_back`](Self::given_back).
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: u64, memory: usize) -> bool {
        // An attempt to read also allocates memory without moving anything, for example when the receiver has made room
        // and there is nothing to read.
        let is_news = moved != self.seen || memory > self.left;
        if self.timer.is_none() && is_news && memory > LITTLE {
            self.seen = moved;
            self.timer = Some(Box::pin(sleep(REST)));
        }
        let Some(timer) = &mut self.timer else { return false };
        while timer.as_mut().poll(cx).is_ready() {
            if moved == self.seen {
                self.timer = None;
                return true;
            }
            self.seen = moved;
            timer.as_mut().reset(Instant::now() + REST);
        }
        false
    }

    /// Records how much memory is left, which cannot be released.
    pub(crate) const fn given_back(&mut self, left: usize) {
        self.left = left;
    }
}
