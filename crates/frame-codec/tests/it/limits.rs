//! A payload may be as long as the limit, in every framing, and no byte longer; and every framing can write.

use frame_codec::{
    ByteOrder, DecodeError, Delimited, Fixed, Framing, LengthPrefixed, Limits, Netstring, OctetCount, Syslog, UntilEof,
    Varint,
    testing::{self, Reading},
};

/// A whole stream, read at once and byte by byte.
fn readings(framing: &dyn Framing, max: usize, wire: &[u8]) -> [Reading; 2] {
    let limits = Limits::default().with_max_frame(max);
    [&[][..], &[1]].map(|cuts| testing::read(&framing, limits, wire, cuts))
}

#[test]
fn a_payload_may_be_as_long_as_the_limit() {
    let framings: Vec<(Box<dyn Framing>, &[u8])> = vec![
        (Box::new(LengthPrefixed::u32_be()), b"\0\0\0\x05hello"),
        (Box::new(LengthPrefixed::new(2, ByteOrder::LittleEndian).inclusive()), b"\x07\0hello"),
        (Box::new(Varint::new()), b"\x05hello"),
        (Box::new(Delimited::lines()), b"hello\n"),
        (Box::new(Delimited::lines().optional_cr()), b"hello\r\n"),
        (Box::new(Delimited::lines()), b"hello"),
        (Box::new(Delimited::crlf()), b"hello\r\n"),
        (Box::new(Delimited::crlf()), b"hello"),
        (Box::new(Delimited::nul()), b"hello\0"),
        (Box::new(OctetCount), b"5 hello"),
        (Box::new(Netstring), b"5:hello,"),
        (Box::new(Fixed::new(5)), b"hello"),
        (Box::new(Syslog), b"5 hello"),
        (Box::new(Syslog), b"hello\n"),
        (Box::new(Syslog), b"hello\0"),
        (Box::new(Syslog), b"hello"),
        (Box::new(UntilEof), b"hello"),
    ];
    for (framing, wire) in framings {
        let written = testing::encode(&framing, &[b"hello".to_vec()]).expect("it can be written, too");
        assert_eq!(testing::read(&framing, Limits::default(), &written, &[]).frames, [b"hello"], "{framing:?}");
        for reading in readings(&*framing, 5, wire) {
            assert_eq!((reading.frames, reading.error), (vec![b"hello".to_vec()], None), "{framing:?}, {wire:?}");
        }
        for reading in readings(&*framing, 4, wire) {
            assert!(reading.frames.is_empty(), "{framing:?}, {wire:?}");
            assert!(
                matches!(reading.error, Some(DecodeError::FrameTooLarge { max: 4, .. })),
                "{framing:?}, {wire:?}: {reading:?}"
            );
        }
    }
}
