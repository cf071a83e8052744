//! The output of `mpsr listen --json`, line by line.

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One line of standard output, or the report on standard error.
///
/// The reader skips kinds that are not listed: a newer `mpsr` may have more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A listener accepts.
    Listening,
    /// A directory was listed once and is watched.
    Watching,
    /// A producer is connected.
    Joined {
        /// The number of this producer in the output of `mpsr`.
        producer: u64,
        /// Its socket, or the listener it came to.
        address: String,
        /// Which side connected.
        via: Via,
        /// The process at the other end, if the kernel provides it.
        pid: Option<u32>,
    },
    /// A message, as its bytes.
    Message {
        /// The producer that sent it.
        producer: u64,
        /// The payload.
        payload: Vec<u8>,
    },
    /// A producer is gone, and its report is complete.
    Left {
        /// Which.
        producer: u64,
        /// The tool's own numbers.
        counts: Counts,
        /// `closed` for a normal end.
        reason: String,
    },
    /// Something a user should know.
    Warning(String),
    /// The final report.
    Report {
        /// How many producers there were.
        producers: u64,
        /// The sum over all of them.
        counts: Counts,
    },
    /// A kind that this reader does not know.
    Other(String),
}

/// Which side connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The producer connected to the receiver's listener.
    Listen,
    /// The receiver connected to the producer's socket in the directory.
    Dir,
}

/// The counts of a report: messages, except for the payload bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read into the receiver.
    pub received: u64,
    /// Printed.
    pub delivered: u64,
    /// Incomplete at the end.
    pub truncated: u64,
    /// Received and not printed.
    pub lost: u64,
    /// Payload bytes of what was delivered.
    pub bytes: u64,
}

impl Event {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// The line is not an object with an `event`, or a field of a known event is missing or of another type.
    pub fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).context("not a JSON object")?;
        let kind = text(&value, "event")?;
        Ok(match kind {
            "listening" => Self::Listening,
            "watching" => Self::Watching,
            "joined" => Self::Joined {
                producer: number(&value, "producer")?,
                address: text(&value, "address")?.to_owned(),
                via: match text(&value, "via")? {
                    "listen" => Via::Listen,
                    "dir" => Via::Dir,
                    other => bail!("unknown `via`: {other:?}"),
                },
                pid: value.get("pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok()),
            },
            "message" => Self::Message { producer: number(&value, "producer")?, payload: payload(&value)? },
            "left" => Self::Left {
                producer: number(&value, "producer")?,
                counts: counts(&value)?,
                reason: text(&value, "reason")?.to_owned(),
            },
            "warning" => Self::Warning(text(&value, "text")?.to_owned()),
            "report" => Self::Report { producers: number(&value, "producers")?, counts: counts(&value)? },
            other => Self::Other(other.to_owned()),
        })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("no text at `{key}`"))
}

fn number(value: &Value, key: &str) -> Result<u64> {
    value.get(key).and_then(Value::as_u64).with_context(|| format!("no number at `{key}`"))
}

fn counts(value: &Value) -> Result<Counts> {
    Ok(Counts {
        received: number(value, "received")?,
        delivered: number(value, "delivered")?,
        truncated: number(value, "truncated")?,
        lost: number(value, "lost")?,
        bytes: number(value, "bytes")?,
    })
}

fn payload(value: &Value) -> Result<Vec<u8>> {
    match value.get("base64").and_then(Value::as_str) {
        Some(encoded) => base64(encoded).with_context(|| format!("not base64: {encoded:?}")),
        None => Ok(text(value, "text")?.as_bytes().to_vec()),
    }
}

/// Decodes standard base64 with padding (RFC 4648, section 4).
fn base64(encoded: &str) -> Option<Vec<u8>> {
    let sextet = |byte: u8| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    if !encoded.len().is_multiple_of(4) {
        return None;
    }
    let digits = encoded.trim_end_matches('=');
    if encoded.len() - digits.len() > 2 {
        return None;
    }
    let mut decoded = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.as_bytes().chunks(4) {
        let mut bits = 0u32;
        for &digit in group {
            bits = bits << 6 | u32::from(sextet(digit)?);
        }
        bits <<= 6 * (4 - group.len());
        let [_, bytes @ ..] = bits.to_be_bytes();
        decoded.extend_from_slice(&bytes[..group.len() - 1]);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_the_tool_are_read() {
        let cases = [
            (r#"{"event":"listening","address":"unix:/tmp/x/in.sock"}"#, Event::Listening),
            (r#"{"event":"watching","address":"dir:/tmp/x/sockets"}"#, Event::Watching),
            (
                r#"{"event":"joined","producer":1,"address":"unix:/a","via":"listen","pid":123,"uid":0,"gid":0}"#,
                Event::Joined { producer: 1, address: "unix:/a".into(), via: Via::Listen, pid: Some(123) },
            ),
            (
                r#"{"event":"joined","producer":2,"address":"unix:/b","via":"dir","pid":null}"#,
                Event::Joined { producer: 2, address: "unix:/b".into(), via: Via::Dir, pid: None },
            ),
            (
                r#"{"event":"message","producer":1,"text":"a\u0000\"b"}"#,
                Event::Message { producer: 1, payload: b"a\0\"b".to_vec() },
            ),
            (
                r#"{"event":"message","producer":1,"base64":"//79"}"#,
                Event::Message { producer: 1, payload: vec![0xff, 0xfe, 0xfd] },
            ),
            (
                r#"{"event":"left","producer":1,"received":10,"delivered":9,"truncated":1,"lost":1,"bytes":12,"reason":"reset"}"#,
                Event::Left {
                    producer: 1,
                    counts: Counts { received: 10, delivered: 9, truncated: 1, lost: 1, bytes: 12 },
                    reason: "reset".into(),
                },
            ),
            (
                r#"{"event":"report","producers":5,"received":1,"delivered":1,"truncated":0,"lost":0,"bytes":9,"seconds":1.2,"reason":"signal"}"#,
                Event::Report {
                    producers: 5,
                    counts: Counts { received: 1, delivered: 1, bytes: 9, ..Counts::default() },
                },
            ),
            (r#"{"event":"weather"}"#, Event::Other("weather".into())),
        ];
        for (line, event) in cases {
            assert_eq!(Event::parse(line).unwrap(), event, "{line}");
        }
    }

    #[test]
    fn a_line_that_breaks_the_contract_is_an_error() {
        for line in [
            "",
            "[]",
            "{}",
            r#"{"event":"joined","producer":1,"address":"unix:/a","via":"post"}"#,
            r#"{"event":"message","producer":1}"#,
            r#"{"event":"message","producer":-1,"text":""}"#,
            r#"{"event":"message","producer":1,"base64":"***"}"#,
            r#"{"event":"left","producer":1,"reason":"closed"}"#,
        ] {
            assert!(Event::parse(line).is_err(), "accepted {line:?}");
        }
    }

    #[test]
    fn base64_is_decoded_as_the_rfc_says() {
        let vectors =
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")];
        for (encoded, decoded) in vectors {
            assert_eq!(base64(encoded).as_deref(), Some(decoded.as_bytes()), "{encoded}");
        }
        for broken in ["Zg", "Zg=", "Z===", "====", "Zm=v", "Zm9\n", "Zm-_"] {
            assert_eq!(base64(broken), None, "{broken:?}");
        }
    }
}
