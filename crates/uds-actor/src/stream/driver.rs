//! Moving the frames of a stream.

use std::{
    io::{self, IoSlice},
    task::{Context, Poll},
};

use frame_codec::{Batch, End, Framing, Intake, Limits, Pump, PumpEvent};

use super::{ancillary::Ancillary, frames::Frames};
use crate::{
    count::Count,
    driver::{Driver, Ends, Moved},
    outbox::Taken,
    quiet::Rest,
    reason::Reason,
    report::Ending,
    transport::Transport,
};

/// Bytes moved in one poll, in each direction, before other tasks run and requests are checked again. It is one full
/// read: the receiver then finds the frames in the nearest cache, and the block is free again for the next read.
const BUDGET: usize = 64 << 10;

/// The minimum cost of each move: a system call takes about as long as copying this many bytes.
const LEAST_COST: usize = 4 << 10;

/// Reads and writes through a pump.
pub(crate) struct StreamDriver<T: Transport, F: Framing, A> {
    pump: Pump<T::Stream, F>,
    ancillary: A,
    /// Bytes taken from the outbox and not yet recorded as written, including framing.
    in_flight: u64,
    rest: Rest,
    /// Why the write side ended before the senders did, for the report if reading then ends normally.
    write_failed: Option<Reason>,
}

impl<T: Transport, F: Framing + Clone + Send, A: Ancillary> StreamDriver<T, F, A> {
    pub(crate) fn new(stream: T::Stream, framing: F, limits: Limits, ancillary: A) -> Self {
        Self {
            pump: Pump::new(stream, framing, limits),
            ancillary,
            in_flight: 0,
            rest: Rest::default(),
            write_failed: None,
        }
    }

    /// Moves queued frames to the pump, which has written all that it had.
    fn refill(&mut self, cx: &Context<'_>, ends: &Ends<Frames<F>>) {
        if self.in_flight > 0 {
            // This may not be recorded yet, if there was something to read first. A flush that waits for it must not
            // wait for what is taken now.
            self.note_written(ends);
        }
        match ends.outbox.take(self.pump.encoder(), cx) {
            Taken::Messages => self.in_flight = self.pump.encoder().pending_bytes() as u64,
            Taken::Nothing => {}
            Taken::Last => self.pump.finish(),
        }
    }

    /// Tells waiting flushes how much was written. Returns the number of new bytes.
    fn note_written(&mut self, ends: &Ends<Frames<F>>) -> usize {
        let pending = self.pump.encoder().pending_bytes() as u64;
        let written = std::mem::replace(&mut self.in_flight, pending) - pending;
        ends.outbox.note_written(written, |_| ());
        usize::try_from(written).unwrap_or(usize::MAX)
    }

    /// Passes frames to the receiver. Returns why there will be no more, if ancillary data does not match them.
    fn deliver(&self, batch: Batch, ends: &Ends<Frames<F>>) -> Result<(), Reason> {
        let end = self.pump.bytes_read() - self.pump.truncated_len() as u64;
        let (batch, fault) = self.ancillary.sort(batch, end);
        if !batch.is_empty() || batch.skipped() > 0 {
            ends.inbox.push(batch);
        }
        fault.map_or(Ok(()), Err)
    }

    fn failed(&self, error: io::Error) -> Reason {
        self.ancillary.fault(&error).unwrap_or_else(|| Reason::failed(error))
    }
}

