//! The names of framings on the command line.

use std::{ffi::OsStr, sync::Arc};

use clap::{
    Arg, Command, Error,
    builder::{PossibleValue, TypedValueParser},
};
use frame_codec::{
    ByteOrder, Delimited, Fixed, Framing, LengthPrefixed, Netstring, OctetCount, Raw, Syslog, Unterminated, UntilEof,
    Varint,
};

/// A framing of the library, as `--framing` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FramingName {
    /// Each line is a message. The last one need not be terminated.
    Lines,
    /// The same, but an unterminated last line is truncated.
    LinesStrict,
    /// CR and LF end each message. The last one need not be terminated.
    Crlf,
    /// A NUL byte ends each message. The last one need not be terminated.
    Nul,
    /// The length in decimal digits, a space, then the message: syslog over streams (RFC 6587).
    OctetCount,
    /// Octet counts, newlines and NUL bytes, mixed on one connection.
    Syslog,
    /// The length in decimal digits, a colon, the message, a comma.
    Netstring,
    /// A length in the format of Protocol Buffers, then the message.
    Varint,
    /// A length of this many bytes, then the message.
    Length { width: u8, order: ByteOrder, counts_itself: bool },
    /// Every message has this many bytes, with nothing in between.
    Fixed(usize),
    /// Bytes that arrive together are a message.
    Raw,
    /// Everything on one connection is one message.
    UntilEof,
}

/// How standard input is divided into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Division {
    /// At each newline.
    Lines,
    /// At each NUL byte.
    Nul,
    /// After every N bytes.
    Fixed(usize),
    /// Not at all: the bytes are sent unchanged.
    None,
}

/// The framings with fixed names. Lengths and `fixed:N` are parsed.
const NAMES: &[(&str, FramingName, &str)] = &[
    ("lines", FramingName::Lines, "each line is a message; the last one need not be terminated"),
    (
        "lines-strict",
        FramingName::LinesStrict,
        "each line is a message; a last one that is not terminated is truncated, not a message",
    ),
    ("crlf", FramingName::Crlf, "as lines, each with CR and LF behind it"),
    ("nul", FramingName::Nul, "a NUL byte ends each message; the last one need not be terminated"),
    (
        "octet-count",
        FramingName::OctetCount,
        "the length in digits, a space, the message: syslog over streams (RFC 6587)",
    ),
    (
        "syslog",
        FramingName::Syslog,
        "octet counts, newlines and NUL bytes on one connection, as they come; sent with counts",
    ),
    ("netstring", FramingName::Netstring, "the length in digits, a colon, the message, a comma"),
    ("varint", FramingName::Varint, "a length as in Protocol Buffers, then the message"),
    ("raw", FramingName::Raw, "whatever arrives together is a message"),
    ("until-eof", FramingName::UntilEof, "all that a connection carries until its end is one message"),
];

const FIXED: &str = "fixed:";
/// Appended to the name of a length that includes its own bytes.
const INCLUSIVE: &str = "-inclusive";

/// The names of lengths, and their meanings.
const LENGTHS: &[(&str, &str)] = &[
    ("u8", "a length of one byte, then the message"),
    (
        "u16be, u32be, u64be",
        "a length of 16, 32 or 64 bits, most significant byte first, then the message; or 24, 40, 48, 56",
    ),
    ("u16le, u32le, u64le", "the same, least significant byte first"),
    ("u8-inclusive, u16be-inclusive, ...", "the same, and the length counts its own bytes, too"),
];

impl FramingName {
    pub(crate) fn framing(self) -> Arc<dyn Framing + Send + Sync> {
        match self {
            Self::Lines => Arc::new(Delimited::lines()),
            Self::LinesStrict => Arc::new(Delimited::lines().unterminated(Unterminated::Truncate)),
            Self::Crlf => Arc::new(Delimited::crlf()),
            Self::Nul => Arc::new(Delimited::nul()),
            Self::OctetCount => Arc::new(OctetCount),
            Self::Syslog => Arc::new(Syslog),
            Self::Netstring => Arc::new(Netstring),
            Self::Varint => Arc::new(Varint::new()),
            Self::Length { width, order, counts_itself } => {
                let framing = LengthPrefixed::new(width, order);
                Arc::new(if counts_itself { framing.inclusive() } else { framing })
            }
            Self::Fixed(len) => Arc::new(Fixed::new(len)),
            Self::Raw => Arc::new(Raw),
            Self::UntilEof => Arc::new(UntilEof),
        }
    }

    /// How `send` divides standard input under this framing.
    pub(crate) const fn division(self) -> Division {
        match self {
            Self::Lines
            | Self::LinesStrict
            | Self::Crlf
            | Self::OctetCount
            | Self::Syslog
            | Self::Netstring
            | Self::Varint
            | Self::Length { .. } => Division::Lines,
            Self::Nul => Division::Nul,
            Self::Fixed(len) => Division::Fixed(len),
            // With these framings, the stream is the message.
            Self::Raw | Self::UntilEof => Division::None,
        }
    }
}

