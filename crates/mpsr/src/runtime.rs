//! The runtime of the commands that wait for events.

use std::{
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use tokio::{runtime::Builder, sync::oneshot};

/// Runs `command` in a runtime, on a separate thread.
///
/// This thread drives sockets, timers and signals, so that they continue while the other one is stuck in a write to
/// standard output, or on a filesystem that does not respond. This thread is the driver because the kernel delivers a
/// process's signals to its first thread, even if that thread is blocked and does not handle them. If no thread can be
/// started, this one runs the command, too.
///
/// The runtime is not shut down: the process ends next, and a thread that waits for standard input would delay it.
pub(crate) fn run<T: Send, F: Future<Output = anyhow::Result<T>>>(
    command: impl FnOnce() -> F + Send,
) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let driver: &_ = Box::leak(Box::new(runtime));
    // If the thread cannot be started, its closure is lost.
    let command = Mutex::new(Some(command));
    let take = || command.lock().unwrap_or_else(PoisonError::into_inner).take().expect("it is started once")();
    thread::scope(|scope| {
        let (ended, end) = oneshot::channel::<()>();
        let beside = thread::Builder::new().name("command".to_owned()).spawn_scoped(scope, || {
            let _ended = ended;
            driver.handle().block_on(take())
        });
        match beside {
            Ok(thread) => {
                // Dropped at the end, in any case.
                let _ = driver.block_on(end);
                thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
            }
            Err(_) => driver.block_on(take()),
        }
    })
}
