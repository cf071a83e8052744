//! A protocol for tests: requests in two lanes and by tag alone, numbered in one byte, answered with their own text.
//!
//! A request is `lane, number, text`; so is a reply; `lane` is `o` (ordered), `u` (urgent, may overtake) or `t` (found
//! by its tag, in any order). A frame that begins with `!` is an event. The context is the text's length, and a reply
//! of another length cannot be decoded. A reply with a text that begins with `#` cannot be settled.

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Class, Matched, Protocol, Route, Skip, Ticket};

#[derive(Debug, Default)]
pub(crate) struct Echo {
    next: u8,
    /// Frames seen by `classify`.
    pub(crate) frames: usize,
    /// Replies that were settled.
    pub(crate) settled: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Ordered,
    Urgent,
    /// No lane at all.
    Tagged,
}

impl Lane {
    fn route(self, tag: u8) -> Route<Self, u8> {
        if self == Self::Tagged { Route::Tag(tag) } else { Route::Lane { lane: self, tag } }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("a frame of {0} bytes is too short")]
    Short(usize),
    #[error("there is no lane {0}")]
    Lane(u8),
    #[error("{asked} bytes were asked to be echoed and {got} came back")]
    Length { asked: usize, got: usize },
    #[error("silence cannot be echoed")]
    Silence,
    #[error("after this there is no going on")]
    Unsettling,
}

impl Protocol for Echo {
    type Lane = Lane;
    type Tag = u8;
    type Context = usize;
    type Event = Vec<u8>;
    type Error = Wrong;

    const SKIP: Option<Skip> = Some(Skip { head: 2, max: 1 << 30 });

    fn classify(&mut self, frame: &[u8]) -> Result<Class<Lane, u8, Vec<u8>>, Wrong> {
        self.frames += 1;
        match frame {
            [b'!', event @ ..] => Ok(Class::Event(event.to_vec())),
            [b'o', tag, ..] => Ok(Class::Reply(Lane::Ordered.route(*tag))),
            [b'u', tag, ..] => Ok(Class::Reply(Lane::Urgent.route(*tag))),
            [b't', tag, ..] => Ok(Class::Reply(Lane::Tagged.route(*tag))),
            [lane, _, ..] => Err(Wrong::Lane(*lane)),
            short => Err(Wrong::Short(short.len())),
        }
    }

    fn settle(&mut self, _asked: &mut usize, reply: Matched<'_>) -> Result<(), Wrong> {
        self.settled += 1;
        if reply.bytes().get(2) == Some(&b'#') { Err(Wrong::Unsettling) } else { Ok(()) }
    }
}

/// Asks for a text to be echoed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Say<'a>(pub(crate) Lane, pub(crate) &'a [u8]);

impl Call for Say<'_> {
    type Protocol = Echo;
    type Reply = String;

    fn encode(&self, echo: &mut Echo, frame: &mut BytesMut) -> Result<Ticket<Lane, u8, usize>, Wrong> {
        frame.extend_from_slice(match self.0 {
            Lane::Ordered => b"o",
            Lane::Urgent => b"u",
            Lane::Tagged => b"t",
        });
        if self.1.is_empty() {
            return Err(Wrong::Silence);
        }
        echo.next = echo.next.wrapping_add(1);
        frame.extend_from_slice(&[echo.next]);
        frame.extend_from_slice(self.1);
        Ok(Ticket { route: self.0.route(echo.next), context: self.1.len() })
    }

    fn decode(asked: usize, frame: Bytes) -> Result<String, Wrong> {
        let text = &frame[2..];
        if text.len() != asked {
            return Err(Wrong::Length { asked, got: text.len() });
        }
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}
