//! A Redis client in one page: RESP has no request numbers, so the tag is `()` and order is all there is.
//!
//! With an address (`cargo run -p packetizer --features tokio --example resp -- 127.0.0.1:6379`) it talks to that server;
//! without one, to a small stand-in inside this program.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::HashMap;

use frame_codec::{Envelope, Framing, Pump, PumpEvent, Scan};
use packetizer::{Call, Class, Driver, Limits, Protocol, Ticket, drive};
use tokio::io::{AsyncRead, AsyncWrite};

/// One RESP value per frame, header and all: `+OK`, `-ERR …`, `:7`, `$5 hello`, `$-1`, and arrays of them.
#[derive(Debug, Clone)]
struct Resp;

impl Framing for Resp {
    fn scan(&self, unread: &[u8], _scanned: usize, max: usize) -> Result<Scan, frame_codec::Error> {
        let mut end = 0;
        let mut values = 1_u64;
        while values > 0 {
            values -= 1;
            let rest = &unread[end..];
            let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else {
                return too_large_or_more(unread.len(), max);
            };
            end += line + 2;
            let number = std::str::from_utf8(&rest[1..line.max(1)]).ok().and_then(|text| text.parse::<i64>().ok());
            match (rest[0], number) {
                (b'+' | b'-', _) | (b':', Some(_)) | (b'$' | b'*', Some(-1)) => {}
                (b'*', Some(count @ 0..)) => values = values.saturating_add(count as u64),
                (b'$', Some(len @ 0..)) => end = end.saturating_add(len as usize).saturating_add(2),
                _ => return Err(frame_codec::Error::Malformed { what: "not a RESP value" }),
            }
            if end > unread.len() {
                return too_large_or_more(end, max);
            }
        }
        Ok(Scan::Frame { payload: 0..end, end })
    }

    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, frame_codec::Error> {
        Ok(Envelope::NONE)
    }
}

fn too_large_or_more(len: usize, max: usize) -> Result<Scan, frame_codec::Error> {
    if len > max {
        return Err(frame_codec::Error::FrameTooLarge { len: len as u64, max });
    }
    Ok(Scan::More { at_least: len + 1, scanned: 0 })
}

/// Redis, as far as this example speaks it.
struct Redis;

#[derive(Debug, thiserror::Error)]
#[error("the reply is not what this command returns")]
struct Unexpected;

type Value = Result<Option<Vec<u8>>, String>;

impl Protocol for Redis {
    type Lane = ();
    type Tag = ();
    type Context = ();
    type Reply = Value;
    type Event = ();
    type Error = Unexpected;

    fn classify(&mut self, _frame: &[u8]) -> Result<Class<(), (), ()>, Unexpected> {
        Ok(Class::Reply { lane: (), tag: () })
    }

    fn decode(&mut self, (): (), frame: &[u8]) -> Result<Value, Unexpected> {
        let line = frame.windows(2).position(|pair| pair == b"\r\n").ok_or(Unexpected)?;
        let (head, body) = (frame.get(1..line).ok_or(Unexpected)?, &frame[line + 2..]);
        match frame[0] {
            b'+' | b':' => Ok(Ok(Some(head.to_vec()))),
            b'-' => Ok(Err(String::from_utf8_lossy(head).into_owned())),
            b'$' if head == b"-1" => Ok(Ok(None)),
            b'$' => Ok(Ok(Some(body[..body.len().saturating_sub(2)].to_vec()))),
            _ => Err(Unexpected),
        }
    }
}

/// A command and its arguments.
struct Command<'a>(&'a [&'a str]);

impl Call for Command<'_> {
    type Protocol = Redis;
    type Reply = Value;

    fn encode(&self, _: &mut Redis, frame: &mut Vec<u8>) -> Result<Ticket<(), (), ()>, Unexpected> {
        frame.extend_from_slice(format!("*{}\r\n", self.0.len()).as_bytes());
        for word in self.0 {
            frame.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        Ok(Ticket { lane: (), tag: (), context: () })
    }

    fn reply(reply: Value) -> Value {
        reply
    }
}

/// Knows `SET`, `GET` and `INCR`.
async fn stand_in(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut pump = Pump::new(stream, Resp, frame_codec::Limits::default());
    let mut store: HashMap<String, String> = HashMap::new();
    loop {
        let batch = match pump.next().await {
            PumpEvent::Batch(batch) => batch,
            PumpEvent::End(_) => return,
            _ => continue,
        };
        for frame in &batch {
            let text = String::from_utf8_lossy(frame);
            let words: Vec<_> = text.split("\r\n").skip(2).step_by(2).collect();
            let reply = match words[..] {
                ["SET", key, value] => {
                    store.insert(key.to_owned(), value.to_owned());
                    "+OK\r\n".to_owned()
                }
                ["GET", key] => match store.get(key) {
                    Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                    None => "$-1\r\n".to_owned(),
                },
                ["INCR", key] => {
                    let number = store.get(key).and_then(|value| value.parse().ok()).unwrap_or(0) + 1;
                    store.insert(key.to_owned(), number.to_string());
                    format!(":{number}\r\n")
                }
                _ => "-ERR unknown command\r\n".to_owned(),
            };
            pump.encoder().push(reply.as_bytes()).expect("a short reply");
        }
    }
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<(), Box<dyn std::error::Error>> {
    let (driver, redis) = Driver::new(stream, Resp, frame_codec::Limits::default(), Redis, Limits::default());
    let running = tokio::spawn(drive(driver, |()| {}));

    // Four requests, one write; the replies come back in the same order.
    let set = redis.call(&Command(&["SET", "packetizer:river", "streams"]));
    let get = redis.call(&Command(&["GET", "packetizer:river"]));
    let none = redis.call(&Command(&["GET", "packetizer:no such key"]));
    let wrong = redis.call(&Command(&["NONSENSE"]));
    println!("SET      {:?}", show(set.await?));
    println!("GET      {:?}", show(get.await?));
    println!("GET      {:?}", show(none.await?));
    println!("NONSENSE {:?}", show(wrong.await?));

    drop(redis); // the last handle: the connection ends
    println!("{}", running.await?);
    Ok(())
}

fn show(value: Value) -> Result<Option<String>, String> {
    Ok(value?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1) {
        Some(address) => talk(tokio::net::TcpStream::connect(address).await?).await,
        None => {
            let (here, there) = tokio::io::duplex(4096);
            tokio::spawn(stand_in(there));
            talk(here).await
        }
    }
}
