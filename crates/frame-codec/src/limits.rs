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
    oversize: Oversize,
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
    /// its header is read, and nothing of it is buffered, unless [`oversize`](Self::oversize) says otherwise; a longer payload for sending is refused.
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

    /// What becomes of a frame from the peer that is larger than [`max_frame`](Self::max_frame).
    #[must_use]
    pub const fn oversize(&self) -> Oversize {
        self.oversize
    }

    /// Says what becomes of a frame from the peer that is too large; it ends the stream unless told otherwise.
    #[must_use]
    pub const fn with_oversize(mut self, policy: Oversize) -> Self {
        self.oversize = policy;
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

/// What a decoder does with a frame that is larger than the limit.
///
/// Passing over one takes no memory beyond one read. It needs a framing that can tell where such a frame ends: all of this
/// crate's can but [`Raw`](crate::Raw) and [`Whole`](crate::Whole); with others the frame ends the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// It is an error, and the stream ends.
    #[default]
    Disconnect,
    /// It is left out and counted ([`Batch::skipped`](crate::Batch::skipped)); the stream goes on behind it.
    Skip,
    /// Its first bytes, as many as the limit allows, are the frame, which is counted
    /// ([`Batch::shortened`](crate::Batch::shortened)); the stream goes on behind it.
    Shorten,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: Self::DEFAULT_MAX_FRAME,
            oversize: Oversize::Disconnect,
            min_read: 1 << 10,
            max_read: 64 << 10,
        }
    }
}
