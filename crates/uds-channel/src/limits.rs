//! How much a channel buffers in each direction.

/// The two buffers of a [`Channel`](super::Channel), each with its own size.
///
/// At the bound of receiving, a longer message is [`RecvError::Malformed`](super::RecvError::Malformed) as soon as its length is
/// read, and messages that are not taken hold the peer back. At the bound of sending, a longer message is
/// [`SendError::TooLarge`](super::SendError::TooLarge), and one that does not fit beside what is queued has to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// For what comes in.
    pub receive: Capacity,
    /// For what goes out.
    pub send: Capacity,
}

impl Buffers {
    /// The same for both directions.
    #[must_use]
    pub const fn both(capacity: Capacity) -> Self {
        Self { receive: capacity, send: capacity }
    }
}

/// The size of one buffer, in bytes; a message and the eight bytes of its length have to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    initial: usize,
    max: usize,
}

impl Capacity {
    /// The smallest buffer there is; less is taken for this.
    pub const SMALLEST: usize = 64;
    /// The largest; more is taken for this.
    pub const LARGEST: usize = 1 << 30;

    /// Allocated when the channel is made, and never again.
    #[must_use]
    pub const fn fixed(bytes: usize) -> Self {
        Self::growable(bytes, bytes)
    }

    /// Allocated when it is first needed, doubled when what arrived or was queued fills it, up to `max`, and brought
    /// back to `initial` when it was drained sixteen times without having needed more.
    ///
    /// An `initial` over `max` is taken for `max`.
    #[must_use]
    pub const fn growable(initial: usize, max: usize) -> Self {
        let max = clamp(max, Self::SMALLEST, Self::LARGEST);
        Self { initial: clamp(initial, Self::SMALLEST, max), max }
    }

    /// The size it begins with and returns to.
    #[must_use]
    pub const fn initial(&self) -> usize {
        self.initial
    }

    /// The size it never exceeds.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Whether it is allocated once.
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
