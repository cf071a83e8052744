//! Single messages, from the batches in which they arrive.

use std::sync::Arc;

use uds_actor::Count;

use crate::{Delivery, Producer, ProducerId};

/// One message, lent by [`Funnel::recv_message`](crate::Funnel::recv_message) until the next call.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    producer: &'a Arc<Producer>,
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message's producer.
    #[must_use]
    pub const fn producer(&self) -> &'a Arc<Producer> {
        self.producer
    }

    /// The message's bytes.
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

/// The delivery from which messages are taken.
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

    /// The messages that were not taken, as a separate delivery, with the memory and the credit of the whole batch.
    pub(crate) fn take_rest(&mut self) -> Option<Delivery> {
        let Self { delivery, next } = std::mem::take(self);
        let Delivery { producer, batch } = delivery?;
        let batch = batch.without_first(next);
        (!batch.is_empty()).then_some(Delivery { producer, batch })
    }

    /// The producer and the number of the messages that were not taken.
    pub(crate) fn left(&self) -> Option<(ProducerId, Count)> {
        let Delivery { producer, batch } = self.delivery.as_ref()?;
        let bytes = batch.iter().skip(self.next).map(|message| message.len() as u64).sum();
        let frames = batch.len().saturating_sub(self.next) as u64;
        Some((producer.id, Count { frames, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use frame_codec::{Batch, BatchBuilder, Decoder, Delimited, Limits, Oversize};
    use uds_actor::{Address, Peer};

    use super::*;
    use crate::Via;

    fn batch(messages: &[&[u8]]) -> Batch {
        let mut builder = BatchBuilder::default();
        messages.iter().for_each(|message| builder.push(message));
        builder.take()
    }

    fn current(batch: Batch) -> Current {
        let peer = Peer::new(0, 0, None, []);
        let address = Address::Abstract(b"a".to_vec());
        let producer = Producer { id: ProducerId(1), address, via: Via::Listener, peer };
        Current::new(Delivery { producer: Arc::new(producer), batch })
    }

    #[test]
    fn what_was_not_taken_keeps_its_credit_until_it_is_gone() {
        for taken in 0..3 {
            let credit = Arc::new(());
            let messages = [&b"a"[..], b"bc", b"def"];
            let batch = batch(&messages);
            let block = batch.get(2).unwrap().as_ptr();
            let mut current = current(batch.holding(Arc::clone(&credit)));
            for _ in 0..taken {
                current.next().unwrap();
            }
            let rest = current.take_rest().unwrap();
            assert_eq!(rest.batch().iter().collect::<Vec<_>>(), messages[taken..]);
            assert_eq!(rest.batch().iter().next_back().unwrap().as_ptr(), block, "it is not copied");
            assert_eq!(Arc::strong_count(&credit), 2, "the memory is still in use");
            drop(rest);
            assert_eq!(Arc::strong_count(&credit), 1, "{taken}");
        }
        // No message is left, so the memory is released.
        let credit = Arc::new(());
        let mut current = current(batch(&[b"a"]).holding(Arc::clone(&credit)));
        current.next().unwrap();
        assert!(current.take_rest().is_none());
        assert_eq!(Arc::strong_count(&credit), 1);
    }

    #[test]
    fn a_rest_that_begins_with_the_first_message_keeps_what_is_known_of_it() {
        let limits = Limits::default().with_max_frame(2).with_oversize(Oversize::Shorten);
        let mut decoder = Decoder::new(Delimited::lines(), limits);
        decoder.feed(b"long\n");
        let batch = decoder.next_batch().unwrap().unwrap();
        assert_eq!(current(batch).take_rest().unwrap().batch().shortened(), 1);
    }
}