fn parse(text: &str) -> Result<FramingName, String> {
    if let Some((_, framing, _)) = NAMES.iter().find(|(name, ..)| *name == text) {
        return Ok(*framing);
    }
    if let Some(len) = text.strip_prefix(FIXED) {
        return match len.parse() {
            Ok(0) => Err("a message has at least one byte".to_owned()),
            Ok(len) => Ok(FramingName::Fixed(len)),
            Err(_) => Err("write fixed:N, N being the number of bytes of each message".to_owned()),
        };
    }
    if let Some(length) = parse_length(text) {
        return Ok(length);
    }
    let names: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).chain(["u8", "u16be", "u16le", "u32be"]).collect();
    Err(format!("there are {} and so on, and fixed:N", names.join(", ")))
}

/// `u8`, `u24le`, `u32be-inclusive`: a whole number of bytes, and their order if there are several.
fn parse_length(text: &str) -> Option<FramingName> {
    let (name, counts_itself) = text.strip_suffix(INCLUSIVE).map_or((text, false), |name| (name, true));
    let bits = name.strip_prefix('u')?;
    let (bits, order) = match (bits.strip_suffix("be"), bits.strip_suffix("le")) {
        (Some(bits), _) => (bits, ByteOrder::BigEndian),
        (_, Some(bits)) => (bits, ByteOrder::LittleEndian),
        (None, None) if bits == "8" => (bits, ByteOrder::BigEndian),
        (None, None) => return None,
    };
    let width = ["8", "16", "24", "32", "40", "48", "56", "64"].iter().position(|known| *known == bits)?;
    Some(FramingName::Length { width: u8::try_from(width).ok()? + 1, order, counts_itself })
}

/// Parses the names, and lists them for `--help`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramingParser;

impl TypedValueParser for FramingParser {
    type Value = FramingName;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<FramingName, Error> {
        TypedValueParser::parse_ref(&parse, command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let named = NAMES.iter().map(|(name, _, help)| PossibleValue::new(*name).help(*help));
        let lengths = LENGTHS.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
        let fixed = PossibleValue::new("fixed:N").help("every message has N bytes and nothing around it");
        Some(Box::new(named.chain(lengths).chain([fixed])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_parsed_and_carries_a_message_there_and_back() {
        let widths = (1..=8).flat_map(|bytes| ["be", "le"].map(|order| format!("u{}{order}", 8 * bytes)));
        let lengths: Vec<_> = widths.flat_map(|name| [format!("{name}{INCLUSIVE}"), name]).collect();
        let names = NAMES.iter().map(|(name, ..)| *name).chain(["fixed:7", "u8", "u8-inclusive"]);
        for name in names.chain(lengths.iter().map(String::as_str)) {
            let framing = parse(name).unwrap().framing();
            let limits = frame_codec::Limits::default();
            let mut encoder = frame_codec::Encoder::new(Arc::clone(&framing), limits);
            encoder.push(b"message").unwrap();
            let mut decoder = frame_codec::Decoder::new(framing, limits);
            decoder.feed(encoder.chunk());
            let batch = decoder.next_batch().unwrap().or_else(|| decoder.finish().unwrap()).expect(name);
            assert_eq!(batch.iter().collect::<Vec<_>>(), [b"message"], "{name}");
        }
    }

    #[test]
    fn lengths_have_the_width_and_order_that_their_name_says() {
        for (name, wire) in [
            ("u8", &b"\x02ab"[..]),
            ("u16be", b"\0\x02ab"),
            ("u16le", b"\x02\0ab"),
            ("u32be", b"\0\0\0\x02ab"),
            ("u32le", b"\x02\0\0\0ab"),
            ("u64be", b"\0\0\0\0\0\0\0\x02ab"),
            ("u64le", b"\x02\0\0\0\0\0\0\0ab"),
            ("u24be", b"\0\0\x02ab"),
            ("u24le", b"\x02\0\0ab"),
            ("u8-inclusive", b"\x03ab"),
            ("u32be-inclusive", b"\0\0\0\x06ab"),
            ("u16le-inclusive", b"\x04\0ab"),
            ("crlf", b"ab\r\n"),
            ("varint", b"\x02ab"),
            ("netstring", b"2:ab,"),
            ("octet-count", b"2 ab"),
            ("lines", b"ab\n"),
            ("lines-strict", b"ab\n"),
            ("syslog", b"2 ab"),
            ("nul", b"ab\0"),
            ("fixed:2", b"ab"),
            ("raw", b"ab"),
            ("until-eof", b"ab"),
        ] {
            let mut encoder = frame_codec::Encoder::new(parse(name).unwrap().framing(), frame_codec::Limits::default());
            encoder.push(b"ab").unwrap();
            assert_eq!(encoder.chunk(), wire, "{name}");
        }
    }

    #[test]
    fn what_is_no_framing_is_rejected_with_those_there_are() {
        let error = parse("csv").unwrap_err();
        assert!(error.contains("octet-count") && error.contains("fixed:N"), "{error}");
        for wrong in [
            "fixed:",
            "fixed:0",
            "fixed:x",
            "fixed:-1",
            "LINES",
            "",
            "u",
            "u0be",
            "u12be",
            "u16",
            "u72le",
            "ube",
            "u16be-exclusive",
            "u016be",
            "lines-inclusive",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
