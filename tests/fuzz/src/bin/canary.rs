//! A framing with a planted mistake, of a kind that real ones had: a fuzzer that does not find it in time would not find
//! others either.
#![no_main]

use frame_codec::{DecodeError, Delimited, EncodeError, Envelope, Framing, Scan, testing};

/// Frames ended by `\r\n`, by someone who forgot that a read can end between the two.
#[derive(Debug)]
struct Forgetful(Delimited);

impl Framing for Forgetful {
    fn scan(&self, unread: &[u8], scanned: usize, max_payload: usize) -> Result<Scan, DecodeError> {
        let found = self.0.scan(unread, scanned, max_payload)?;
        Ok(match found {
            Scan::More { at_least, .. } => Scan::More { at_least, scanned: unread.len() },
            frame => frame,
        })
    }

    fn at_eof(&self, unread: &[u8], max_payload: usize) -> Result<Scan, DecodeError> {
        self.0.at_eof(unread, max_payload)
    }

    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        self.0.envelope(payload)
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| testing::hostile(&Forgetful(Delimited::crlf()), data));
