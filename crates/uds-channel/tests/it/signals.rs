//! Signals that are handled and do nothing but interrupt.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

static INTERRUPTED: AtomicUsize = AtomicUsize::new(0);
static BROKEN_PIPES: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_interrupt(_: libc::c_int) {
    INTERRUPTED.fetch_add(1, Ordering::Relaxed);
}

extern "C" fn on_broken_pipe(_: libc::c_int) {
    BROKEN_PIPES.fetch_add(1, Ordering::Relaxed);
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handlers only add to an atomic number, which a signal handler may do.
    #[expect(unsafe_code, reason = "no safe crate here installs a handler")]
    let before = unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
    assert_ne!(before, libc::SIG_ERR);
}

/// From now on counts the SIGPIPEs of this process instead of ignoring them.
pub(crate) fn count_broken_pipes() -> impl Fn() -> usize {
    handle(libc::SIGPIPE, on_broken_pipe);
    let before = BROKEN_PIPES.load(Ordering::Relaxed);
    move || BROKEN_PIPES.load(Ordering::Relaxed) - before
}

/// Does `work` while this thread gets signals, and says how many were handled.
pub(crate) fn while_interrupted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    handle(libc::SIGUSR1, on_interrupt);
    let before = INTERRUPTED.load(Ordering::Relaxed);
    // SAFETY: it only returns this thread's number.
    #[expect(unsafe_code, reason = "no safe crate here names a thread for signals")]
    let here = unsafe { libc::pthread_self() };
    let done = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                // SAFETY: the thread with this number waits for us at the end of the scope.
                #[expect(unsafe_code, reason = "no safe crate here signals one thread")]
                unsafe {
                    libc::pthread_kill(here, libc::SIGUSR1);
                }
                thread::yield_now();
            }
        });
        let outcome = work();
        done.store(true, Ordering::Release);
        outcome
    });
    (outcome, INTERRUPTED.load(Ordering::Relaxed) - before)
}