impl<T: Transport, F: Framing + Clone + Send + 'static, A: Ancillary> Driver for StreamDriver<T, F, A> {
    type Queue = Frames<F>;
    const HAS_END: bool = true;

    fn poll_move(&mut self, cx: &mut Context<'_>, ends: &Ends<Frames<F>>) -> Result<Moved, Reason> {
        let mut budget = BUDGET;
        loop {
            if !self.pump.is_write_closed() && !self.pump.encoder().has_pending() {
                self.refill(cx, ends);
            }
            let intake = if self.pump.is_read_ended() { Intake::Paused } else { ends.inbox.intake(cx) };
            let mut cost = LEAST_COST;
            match self.pump.poll_next(cx, intake) {
                Poll::Ready(PumpEvent::Batch(batch)) => {
                    cost = cost.max(batch.memory_len());
                    self.deliver(batch, ends)?;
                }
                Poll::Ready(PumpEvent::Drained | PumpEvent::Finished) => cost = cost.max(self.note_written(ends)),
                Poll::Ready(PumpEvent::WriteFailed(error)) => {
                    self.note_written(ends);
                    ends.outbox.refuse();
                    self.write_failed = Some(self.failed(error));
                }
                Poll::Ready(PumpEvent::End(end)) => match end {
                    End::Eof { .. } => {
                        ends.inbox.end();
                        if self.is_hung_up() {
                            self.give_up_writing(ends);
                        }
                    }
                    End::Failed { error, .. } => return Err(self.failed(error)),
                    End::Malformed { error, .. } => return Err(Reason::Malformed(error)),
                    _ => unreachable!("the ends of a stream are these"),
                },
                Poll::Ready(PumpEvent::Partial) => cost = BUDGET,
                Poll::Ready(_) => {}
                Poll::Pending if intake == Intake::Open => return Ok(Moved::All),
                Poll::Pending => return Ok(Moved::Deaf),
            }
            budget = budget.saturating_sub(cost);
            if budget == 0 {
                return Ok(Moved::Spent);
            }
        }
    }

    fn heard(&self) -> u64 {
        self.pump.bytes_read()
    }

    fn stalled_at(&mut self) -> Option<u64> {
        let is_open = !self.pump.is_write_closed();
        let encoder = self.pump.encoder();
        (is_open && encoder.has_pending()).then(|| encoder.written().bytes)
    }

    fn write_unannounced(&mut self) -> bool {
        let Some(writer) = T::writer(self.pump.stream()) else { return false };
        let encoder = self.pump.encoder();
        let mut slices = [IoSlice::new(&[]); 8];
        let count = encoder.io_slices(&mut slices);
        match writer.write_unannounced(slices.get(..count).unwrap_or_default()) {
            Ok(written) => {
                encoder.consume(written);
                true
            }
            // The next write reports any other error.
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    fn is_full(&self) -> bool {
        self.ancillary.is_full()
    }

    fn has_unread(&self) -> bool {
        T::has_unread(self.pump.stream())
    }

    fn is_hung_up(&self) -> bool {
        T::is_hung_up(self.pump.stream())
    }

    fn is_read_ended(&self) -> bool {
        self.pump.is_read_ended()
    }

    fn is_write_closed(&self) -> bool {
        self.pump.is_write_closed()
    }

    /// After a fault in ancillary data, the peer is still there and may never close. We still receive what it has sent
    /// so far.
    fn ends_when_read(&self) -> bool {
        matches!(self.write_failed, Some(Reason::Ancillary(_)))
    }

    /// Data that was written stays written.
    fn give_up_writing(&mut self, ends: &Ends<Frames<F>>) {
        self.note_written(ends);
        if ends.outbox.refuse() && self.write_failed.is_none() {
            self.write_failed = Some(Reason::HungUp);
        }
        self.pump.close_writing();
    }

    fn rest(&mut self, cx: &mut Context<'_>, ends: &Ends<Frames<F>>) {
        let (pushed, outbox_memory) = ends.outbox.usage();
        let moved = self.pump.bytes_read().wrapping_add(pushed);
        if self.rest.poll(cx, moved, self.pump.memory_len() + outbox_memory) {
            self.pump.release();
            ends.outbox.release();
            self.rest.given_back(self.pump.memory_len() + ends.outbox.usage().1);
        }
    }

    fn take_failure(&mut self) -> Option<Reason> {
        self.write_failed.take()
    }

    fn end(&mut self, ends: &Ends<Frames<F>>, reason: Reason, drained: bool) -> Ending {
        self.note_written(ends);
        // Frames that were read into the process count as received, whatever ended the connection. Faults are already
        // known.
        while let Some(batch) = self.pump.take_received() {
            let _ = self.deliver(batch, ends);
        }
        // After a drain, the rest is all that the peer has written: a last line may lack its terminator.
        while drained && let Some(batch) = self.pump.take_unterminated() {
            let _ = self.deliver(batch, ends);
        }
        let (left_here, truncated_sending) = self.pump.encoder().take_unsent();
        let written_here = self.pump.encoder().written();
        let there = ends.outbox.close();
        Ending {
            reason,
            handed_to_kernel: Count {
                frames: written_here.frames + there.unsent.written.frames,
                bytes: written_here.bytes + there.unsent.written.bytes,
            },
            unsent: Batch::concat([left_here, there.unsent.frames]),
            rejected: there.rejected,
            dropped: there.dropped,
            truncated_sending: truncated_sending + there.unsent.truncated,
            truncated_receiving: self.pump.truncated_len(),
            unterminated: self.pump.is_unterminated(),
        }
    }
}
