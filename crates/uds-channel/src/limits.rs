//! How much a channel buffers in each direction.

/// The two buffers of a [`Channel`](super::Channel), each with its own size.
///
/// At the limit for receiving, a longer message is [`RecvError::Malformed`](super::RecvError::Malformed) as soon as its
/// length prefix is read, and if you do not take messages, the kernel makes the peer wait. At the limit for sending, a
/// longer message is [`SendError::TooLarge`](super::SendError::TooLarge), and a message that does not fit beside what
/// is queued has to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// The receiving buffer.
    pub receive: Capacity,
    /// The sending buffer.
    pub send: Capacity,
}

impl Buffers {
    /// The same for both directions.
    #[must_use]
    pub const fn both(capacity: Capacity) -> Self {
        Self { receive: capacity, send: capacity }
    }
}

/// The size of one buffer, in bytes. A message and its eight-byte length prefix must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    initial: usize,
    max: usize,
}

impl Capacity {
    /// The smallest size; smaller values mean this.
    pub const SMALLEST: usize = 64;
    /// The largest size; larger values mean this.
    pub const LARGEST: usize = 1 << 30;

    /// A buffer that is allocated when the channel is made, and never again.
    #[must_use]
    pub const fn fixed(bytes: usize) -> Self {
        Self::growable(bytes, bytes)
    }

    /// A buffer that is allocated when it is first needed. It doubles when it is full, up to `max`, and returns to
    /// `initial` when it was emptied sixteen times without needing more.
    ///
    /// An `initial` over `max` means `max`.
    #[must_use]
    pub const fn growable(initial: usize, max: usize) -> Self {
        let max = clamp(max, Self::SMALLEST, Self::LARGEST);
        Self { initial: clamp(initial, Self::SMALLEST, max), max }
    }

    /// The size that it begins with and returns to.
    #[must_use]
    pub const fn initial(&self) -> usize {
        self.initial
    }

    /// The size that it never exceeds.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Whether it is allocated only once.
    #[must_use]
    pub const fn is_fixed(&self) -> bool {
        self.initial == self.max
    }
}

impl Default for Capacity {
    /// Growable from 16 KiB to 2 MiB.
    fn default() -> Self {
        Self::growable(16 << 10, 2 << 20)
    }
}

const fn clamp(value: usize, least: usize, most: usize) -> usize {
    if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    }
}
