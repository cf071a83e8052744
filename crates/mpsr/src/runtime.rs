//! The runtime of the commands that wait for something.

use std::{future::pending, thread};

use anyhow::Context as _;
use tokio::runtime::Builder;

use crate::signals::survive_file_size_limit;

/// Runs `command` in a runtime.
///
/// A second thread drives sockets, timers and signals, so that they go on while this one is stuck in a write to standard
/// output. Where no thread is to be had, this one does all of it.
///
/// The runtime is not shut down: the process ends next, and a thread that waits for standard input would hold it up.
pub(crate) fn run<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let runtime = Box::leak(Box::new(runtime));
    let command = async {
        survive_file_size_limit();
        command.await
    };
    let driver: &_ = runtime;
    match thread::Builder::new().name("io".to_owned()).spawn(|| driver.block_on(pending::<()>())) {
        Ok(_) => driver.handle().block_on(command),
        Err(_) => driver.block_on(command),
    }
}
