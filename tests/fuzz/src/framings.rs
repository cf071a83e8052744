//! Which framing an input is for: its first bytes choose among the choices the framing has.
//!
//! Included by the fuzz targets and by the test that replays their corpora without a fuzzer.

use frame_codec::{
    ByteOrder, Delimited, Fixed, LengthPrefixed, Netstring, OctetCount, Overlong, Raw, Syslog, Unterminated, UntilEof,
    Varint, Whole, testing,
};

/// What a target does to one input.
pub type Check = fn(&[u8]);

/// The fuzz targets by name.
pub const TARGETS: [(&str, Check); 8] = [
    ("length_prefixed", length_prefixed),
    ("varint", varint),
    ("delimited", delimited),
    ("octet_count", octet_count),
    ("netstring", netstring),
    ("syslog", syslog),
    ("fixed", fixed),
    ("unframed", unframed),
];

fn length_prefixed(data: &[u8]) {
    let Some(([choice, offset, adjustment], data)) = data.split_first_chunk() else { return };
    let order = if choice & 8 == 0 { ByteOrder::BigEndian } else { ByteOrder::LittleEndian };
    let mut framing = LengthPrefixed::new(choice % 8 + 1, order).adjusted(i32::from(*adjustment as i8));
    if choice & 16 != 0 {
        framing = framing.inclusive();
    }
    if choice & 32 != 0 {
        framing = framing.at(u16::from(*offset));
    }
    testing::strict(&framing, data);
}

fn varint(data: &[u8]) {
    testing::strict(&Varint::new(), data);
    testing::hostile(&Varint::new().overlong(Overlong::Accept), data);
}

fn delimited(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let len = usize::from(choice % 4).min(data.len());
    let (delimiter, data) = data.split_at(len);
    let delimiter = if delimiter.is_empty() { b"\n" } else { delimiter };
    let mut framing = Delimited::by_string(delimiter);
    if choice & 8 != 0 {
        framing = framing.unterminated(Unterminated::Truncate);
    }
    if choice & 16 != 0 {
        testing::hostile(&framing.optional_cr(), data);
    } else {
        testing::strict(&framing, data);
    }
}

fn octet_count(data: &[u8]) {
    testing::strict(&OctetCount, data);
}

fn netstring(data: &[u8]) {
    testing::strict(&Netstring, data);
}

fn syslog(data: &[u8]) {
    testing::hostile(&Syslog, data);
}

fn fixed(data: &[u8]) {
    let Some((len, data)) = data.split_first() else { return };
    testing::strict(&Fixed::new(usize::from(*len) + 1), data);
}

/// Framings without boundaries of their own: how the bytes are cut up does matter for two of them.
fn unframed(data: &[u8]) {
    testing::hostile(&UntilEof, data);
    for max in [1, 7, usize::MAX] {
        let verdicts = [testing::no_input_panics(&Raw, data, 0, max), testing::no_input_panics(&Whole, data, 0, max)];
        for verdict in verdicts {
            verdict.unwrap_or_else(|broken| panic!("{broken}"));
        }
    }
    let read = testing::read(&Raw, frame_codec::Limits::default(), data, &[3, 1, 20]);
    assert_eq!(read.frames.concat(), data, "bytes are lost or doubled");
}
