//! What travels over a stream beside its bytes.

use std::io;

use frame_codec::Batch;

use crate::reason::Reason;

/// Data beside the bytes that must fit the frames. A plain stream has none: `()`.
pub(crate) trait Ancillary: Send + 'static {
    /// Whether nothing is read because our side has not taken what came beside the bytes. The peer is then not to blame for
    /// silence.
    fn is_full(&self) -> bool;

    /// Checks frames as they arrive. Returns those to be delivered and, when the connection cannot go on behind them, why.
    ///
    /// The block that the batch was cut from ends at this offset of the stream.
    fn sort(&self, batch: Batch, end: u64) -> (Batch, Option<Reason>);

    /// Why the connection ends, if this failure of the stream is about data beside its bytes.
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
