//! The checkers of the laws find what they are for: each of these framings breaks one law.
#![cfg(feature = "proptest")]

use frame_codec::{
    ByteOrder, DecodeError, Delimited, EncodeError, Envelope, Framing, LengthPrefixed, Netstring, Overlong, Oversize,
    Oversized, Raw, Scan, UntilEof, Varint,
    testing::{self, Verdict},
};
use proptest::test_runner::TestCaseError;

/// Two bytes of length before each payload.
const PLAIN: LengthPrefixed = LengthPrefixed::new(2, ByteOrder::BigEndian);

/// What is wrong with a framing that is otherwise [`PLAIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// The last byte of each payload is lost.
    Shortens,
    /// Frames that arrive together are taken for one.
    Merges,
    /// A frame is complete when its head is.
    Hurries,
    /// A frame ends behind the bytes that have arrived.
    Overtakes,
    /// A frame begins behind its end.
    Inverts,
    /// The limit is not checked.
    Unlimited,
    /// A frame takes no bytes.
    Stands,
    /// No more bytes are wanted than are there.
    WantsNothing,
    /// More bytes are wanted than the frame has.
    WantsTooMuch,
    /// More bytes were searched than are there.
    SearchesTooFar,
    /// An error that only the end of the stream may give.
    Truncates,
    /// With a hint the answer is another.
    Misled,
    /// A frame that is too large cannot be skipped.
    CannotSkip,
    /// A frame that is too large is said to be one byte shorter.
    SkipsShort,
}

#[derive(Debug)]
struct Planted(Bug);

impl Framing for Planted {
    fn scan(&self, unread: &[u8], scanned: usize, max: usize) -> Result<Scan, DecodeError> {
        let max = if self.0 == Bug::Unlimited { usize::MAX } else { max };
        let have = unread.len();
        let found = PLAIN.scan(unread, scanned, max)?;
        Ok(match (self.0, found) {
            (Bug::Shortens, Scan::Frame { payload, end }) if !payload.is_empty() => {
                Scan::Frame { payload: payload.start..payload.end - 1, end }
            }
            (Bug::Merges, Scan::Frame { payload, .. }) if have <= max => {
                Scan::Frame { payload: payload.start..have, end: have }
            }
            (Bug::Hurries, Scan::More { .. }) if have >= 2 => Scan::Frame { payload: 2..have, end: have },
            (Bug::Overtakes, Scan::Frame { payload, end }) => Scan::Frame { payload, end: end + 1 },
            (Bug::Inverts, Scan::Frame { payload, end }) => Scan::Frame { payload: payload.start..end + 1, end },
            (Bug::Stands, Scan::Frame { .. }) => Scan::Frame { payload: 0..0, end: 0 },
            (Bug::WantsNothing, Scan::More { scanned, .. }) => Scan::More { at_least: have, scanned },
            (Bug::WantsTooMuch, Scan::More { at_least, scanned }) if have >= 2 => {
                Scan::More { at_least: at_least + 1, scanned }
            }
            (Bug::SearchesTooFar, Scan::More { at_least, .. }) => Scan::More { at_least, scanned: have + 1 },
            (Bug::Truncates, Scan::More { at_least, .. }) => return Err(DecodeError::Truncated { have, at_least }),
            (Bug::Misled, Scan::More { at_least, .. }) if scanned == 0 => Scan::More { at_least, scanned: have },
            (Bug::Misled, Scan::Frame { payload, end }) if scanned > 0 => {
                Scan::Frame { payload: payload.start..payload.start, end }
            }
            (_, found) => found,
        })
    }

    fn oversized(&self, unread: &[u8]) -> Result<Oversized, DecodeError> {
        let found = PLAIN.oversized(unread)?;
        Ok(match (self.0, found) {
            (Bug::CannotSkip, _) => Oversized::Unknown,
            (Bug::SkipsShort, Oversized::Declared { start, len, tail }) => {
                Oversized::Declared { start, len: len - 1, tail }
            }
            (_, found) => found,
        })
    }

    fn envelope(&self, payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        let head = PLAIN.envelope(payload)?.head;
        Ok(Envelope { head, tail: &[] })
    }
}

const WIRE: &[u8] = b"\0\x05hello\0\x03abc\0\0\0\x05again";

type Law = fn(&Planted) -> Verdict;

fn payloads() -> Vec<Vec<u8>> {
    [&b"hello"[..], b"abc", b"", b"again"].map(<[u8]>::to_vec).into()
}

const SPLITS: Law = |framing| testing::any_split_gives_the_same_frames(framing, &payloads(), &[1]);
const GARBAGE: Law = |framing| testing::any_split_of_garbage_ends_the_same(framing, 4, WIRE, &[3, 1]);
const OVERSIZE: Law = |framing| testing::frames_over_the_limit_are_passed_over(framing, 4, &payloads(), &[1]);
const PREFIX: Law = |framing| testing::every_strict_prefix_wants_more(framing, b"hello");
const WITHIN: Law = |framing| testing::no_input_panics(framing, WIRE, 0, 5);
const LIMIT: Law = |framing| testing::no_input_panics(framing, WIRE, 0, 4);
const SCANS: Law = |framing| testing::scans_are_bounded(framing, 5, WIRE);
const MEMORY: Law = |framing| testing::memory_follows_arrival(framing, 5, WIRE, &[2]);
const ACCEPTED: Law = |framing| testing::what_is_accepted_would_be_written(framing, 5, WIRE);

