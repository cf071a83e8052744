//! A count of frames and of their bytes.

use std::{
    fmt,
    ops::{AddAssign, Sub},
};

use frame_codec::Batch;

/// A number of frames and of their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number of frames.
    pub frames: u64,
    /// The number of their payload bytes.
    pub bytes: u64,
}

impl Count {
    /// The contents of a batch.
    #[must_use]
    pub const fn of(batch: &Batch) -> Self {
        Self { frames: batch.len() as u64, bytes: batch.byte_len() as u64 }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { frames: self.frames - other.frames, bytes: self.bytes - other.bytes }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.frames == 1 { "" } else { "s" };
        write!(f, "{} frame{s} ({} bytes)", self.frames, self.bytes)
    }
}
