//! Runs one future in this thread and detects when nothing will wake it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Why a run was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    /// It is pending and was not woken.
    Stalled,
    /// It was polled as often as allowed.
    Endless,
    /// It took longer than allowed.
    #[cfg(feature = "tokio")]
    Late(std::time::Duration),
}

/// Polls until the future is ready, at most `max_polls` times.
pub(crate) fn run<T>(mut future: Pin<&mut dyn Future<Output = T>>, max_polls: u64) -> Result<T, GaveUp> {
    let flag = Arc::new(Flag::default());
    let waker = Waker::from(Arc::clone(&flag));
    let mut cx = Context::from_waker(&waker);
    for _ in 0..max_polls {
        flag.0.store(false, Ordering::Release);
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        if !flag.0.load(Ordering::Acquire) {
            return Err(GaveUp::Stalled);
        }
    }
    Err(GaveUp::Endless)
}
