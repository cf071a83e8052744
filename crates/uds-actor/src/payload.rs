//! What a sender queues.

use std::fmt;

use bytes::Bytes;

/// A payload, and what there is besides its bytes. Most payloads have nothing besides, and take the shorter path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) besides: Option<Besides<'a>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Besides<'a> {
    /// The memory of the bytes, to be written from where it lies if that pays.
    Shared(&'a Bytes),
    /// Something that travels with the first byte.
    Attached(&'a dyn Attached),
}

/// What travels beside a frame. The outbox asks for room and tells where the frame begins.
pub(crate) trait Attached: Sync + fmt::Debug {
    /// Whether there is room for it, besides the bytes.
    fn has_room(&self) -> bool;

    /// The frame is queued, and no byte of it can have been written yet: it begins at this offset of the stream.
    fn begin_at(&self, offset: u64);
}

impl Besides<'_> {
    /// Whether there is room for it, besides the bytes.
    #[inline(never)]
    pub(crate) fn has_room(self) -> bool {
        match self {
            Self::Shared(_) => true,
            Self::Attached(attachment) => attachment.has_room(),
        }
    }
}

impl<'a> Payload<'a> {
    /// Bytes to be copied.
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

    /// The bytes to keep: shared if they are, else copied.
    pub(crate) fn to_bytes(self) -> Bytes {
        match self.besides {
            Some(Besides::Shared(bytes)) => bytes.clone(),
            Some(Besides::Attached(_)) | None => Bytes::copy_from_slice(self.bytes),
        }
    }
}

/// What a payload is made of for as long as a sender waits.
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
