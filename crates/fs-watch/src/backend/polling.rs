//! No hints at all: look regularly. For filesystems that report nothing (NFS, 9p, FUSE), and for tests.

use std::time::Duration;

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// Looks at fixed intervals instead of waiting for hints. Finds everything the kernel's events would let
/// it find, later; a socket that comes and goes between two looks is not seen.
#[derive(Clone, Copy, Debug)]
pub struct Polling {
    interval: Duration,
}

impl Polling {
    /// A look costs about a microsecond per entry of the directory; 250 ms suits most.
    pub fn every(interval: Duration) -> Self {
        Self { interval }
    }
}

impl Backend for Polling {
    fn arm(&mut self, _target: &Target, _hints: &Hints) -> Result<(), Why> {
        Ok(())
    }

    fn disarm(&mut self) {}

    fn look_every(&self) -> Option<Duration> {
        Some(self.interval)
    }
}
