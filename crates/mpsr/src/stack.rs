//! A larger stack, for a process that was given a small one (`ulimit -s 64`).

use std::{io, panic, thread};

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit};

/// The smallest stack with which we have tested the tool, in bytes.
const ENOUGH: u64 = 1 << 20;
/// The stack of the thread that replaces the main thread, in bytes.
const ROOM: usize = 2 << 20;

/// Runs `work` here, or in a separate thread if the stack of the main thread is too small for it.
///
/// # Errors
///
/// The stack is too small, and no thread can be started.
pub(crate) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let limit = getrlimit(Resource::Stack).current;
    if limit.is_none_or(|limit| limit >= ENOUGH) {
        return Ok(work());
    }
    in_thread(work).with_context(|| {
        format!(
            "cannot start: the stack is limited to {} KiB, and no thread can be had",
            limit.unwrap_or_default() / 1024
        )
    })
}

fn in_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("main".to_owned()).stack_size(ROOM).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}
