//! The output of a multiplexer.

use std::fmt;

use bytes::Bytes;

use crate::{
    error::Error,
    protocol::{Call, ErrorOf, Protocol},
};

/// The output of a [`Mux`](crate::Mux), in the order in which it arrived.
pub enum Output<P: Protocol, W> {
    /// A call has ended.
    Answer {
        /// The waiter of the call.
        waiter: W,
        /// The reply, or why there is none.
        result: ReplyResult<P>,
    },
    /// The peer sent something without a request.
    Event(P::Event),
}

/// A reply, or why there is none.
pub type ReplyResult<P> = Result<Reply<P>, Error<ErrorOf<P>>>;

/// A reply that was matched and settled, and not decoded yet.
pub struct Reply<P: Protocol> {
    /// The context of its request.
    pub context: P::Context,
    /// The complete frame. It shares the block of memory in which it arrived.
    pub frame: Bytes,
}

impl<P: Protocol> Reply<P> {
    /// Decodes it as the reply to a call of this type.
    ///
    /// # Errors
    /// [`Error::Decode`], also if the call was of another type.
    pub fn decode<C: Call<Protocol = P>>(self) -> Result<C::Reply, Error<ErrorOf<P>>> {
        C::decode(self.context, self.frame).map_err(Error::Decode)
    }
}

impl<P: Protocol> fmt::Debug for Reply<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.frame.len())
    }
}

impl<P: Protocol, W: fmt::Debug> fmt::Debug for Output<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { waiter, result } => {
                f.debug_struct("Answer").field("waiter", waiter).field("result", result).finish()
            }
            Self::Event(_) => f.write_str("Event"),
        }
    }
}
