//! No hints: scan at regular intervals. For filesystems that report nothing (NFS, 9p, FUSE), and for tests.

use std::time::Duration;

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// Scans at fixed intervals instead of waiting for hints. It finds everything that the kernel's events would, only
/// later. A socket that comes and goes between two scans is not noticed.
#[derive(Clone, Copy, Debug)]
pub struct Polling {
    interval: Duration,
}

impl Polling {
    /// A scan costs about a microsecond per entry of the directory; 250 ms is usually a good interval.
    pub fn every(interval: Duration) -> Self {
        Self { interval }
    }
}

impl Backend for Polling {
    fn arm(&mut self, _target: &Target, _hints: &Hints) -> Result<(), Why> {
        Ok(())
    }

    fn disarm(&mut self) {}

    fn scan_interval(&self) -> Option<Duration> {
        Some(self.interval)
    }
}
