//! Messages one by one, out of the batches in which they arrive.

use std::sync::Arc;

use frame_codec::{Batch, BatchBuilder};
use uds_actor::Count;

use crate::{Delivery, Producer, ProducerId};

/// One message, lent by [`Funnel::recv_message`](crate::Funnel::recv_message) until the next call.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    producer: &'a Arc<Producer>,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Its producer.
    #[must_use]
    pub const fn producer(&self) -> &'a Arc<Producer> {
        self.producer
    }

    /// Its bytes.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

impl AsRef<[u8]> for Message<'_> {
    fn as_ref(&self) -> &[u8] {
        self.payload
    }
}

/// The delivery that messages are taken from.
#[derive(Debug, Default)]
pub(crate) struct Current {
    delivery: Option<Delivery>,
    /// The index of the next message.
    next: usize,
}

impl Current {
    pub(crate) const fn new(delivery: Delivery) -> Self {
        Self { delivery: Some(delivery), next: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.delivery.as_ref().is_none_or(|delivery| self.next >= delivery.batch().len())
    }

    /// The next message, if there is one.
    pub(crate) fn next(&mut self) -> Option<Message<'_>> {
        let Delivery { producer, batch } = self.delivery.as_ref()?;
        let payload = batch.get(self.next)?;
        self.next += 1;
        Some(Message { producer, payload })
    }

    /// The messages that were not taken, as a delivery of their own. They are copied, unless none was taken.
    pub(crate) fn take_rest(&mut self) -> Option<Delivery> {
        let Self { delivery, next } = std::mem::take(self);
        let Delivery { producer, batch } = delivery?;
        let batch = if next == 0 { batch } else { without_first(&batch, next) };
        (!batch.is_empty()).then_some(Delivery { producer, batch })
    }

    /// The producer of the messages that were not taken, and how many these are.
    pub(crate) fn left(&self) -> Option<(ProducerId, Count)> {
        let Delivery { producer, batch } = self.delivery.as_ref()?;
        let bytes = batch.iter().skip(self.next).map(|message| message.len() as u64).sum();
        let frames = batch.len().saturating_sub(self.next) as u64;
        Some((producer.id, Count { frames, bytes }))
    }
}

fn without_first(batch: &Batch, number: usize) -> Batch {
    let mut rest = BatchBuilder::default();
    batch.iter().skip(number).for_each(|message| rest.push(message));
    rest.take()
}
