//! What arrives: each frame is matched with its call, updates the session, and becomes an answer or an event.

use bytes::Bytes;

use super::{Mux, Output, Reply, State};
use crate::{
    error::{Error, Fault},
    protocol::{Class, ErrorOf, Matched, Protocol},
};

impl<P: Protocol, W> Mux<P, W> {
    /// Takes a frame that arrived, without its framing.
    ///
    /// # Errors
    /// A [`Fault`]: this connection cannot continue. No call got a wrong answer. Drop the connection and call
    /// [`handle_disconnect`](Self::handle_disconnect).
    pub fn handle_frame(&mut self, frame: Bytes) -> Result<(), Fault<ErrorOf<P>>> {
        let Some(index) = self.classify(&frame)? else { return Ok(()) };
        self.settle(index, Matched::Whole(&frame))?;
        let Some(slot) = self.end(index) else { return Ok(()) };
        match slot.waiter {
            None => self.report.late += 1,
            Some(waiter) => {
                self.report.answered += 1;
                let result = Ok(Reply { context: slot.context, frame });
                self.outputs.push_back(Output::Answer { waiter, result });
            }
        }
        Ok(())
    }

    /// Takes the beginning of a frame of `len` bytes that was skipped because it is over the limit of `max` bytes; at
    /// least [`Skip::head`](crate::Skip::head) bytes of it. Only its own call fails, with [`Error::ReplyTooLarge`].
    ///
    /// # Errors
    /// See [`handle_frame`](Self::handle_frame).
    pub fn handle_skipped(&mut self, head: &[u8], len: u64, max: usize) -> Result<(), Fault<ErrorOf<P>>> {
        let Some(index) = self.classify(head)? else { return Ok(()) };
        self.settle(index, Matched::Skipped { head, len })?;
        let Some(slot) = self.end(index) else { return Ok(()) };
        match slot.waiter {
            None => self.report.late += 1,
            Some(waiter) => {
                self.report.too_large += 1;
                self.outputs.push_back(Output::Answer { waiter, result: Err(Error::ReplyTooLarge { len, max }) });
            }
        }
        Ok(())
    }

    /// The call that a frame answers; `None` if it is an event, which is put into the output.
    fn classify(&mut self, frame: &[u8]) -> Result<Option<u32>, Fault<ErrorOf<P>>> {
        if self.state == State::Down {
            return Err(Fault::AfterEnd);
        }
        let class = self.protocol.classify(frame);
        match class.map_err(|source| Fault::Unclassified { len: frame.len(), source })? {
            Class::Reply(route) => self.slots.due(&route).map(Some),
            Class::Event(event) => {
                self.report.events += 1;
                self.outputs.push_back(Output::Event(event));
                Ok(None)
            }
        }
    }

    fn settle(&mut self, index: u32, reply: Matched<'_>) -> Result<(), Fault<ErrorOf<P>>> {
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        self.protocol.settle(&mut slot.context, reply).map_err(Fault::Unsettled)
    }
}
