//! Creates futures and drops them.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use crate::Plan;

/// Drives the futures of one run of a scenario and drops them as planned.
///
/// Clones share their counters, for scenarios with several tasks.
#[derive(Clone, Debug)]
pub struct Drops {
    plan: Plan,
    tally: Arc<Tally>,
}

/// What happened in a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How often a poll of any future returned `Pending`.
    pub(crate) pending: AtomicU64,
    /// Futures dropped after at least one poll.
    pub(crate) dropped: AtomicU64,
    /// The most polls that returned `Pending` for a single future.
    pub(crate) longest: AtomicU64,
}

impl Drops {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, tally: Arc::default() }
    }

    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The plan of this run.
    #[must_use]
    pub const fn plan(&self) -> Plan {
        self.plan
    }

    /// Makes a future and polls it. If the plan says so, drops it and makes another, until one completes. Returns its
    /// output.
    ///
    /// Between a drop and the next future, every other task can run.
    ///
    /// An `async` closure does nothing before its first poll. If a method works when it is called, pass a plain closure
    /// such as `|| control.close()`, so that [`Plan::Unpolled`] covers that work.
    ///
    /// ```
    /// # cancel_kit::check(async |drops: cancel_kit::Drops| {
    /// # use cancel_kit::{Pace, Wire};
    /// # use std::future::poll_fn;
    /// let mut wire = Wire::new("abc", Pace::bytes(1));
    /// let mut text = String::new();
    /// loop {
    ///     let mut byte = [0];
    ///     let read = drops.drive(async || poll_fn(|cx| wire.poll_read(cx, &mut byte)).await).await;
    ///     if read.expect("the script has no errors") == 0 {
    ///         break;
    ///     }
    ///     text.push(char::from(byte[0]));
    /// }
    /// assert_eq!(text, "abc");
    /// # text }).unwrap();
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future that it drives: dropping this one also drops that one, outside the plan.
    pub async fn drive<T>(&self, mut make: impl AsyncFnMut() -> T) -> T {
        if self.plan == Plan::Unpolled {
            drop(make());
        }
        loop {
            if let Some(output) = self.attempt(&mut make).await {
                return output;
            }
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    }

    /// One future: its output, or `None` if it was dropped.
    async fn attempt<T>(&self, make: &mut impl AsyncFnMut() -> T) -> Option<T> {
        let mut future = pin!(make());
        let mut own = 0;
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => {
                own += 1;
                let total = self.tally.pending.fetch_add(1, Ordering::Relaxed) + 1;
                self.tally.longest.fetch_max(own, Ordering::Relaxed);
                if self.plan.drops(own, total) { Poll::Ready(None) } else { Poll::Pending }
            }
        })
        .await
    }
}

/// Lets every other task run first.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
