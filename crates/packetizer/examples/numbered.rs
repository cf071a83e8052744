//! A protocol with replies in any order, on one page: every request has a number, which its reply repeats.
//!
//! ```text
//!   request   u32 number, u8 operation, argument          reply   u32 number, u8 status, result
//!   event     u32 0, text
//! ```
//!
//! With a number as [`Route::Tag`] the multiplexer finds the request of each reply in constant time. The server is a task in
//! this program that answers the newest question first.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use frame_codec::{LengthPrefixed, Pump, PumpEvent};
use packetizer::{
    Call, Class, ClassOf, Driver, Error, Limits, Options, Protocol, Route, Skip, Ticket, TicketOf, drive,
};
use tokio::io::DuplexStream;

/// The session's state: the last number that was used.
#[derive(Default)]
struct Numbered(u32);

#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("a frame of {0} bytes")]
    Short(usize),
    #[error("the server says no: {0}")]
    Rejected(String),
}

impl Protocol for Numbered {
    type Lane = ();
    type Tag = u32;
    type Context = ();
    type Event = String;
    type Error = Wrong;

    // The number is all that is needed to fail the right call if its reply is too large.
    const SKIP: Option<Skip> = Some(Skip { head: 4, max: u32::MAX as u64 });

    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Wrong> {
        let (number, rest) = frame.split_first_chunk().ok_or(Wrong::Short(frame.len()))?;
        Ok(match u32::from_be_bytes(*number) {
            0 => Class::Event(String::from_utf8_lossy(rest).into_owned()),
            number => Class::Reply(Route::Tag(number)),
        })
    }
}

impl Numbered {
    fn request(&mut self, operation: u8, argument: &[u8], frame: &mut BytesMut) -> TicketOf<Self> {
        self.0 = self.0.checked_add(1).unwrap_or(1);
        frame.put_u32(self.0);
        frame.put_u8(operation);
        frame.put_slice(argument);
        Ticket { route: Route::Tag(self.0), context: () }
    }
}

fn result(mut frame: Bytes) -> Result<Bytes, Wrong> {
    let status = *frame.get(4).ok_or(Wrong::Short(frame.len()))?;
    frame.advance(5);
    if status == 0 { Ok(frame) } else { Err(Wrong::Rejected(String::from_utf8_lossy(&frame).into_owned())) }
}

/// Each operation is a type, and its reply another.
struct Upper<'a>(&'a str);
struct Length<'a>(&'a str);

impl Call for Upper<'_> {
    type Protocol = Numbered;
    type Reply = String;

    fn encode(&self, numbered: &mut Numbered, frame: &mut BytesMut) -> Result<TicketOf<Numbered>, Wrong> {
        Ok(numbered.request(b'U', self.0.as_bytes(), frame))
    }

    fn decode((): (), frame: Bytes) -> Result<String, Wrong> {
        Ok(String::from_utf8_lossy(&result(frame)?).into_owned())
    }
}

impl Call for Length<'_> {
    type Protocol = Numbered;
    type Reply = u64;

    fn encode(&self, numbered: &mut Numbered, frame: &mut BytesMut) -> Result<TicketOf<Numbered>, Wrong> {
        Ok(numbered.request(b'L', self.0.as_bytes(), frame))
    }

    fn decode((): (), frame: Bytes) -> Result<u64, Wrong> {
        result(frame)?.try_get_u64().map_err(|short| Wrong::Short(short.available))
    }
}

/// Answers what it has, the newest first; does not answer an empty argument.
async fn serve(stream: DuplexStream) {
    let mut pump = Pump::new(stream, LengthPrefixed::u32_be(), frame_codec::Limits::default());
    loop {
        let batch = match pump.next().await {
            PumpEvent::Batch(batch) => batch,
            PumpEvent::End(_) => return,
            _ => continue,
        };
        for frame in batch.iter().rev() {
            let (number, operation, argument) = (&frame[..4], frame[4], &frame[5..]);
            let (status, result) = match operation {
                _ if argument.is_empty() => continue,
                b'U' => (0, argument.to_ascii_uppercase()),
                b'L' => (0, (argument.len() as u64).to_be_bytes().to_vec()),
                _ => (1, b"unknown operation".to_vec()),
            };
            pump.encoder().push(&[number, &[status], &result].concat()).expect("a short reply");
        }
        pump.encoder().push(b"\0\0\0\0that was a batch").expect("a short event");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (here, there) = tokio::io::duplex(4096);
    tokio::spawn(serve(there));
    let (driver, calls) = Driver::new(
        here,
        LengthPrefixed::u32_be(),
        frame_codec::Limits::default(),
        Numbered::default(),
        Limits::default(),
    );
    let running = tokio::spawn(drive(driver, |event| println!("event: {event}")));

    let upper = calls.call(&Upper("many streams"));
    let length = calls.call(&Length("one river"));
    println!("{:?}, {:?}", upper.await?, length.await?);

    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    let silent = calls.call_with(&Upper(""), Options::new().with_deadline(deadline.into_std())).await;
    assert!(matches!(silent, Err(Error::TimedOut { maybe_executed: true })));
    println!("{}", silent.expect_err("there is no answer"));

    drop(running);
    Ok(())
}
