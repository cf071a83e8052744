//! A Redis client on one page. RESP has no request numbers: replies come in order, so there is one lane and the tag is
//! `()`.
//!
//! `cargo run -p packetizer --features tokio --example redis -- 127.0.0.1:6379` talks to that server. `tests/it/redis.rs` runs
//! the same code against a real `redis-server`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use bytes::{Buf as _, Bytes, BytesMut};
use frame_codec::{Envelope, Framing, Scan};
use packetizer::{Call, Class, ClassOf, Driver, Handle, Limits, Protocol, Route, Ticket, TicketOf, drive};
use tokio::io::{AsyncRead, AsyncWrite};

/// One RESP value per frame, including its header: `+OK`, `-ERR …`, `:7`, `$5 hello`, `$-1`, and arrays of them.
#[derive(Debug, Clone)]
pub(crate) struct Resp;

impl Framing for Resp {
    fn scan(&self, unread: &[u8], _scanned: usize, max: usize) -> Result<Scan, frame_codec::DecodeError> {
        let more = |end: usize| {
            if end > max {
                return Err(frame_codec::DecodeError::FrameTooLarge { len: end as u64, max });
            }
            Ok(Scan::More { at_least: end.max(unread.len() + 1), scanned: 0 })
        };
        let (mut end, mut values) = (0, 1_u64);
        while values > 0 {
            values -= 1;
            let rest = &unread[end..];
            let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else { return more(unread.len() + 1) };
            end += line + 2;
            match (rest[0], number(&rest[1..line.max(1)])) {
                (b'+' | b'-', _) | (b':', Some(_)) | (b'$' | b'*', Some(-1)) => {}
                (b'*', Some(count @ 0..)) => values = values.saturating_add(count as u64),
                (b'$', Some(len @ 0..)) => end = end.saturating_add(len as usize).saturating_add(2),
                _ => return Err(frame_codec::DecodeError::Malformed { what: "not a RESP value" }),
            }
            if end > unread.len() {
                return more(end);
            }
        }
        Ok(Scan::Frame { payload: 0..end, end })
    }

    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, frame_codec::EncodeError> {
        Ok(Envelope::NONE)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The part of Redis that this example uses.
pub(crate) struct Redis;

#[derive(Debug, thiserror::Error)]
#[error("the reply is not a RESP value")]
pub(crate) struct NotResp;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Nil,
    Simple(String),
    Error(String),
    Int(i64),
    Bulk(Bytes),
    Array(Vec<Self>),
}

impl Value {
    /// Takes the first value from `rest`; large strings share its memory.
    fn take(rest: &mut Bytes) -> Option<Self> {
        let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let head = rest.split_to(line + 2).slice(..line);
        let text = || String::from_utf8_lossy(head.get(1..).unwrap_or_default()).into_owned();
        Some(match (*head.first()?, number(head.get(1..)?)) {
            (b'+', _) => Self::Simple(text()),
            (b'-', _) => Self::Error(text()),
            (b':', Some(number)) => Self::Int(number),
            (b'$' | b'*', Some(-1)) => Self::Nil,
            (b'$', Some(len)) => {
                let bulk = rest.split_to(usize::try_from(len).ok()?);
                rest.advance(2);
                Self::Bulk(bulk)
            }
            (b'*', Some(count)) => Self::Array((0..count).map(|_| Self::take(rest)).collect::<Option<_>>()?),
            _ => return None,
        })
    }
}

impl Protocol for Redis {
    type Lane = ();
    type Tag = ();
    type Context = ();
    type Event = ();
    type Error = NotResp;

    fn classify(&mut self, _frame: &[u8]) -> Result<ClassOf<Self>, NotResp> {
        Ok(Class::Reply(Route::Lane { lane: (), tag: () }))
    }
}

/// A command and its arguments.
pub(crate) struct Command<'a>(pub(crate) &'a [&'a [u8]]);

impl Call for Command<'_> {
    type Protocol = Redis;
    type Reply = Value;

    fn encode(&self, _: &mut Redis, frame: &mut BytesMut) -> Result<TicketOf<Redis>, NotResp> {
        frame.extend_from_slice(format!("*{}\r\n", self.0.len()).as_bytes());
        for word in self.0 {
            frame.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            frame.extend_from_slice(word);
            frame.extend_from_slice(b"\r\n");
        }
        Ok(Ticket { route: Route::Lane { lane: (), tag: () }, context: () })
    }

    fn decode((): (), mut frame: Bytes) -> Result<Value, NotResp> {
        Value::take(&mut frame).ok_or(NotResp)
    }
}

pub(crate) fn client(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Handle<Redis> {
    let (driver, redis) = Driver::new(stream, Resp, frame_codec::Limits::default(), Redis, Limits::default());
    tokio::spawn(drive(driver, |()| {}));
    redis
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let redis = client(tokio::net::TcpStream::connect(address).await?);
    // Three requests, one write; the replies come back in the same order.
    let set = redis.call(&Command(&[b"SET", b"packetizer:river", b"streams"]));
    let get = redis.call(&Command(&[b"GET", b"packetizer:river"]));
    let wrong = redis.call(&Command(&[b"NONSENSE"]));
    println!("SET {:?}, GET {:?}, NONSENSE {:?}", set.await?, get.await?, wrong.await?);
    Ok(())
}
