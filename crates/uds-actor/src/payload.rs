//! What a sender queues.

use std::fmt;

use bytes::Bytes;

/// A payload, and the data that accompanies it. Most payloads have none, and take the shorter path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) besides: Option<Besides<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Besides<'a> {
    /// Shared bytes, to be written without a copy if that pays.
    Shared(&'a Bytes),
    /// Data that is sent with the first byte.
    Attached(&'a dyn Attached),
}

/// Data that accompanies a frame. The outbox asks whether there is room for it, and tells it where the frame begins.
pub(crate) trait Attached: Sync + fmt::Debug {
    /// Whether there is room for it, in addition to the bytes.
    fn has_room(&self) -> bool;

    /// Called when the frame is queued and no byte of it can have been written yet. It begins at this offset of the
    /// stream.
    fn begin_at(&self, offset: u64);
}

impl Besides<'_> {
    /// Whether there is room for it, in addition to the bytes.
    #[inline(never)]
    pub(crate) fn has_room(self) -> bool {
        match self {
            Self::Shared(_) => true,
            Self::Attached(attachment) => attachment.has_room(),
        }
    }
}

impl<'a> Payload<'a> {
    /// Bytes to copy.
    #[inline]
    pub(crate) const fn lent(bytes: &'a [u8]) -> Self {
        Self { bytes, besides: None }
    }

    pub(crate) fn shared(bytes: &'a Bytes) -> Self {
        Self { bytes, besides: Some(Besides::Shared(bytes)) }
    }

    pub(crate) fn attached(bytes: &'a [u8], attached: &'a dyn Attached) -> Self {
        Self { bytes, besides: Some(Besides::Attached(attached)) }
    }

    /// The bytes as an owned value: shared if possible, otherwise copied.
    pub(crate) fn to_bytes(self) -> Bytes {
        match self.besides {
            Some(Besides::Shared(bytes)) => bytes.clone(),
            Some(Besides::Attached(_)) | None => Bytes::copy_from_slice(self.bytes),
        }
    }
}

/// The source of a payload while a sender waits.
pub(crate) trait Message {
    fn payload(&self) -> Payload<'_>;
}

impl Message for &[u8] {
    #[inline]
    fn payload(&self) -> Payload<'_> {
        Payload::lent(self)
    }
}

impl Message for &Bytes {
    #[inline]
    fn payload(&self) -> Payload<'_> {
        Payload::shared(self)
    }
}
