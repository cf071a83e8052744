//! What a process knows about itself: the time, the CPU it used, the memory it holds.

use std::fs;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds on the clock that all processes share.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds of CPU, user and system, that all threads of this process used since it started.
pub(crate) fn cpu() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("these clocks start at zero");
    let nanos = u64::try_from(time.tv_nsec).expect("a fraction of a second is not negative");
    seconds * 1_000_000_000 + nanos
}

/// Bytes of physical memory this process holds.
pub(crate) fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// Bytes that the program has allocated and not freed.
pub(crate) fn heap() -> u64 {
    #[expect(unsafe_code, reason = "no safe crate asks the C library's allocator")]
    // SAFETY: takes nothing, returns a value, and is safe to call from any thread (mallinfo2(3)).
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// From when to when, and with how much CPU.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) cpu: u64,
}

/// A stretch that is still going on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    start: u64,
    cpu: u64,
}

impl Running {
    pub(crate) fn begin() -> Self {
        Self { start: now(), cpu: cpu() }
    }

    pub(crate) fn end(self) -> Stretch {
        Stretch { start: self.start, end: now(), cpu: cpu() - self.cpu }
    }
}
