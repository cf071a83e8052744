//! Every framing that a stream can have.

use std::sync::Arc;

use frame_codec::{
    ByteOrder, Delimited, Fixed, Framing, LengthPrefixed, Netstring, OctetCount, Raw, Syslog, Unterminated, UntilEof,
    Varint,
};

pub(crate) type AnyFraming = Arc<dyn Framing + Send + Sync>;

/// What is known of a framing from outside.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) framing: AnyFraming,
}

impl Choice {
    /// Whether messages arrive as they were sent; otherwise only their bytes do, in some division.
    pub(crate) fn keeps_messages(&self) -> bool {
        self.name != "raw"
    }

    /// Whether a connection carries one message.
    pub(crate) fn is_one_message(&self) -> bool {
        self.name == "until-eof"
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Choice> {
    let choice = |name, framing| Choice { name, framing };
    vec![
        choice("lines", Arc::new(Delimited::lines()) as AnyFraming),
        choice("lines-strict", Arc::new(Delimited::lines().unterminated(Unterminated::Truncate))),
        choice("crlf", Arc::new(Delimited::crlf())),
        choice("optional-cr", Arc::new(Delimited::lines().optional_cr())),
        choice("nul", Arc::new(Delimited::nul())),
        choice("string", Arc::new(Delimited::by_string(b"<end>"))),
        choice("u16le", Arc::new(LengthPrefixed::new(2, ByteOrder::LittleEndian))),
        choice("u32be", Arc::new(LengthPrefixed::u32_be())),
        choice("varint", Arc::new(Varint::new())),
        choice("octet-count", Arc::new(OctetCount)),
        choice("syslog", Arc::new(Syslog)),
        choice("netstring", Arc::new(Netstring)),
        choice("fixed", Arc::new(Fixed::new(8))),
        choice("raw", Arc::new(Raw)),
        choice("until-eof", Arc::new(UntilEof)),
    ]
}

/// The one with this name.
pub(crate) fn named(name: &str) -> Choice {
    all().into_iter().find(|choice| choice.name == name).unwrap()
}
