//! The smallest protocol with replies in any order: a request is its number, and so is its reply.

use bytes::{BufMut as _, Bytes, BytesMut};
use packetizer::{Call, Class, ClassOf, Protocol, Route, Ticket, TicketOf};

#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) next: u32,
}

#[derive(Debug, thiserror::Error)]
#[error("not a number")]
pub(crate) struct NoNumber;

impl Protocol for Counted {
    type Lane = ();
    type Tag = u32;
    type Context = ();
    type Event = ();
    type Error = NoNumber;

    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, NoNumber> {
        let number = frame.first_chunk().ok_or(NoNumber)?;
        Ok(Class::Reply(Route::Tag(u32::from_be_bytes(*number))))
    }
}

pub(crate) struct Ask;

impl Call for Ask {
    type Protocol = Counted;
    type Reply = ();

    fn encode(&self, counted: &mut Counted, frame: &mut BytesMut) -> Result<TicketOf<Counted>, NoNumber> {
        let number = counted.next;
        counted.next = number.wrapping_add(1);
        frame.put_u32(number);
        Ok(Ticket { route: Route::Tag(number), context: () })
    }

    fn decode((): (), _frame: Bytes) -> Result<(), NoNumber> {
        Ok(())
    }
}
