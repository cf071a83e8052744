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
    /// A longer frame from the peer is [`DecodeError::FrameTooLarge`](crate::DecodeError::FrameTooLarge) as soon as its header is
    /// read, and nothing of it is buffered, unless [`oversize`](Self::oversize) says otherwise. A longer payload for
    /// sending is rejected.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Sets the largest payload, clamped to `1..=`[`LARGEST_MAX_FRAME`](Self::LARGEST_MAX_FRAME).
    #[must_use]
    pub const fn with_max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = match bytes {
            0 => 1,
            n if n > Self::LARGEST_MAX_FRAME => Self::LARGEST_MAX_FRAME,
            n => n,
        };
        self
    }

    /// What the decoder does with a frame from the peer that is larger than [`max_frame`](Self::max_frame).
    #[must_use]
    pub const fn oversize(&self) -> Oversize {
        self.oversize
    }

    /// Sets what the decoder does with a frame from the peer that is too large. By default it ends the stream.
    #[must_use]
    pub const fn with_oversize(mut self, policy: Oversize) -> Self {
        self.oversize = policy;
        self
    }

    /// The room offered to the first read, in bytes. It grows while reads fill it.
    pub(crate) const fn min_read(&self) -> usize {
        self.min_read
    }

    /// The most that is offered to one read, in bytes.
    pub(crate) const fn max_read(&self) -> usize {
        self.max_read
    }
}

/// What a decoder does with a frame that is larger than the limit.
///
/// Skipping one takes no memory beyond one read. It needs a framing that can tell where such a frame ends. All framings
/// of this crate can, except [`Raw`](crate::Raw) and [`Whole`](crate::Whole); with those, the frame ends the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Oversize {
    /// The frame is an error, and the stream ends.
    #[default]
    Disconnect,
    /// The frame is left out and counted ([`Batch::skipped`](crate::Batch::skipped)); the stream continues behind it.
    Skip,
    /// The first bytes, as many as the limit allows, become the frame, which is counted
    /// ([`Batch::shortened`](crate::Batch::shortened)); the stream continues behind it.
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
