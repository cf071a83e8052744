//! The named bounds of a connection's buffers, all in bytes.

/// How large a frame may be and how much is read at once.
///
/// ```
/// use frame_codec::Limits;
///
/// let limits = Limits::default().with_max_frame(64 * 1024);
/// assert_eq!(limits.max_frame(), 65_536);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_frame: usize,
    min_read: usize,
    max_read: usize,
}

impl Limits {
    /// The largest payload accepted by default: 1 MiB.
    pub const DEFAULT_MAX_FRAME: usize = 1 << 20;

    /// The largest value [`with_max_frame`](Self::with_max_frame) takes: 1 GiB, so that offsets in a block fit 32 bits.
    pub const LARGEST_MAX_FRAME: usize = 1 << 30;

    /// The largest payload that is decoded or encoded, in bytes.
    ///
    /// At the limit: a longer frame from the peer is [`Error::FrameTooLarge`](crate::Error::FrameTooLarge) as soon as
    /// its header is read, and nothing of it is buffered; a longer payload for sending is refused.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Sets the largest payload; clamped to `1..=`[`LARGEST_MAX_FRAME`](Self::LARGEST_MAX_FRAME).
    #[must_use]
    pub const fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = match bytes {
            0 => 1,
            n if n > Self::LARGEST_MAX_FRAME => Self::LARGEST_MAX_FRAME,
            n => n,
        };
        self
    }

    /// The room offered to the first read, in bytes; it grows while reads fill it.
    pub(crate) const fn min_read(&self) -> usize {
        self.min_read
    }

    /// The most that one read is offered, in bytes.
    pub(crate) const fn max_read(&self) -> usize {
        self.max_read
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame: Self::DEFAULT_MAX_FRAME, min_read: 1 << 10, max_read: 64 << 10 }
    }
}