#[test]
fn a_framing_without_bugs_keeps_all_laws() {
    for law in [SPLITS, GARBAGE, OVERSIZE, PREFIX, WITHIN, LIMIT, SCANS, MEMORY, ACCEPTED] {
        law(&Planted(Bug::None)).expect("it is kept");
    }
}

#[test]
fn each_bug_breaks_the_laws_that_forbid_it() {
    for (bug, law) in [
        (Bug::Shortens, SPLITS),
        (Bug::Shortens, ACCEPTED),
        (Bug::Merges, SPLITS),
        (Bug::Merges, GARBAGE),
        (Bug::Hurries, PREFIX),
        (Bug::Hurries, SPLITS),
        (Bug::Overtakes, WITHIN),
        (Bug::Inverts, WITHIN),
        (Bug::Unlimited, LIMIT),
        (Bug::Stands, WITHIN),
        (Bug::WantsNothing, PREFIX),
        (Bug::WantsNothing, WITHIN),
        (Bug::WantsTooMuch, PREFIX),
        (Bug::SearchesTooFar, PREFIX),
        (Bug::SearchesTooFar, WITHIN),
        (Bug::Truncates, WITHIN),
        (Bug::Misled, SCANS),
        (Bug::CannotSkip, OVERSIZE),
        (Bug::SkipsShort, OVERSIZE),
    ] {
        let verdict = law(&Planted(bug));
        assert!(matches!(verdict, Err(TestCaseError::Fail(_))), "{bug:?}: {verdict:?}");
    }
}

/// Searches everything again with each byte.
#[derive(Debug)]
struct Forgetful;

impl Framing for Forgetful {
    fn scan(&self, unread: &[u8], _scanned: usize, max: usize) -> Result<Scan, DecodeError> {
        Ok(match Delimited::lines().scan(unread, 0, max)? {
            Scan::More { at_least, .. } => Scan::More { at_least, scanned: 0 },
            found => found,
        })
    }

    fn envelope(&self, _payload: &[u8]) -> Result<Envelope<'_>, EncodeError> {
        Ok(Envelope { tail: b"\n", ..Envelope::NONE })
    }
}

#[test]
fn bytes_that_are_searched_again_and_again_are_noticed() {
    let line = [&vec![b'x'; 2000][..], b"\n"].concat();
    assert!(testing::scans_are_bounded(&Delimited::lines(), 4000, &line).is_ok());
    assert!(matches!(testing::scans_are_bounded(&Forgetful, 4000, &line), Err(TestCaseError::Fail(_))));
}

#[test]
fn a_second_encoding_of_a_message_is_noticed() {
    // Two bytes for a length that fits into one.
    let overlong = [0x85, 0x00, b'h', b'e', b'l', b'l', b'o'];
    let lenient = Varint::new().overlong(Overlong::Accept);
    assert!(matches!(testing::what_is_accepted_would_be_written(&lenient, 10, &overlong), Err(TestCaseError::Fail(_))));
}

#[test]
fn a_reading_counts_what_was_left_out_where_it_was_left_out() {
    let limits = frame_codec::Limits::default().with_max_frame(3).with_oversize(Oversize::Skip);
    for cuts in [&[][..], &[1], &[0, 4], &[0]] {
        let reading = testing::read(&Delimited::lines(), limits, b"long1\nlong2\nabc\nlong3\nlong4\nde\nf", cuts);
        assert_eq!(reading.frames, [&b"abc"[..], b"de", b"f"]);
        assert_eq!((reading.skipped, reading.shortened), (vec![(0, 2), (1, 2)], 0));
        assert_eq!((reading.unterminated, reading.truncated, reading.error), (true, 0, None));
    }
    let reading = testing::read(&UntilEof, frame_codec::Limits::default(), b"all of it", &[2]);
    assert_eq!((reading.frames, reading.unterminated), (vec![b"all of it".to_vec()], false));
    let reading = testing::read(&PLAIN, limits.with_oversize(Oversize::Shorten), WIRE, &[4]);
    assert_eq!((reading.frames.len(), reading.shortened, reading.truncated), (4, 2, 0));
    // After an error, what was not fed is left over, too.
    let disconnect = limits.with_oversize(Oversize::Disconnect);
    let reading = testing::read(&PLAIN, disconnect, WIRE, &[6]);
    assert_eq!((reading.frames.len(), reading.truncated), (0, WIRE.len()));
    assert!(matches!(reading.error, Some(DecodeError::FrameTooLarge { len: 5, max: 3 })));
}

#[test]
fn a_fuzz_target_panics_when_a_law_is_broken() {
    let data = |choice: u8| [&[choice, 0, 0][..], WIRE].concat();
    let panics = |check: fn(&Planted, &[u8]), bug, choice| {
        std::panic::catch_unwind(|| check(&Planted(bug), &data(choice)))
            .err()
            .map(|panic| *panic.downcast::<String>().expect("text"))
    };
    for check in [testing::hostile as fn(&Planted, &[u8]), testing::strict] {
        assert_eq!(panics(check, Bug::None, 9), None);
        let found = panics(check, Bug::Unlimited, 1).expect("a law is broken");
        // The limit is the square of the first byte, and one.
        assert!(
            found.contains("framing Planted(Unlimited), limit 2, cuts [1, 1, 1], bytes \\x00\\x05hello"),
            "{found}"
        );
    }
    assert_eq!(panics(testing::hostile, Bug::Shortens, 9), None, "each message may have another encoding");
    assert!(panics(testing::strict, Bug::Shortens, 9).is_some());
    // Whatever the input is too short to choose is chosen for it.
    testing::strict(&Netstring, b"");
    testing::hostile(&Raw, &[255, 255]);
}
