//! Data that accompanies the bytes of a stream.

use std::io;

use frame_codec::Batch;

use crate::reason::Reason;

/// Ancillary data that must match the frames. A plain stream has none: `()`.
pub(crate) trait Ancillary: Send + 'static {
    /// Whether nothing is read because our side has not taken the ancillary data. In that case, silence is not the
    /// peer's fault.
    fn is_full(&self) -> bool;

    /// Checks frames as they arrive. Returns those to deliver and, if the connection cannot continue after them, the
    /// reason.
    ///
    /// The batch is part of a block that ends at this offset of the stream.
    fn sort(&self, batch: Batch, end: u64) -> (Batch, Option<Reason>);

    /// The reason to end the connection, if this failure of the stream concerns ancillary data.
    fn fault(&self, error: &io::Error) -> Option<Reason>;
}

impl Ancillary for () {
    fn is_full(&self) -> bool {
        false
    }

    fn sort(&self, batch: Batch, _: u64) -> (Batch, Option<Reason>) {
        (batch, None)
    }

    fn fault(&self, _: &io::Error) -> Option<Reason> {
        None
    }
}
