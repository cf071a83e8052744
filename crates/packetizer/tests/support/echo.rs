//! A protocol for tests: requests in two lanes, numbered in one byte, answered with their own text.
//!
//! A request is `lane, number, text`; so is a reply; `lane` is `o` (ordered) or `u` (urgent, may overtake). A frame that
//! begins with `!` is an event. The context is the text's length, and a reply of another length cannot be decoded.

use packetizer::{Call, Class, Protocol, Ticket};

#[derive(Debug, Default)]
pub(crate) struct Echo {
    next: u8,
    /// Frames seen by `classify`.
    pub(crate) frames: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Ordered,
    Urgent,
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
}

impl Protocol for Echo {
    type Lane = Lane;
    type Tag = u8;
    type Context = usize;
    type Reply = Vec<u8>;
    type Event = Vec<u8>;
    type Error = Wrong;

    fn classify(&mut self, frame: &[u8]) -> Result<Class<Lane, u8, Vec<u8>>, Wrong> {
        self.frames += 1;
        match frame {
            [b'!', event @ ..] => Ok(Class::Event(event.to_vec())),
            [b'o', tag, ..] => Ok(Class::Reply { lane: Lane::Ordered, tag: *tag }),
            [b'u', tag, ..] => Ok(Class::Reply { lane: Lane::Urgent, tag: *tag }),
            [lane, _, ..] => Err(Wrong::Lane(*lane)),
            short => Err(Wrong::Short(short.len())),
        }
    }

    fn decode(&mut self, asked: usize, frame: &[u8]) -> Result<Vec<u8>, Wrong> {
        let text = &frame[2..];
        if text.len() == asked { Ok(text.to_vec()) } else { Err(Wrong::Length { asked, got: text.len() }) }
    }
}

/// Asks for a text to be echoed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Say<'a>(pub(crate) Lane, pub(crate) &'a [u8]);

impl Call for Say<'_> {
    type Protocol = Echo;
    type Reply = String;

    fn encode(&self, echo: &mut Echo, frame: &mut Vec<u8>) -> Result<Ticket<Lane, u8, usize>, Wrong> {
        frame.push(match self.0 {
            Lane::Ordered => b'o',
            Lane::Urgent => b'u',
        });
        if self.1.is_empty() {
            return Err(Wrong::Silence);
        }
        echo.next = echo.next.wrapping_add(1);
        frame.push(echo.next);
        frame.extend_from_slice(self.1);
        Ok(Ticket { lane: self.0, tag: echo.next, context: self.1.len() })
    }

    fn reply(reply: Vec<u8>) -> String {
        String::from_utf8_lossy(&reply).into_owned()
    }
}
