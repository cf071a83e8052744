//! Strategies and law checkers for your own [`Framing`].
//!
//! Each checker states one law and returns a proptest verdict, so a property test of a new framing is five lines:
//!
//! ```
//! use frame_codec::{Delimited, testing};
//! use proptest::prelude::*;
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig::with_cases(16))]
//!     # #[allow(unused)]
//!     fn lines_keep_their_laws(payloads in testing::payloads(), cuts in testing::cuts()) {
//!         let payloads: Vec<_> = payloads.into_iter().filter(|p| !p.contains(&b'\n')).collect();
//!         testing::any_split_gives_the_same_frames(&Delimited::lines(), &payloads, &cuts)?;
//!     }
//! }
//! # lines_keep_their_laws();
//! ```
//!
//! | law | applies to |
//! |---|---|
//! | [`any_split_gives_the_same_frames`] | encoded frames, for framings that keep payloads apart |
//! | [`any_split_of_garbage_ends_the_same`] | any bytes, for the same framings |
//! | [`every_strict_prefix_wants_more`] | the same framings |
//! | [`no_input_panics`] | every framing |
//! | [`scans_are_bounded`] | framings that keep payloads apart |
//! | [`memory_follows_arrival`] | every framing |
//! | [`frames_over_the_limit_are_passed_over`] | framings that can skip a frame |
//! | [`what_is_accepted_would_be_written`] | framings with one encoding for each message |
//!
//! For a fuzz target you need one line: [`hostile`], or [`strict`] if the framing has one encoding for each message.

use bytes::BufMut as _;
use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};

use crate::{Batch, DecodeError, Decoder, EncodeError, Encoder, Framing, Limits, Oversize, Scan};

mod fuzz;

pub use fuzz::{hostile, strict};

/// The result of one property check.
pub type Verdict = Result<(), TestCaseError>;

/// Lists of payloads: many short ones, some empty, a few that take several reads.
pub fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let short = vec(any::<u8>(), 0..20);
    let long = (any::<u8>(), 0_usize..70_000).prop_map(|(byte, len)| vec![byte; len]);
    vec(prop_oneof![9 => short, 1 => long], 0..12)
}

/// Where to split a stream into pieces: a list of lengths, repeated while there are bytes.
pub fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![4 => 1_usize..8, 2 => 1_usize..200, 1 => 1_usize..40_000], 1..12)
}

/// Bytes that a hostile peer might choose: short, with many edge values of headers.
pub fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let edge = prop_oneof![
        Just(0_u8),
        Just(1),
        Just(b'\n'),
        Just(b','),
        Just(b':'),
        Just(b' '),
        Just(0x7f),
        Just(0x80),
        Just(0xff)
    ];
    vec(prop_oneof![3 => edge, 2 => b'0'..=b'9', 3 => any::<u8>()], 0..200)
}

/// The result of reading a whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The payloads of all frames, including the one that the normal end completes.
    pub frames: Vec<Vec<u8>>,
    /// Where frames over the limit were left out: behind how many frames, and how many.
    pub skipped: Vec<(usize, u32)>,
    /// Frames that are only the beginnings of longer ones.
    pub shortened: u32,
    /// Whether the end of the stream, and not a terminator, ended the last frame.
    pub unterminated: bool,
    /// Bytes left over.
    pub truncated: usize,
    /// The error that ended the reading, if one did.
    pub error: Option<DecodeError>,
}

/// Reads `wire` in pieces of the given lengths, and then its normal end.
pub fn read(framing: &impl Framing, limits: Limits, wire: &[u8], cuts: &[usize]) -> Reading {
    let mut decoder = Decoder::new(framing, limits);
    let (mut frames, mut skipped, mut shortened) = (Vec::new(), Vec::new(), 0);
    let mut note = |batch: Batch| {
        match skipped.last_mut() {
            _ if batch.skipped() == 0 => {}
            Some((behind, count)) if *behind == frames.len() => *count += batch.skipped(),
            _ => skipped.push((frames.len(), batch.skipped())),
        }
        shortened += batch.shortened();
        frames.extend(batch.iter().map(<[u8]>::to_vec));
    };
    let mut rest = wire;
    let mut lengths = cuts.iter().copied().filter(|len| *len > 0).cycle();
    let outcome = (|| {
        loop {
            while let Some(batch) = decoder.next_batch()? {
                note(batch);
            }
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
            decoder.feed(piece);
            rest = later;
        }
        while let Some(batch) = decoder.finish()? {
            note(batch);
        }
        Ok(())
    })();
    let error = outcome.err();
    // After an error, bytes that were not fed yet are unread as well.
    let truncated = decoder.truncated_len() + rest.len();
    Reading { frames, skipped, shortened, unterminated: decoder.is_unterminated(), truncated, error }
}

/// Encodes the payloads one after the other.
///
/// # Errors
///
/// The error for the first payload that the framing rejects.
pub fn encode(framing: &impl Framing, payloads: &[Vec<u8>]) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(framing, Limits::default());
    for payload in payloads {
        encoder.push(payload)?;
    }
    let mut wire = Vec::with_capacity(encoder.pending_bytes());
    while encoder.has_pending() {
        let chunk = encoder.chunk();
        let len = chunk.len();
        wire.extend_from_slice(chunk);
        encoder.consume(len);
    }
    Ok(wire)
}

/// Law: however the bytes are split, the same frames come out, and they are the payloads that went in.
///
/// # Errors
///
/// A counterexample.
pub fn any_split_gives_the_same_frames(framing: &impl Framing, payloads: &[Vec<u8>], cuts: &[usize]) -> Verdict {
    let wire = encode(framing, payloads).map_err(|error| TestCaseError::reject(error.to_string()))?;
    let whole = read(framing, Limits::default(), &wire, &[]);
    prop_assert_eq!(&whole.frames, payloads);
    prop_assert_eq!((whole.truncated, &whole.error), (0, &None));
    prop_assert_eq!(read(framing, Limits::default(), &wire, cuts), whole);
    Ok(())
}

/// Law: the same holds for bytes that were not encoded: any split of garbage is read in the same way, and never panics.
///
/// # Errors
///
/// A counterexample.
pub fn any_split_of_garbage_ends_the_same(
    framing: &impl Framing,
    max_frame: usize,
    bytes: &[u8],
    cuts: &[usize],
) -> Verdict {
    for policy in [Oversize::Disconnect, Oversize::Skip, Oversize::Shorten] {
        let limits = Limits::default().with_max_frame(max_frame).with_oversize(policy);
        let whole = read(framing, limits, bytes, &[]);
        let split = read(framing, limits, bytes, cuts);
        prop_assert_eq!(&split.frames, &whole.frames, "{:?}", policy);
        prop_assert_eq!(&split.skipped, &whole.skipped, "{:?}", policy);
        prop_assert_eq!((split.shortened, split.truncated), (whole.shortened, whole.truncated), "{:?}", policy);
        prop_assert_eq!(split.error.is_some(), whole.error.is_some(), "{:?}", policy);
        prop_assert!(whole.frames.iter().all(|frame| frame.len() <= max_frame), "a frame over the limit got through");
    }
    Ok(())
}

/// Law, for any split: with [`Oversize::Skip`] exactly the frames within the limit come out, and each one that is left
/// out is counted at its place; with [`Oversize::Shorten`] each frame over the limit comes out as its beginning.
///
/// Not for framings that cannot skip a frame, such as [`Raw`](crate::Raw) and [`Whole`](crate::Whole).
///
/// # Errors
///
/// A counterexample.
pub fn frames_over_the_limit_are_passed_over(
    framing: &impl Framing,
    max_frame: usize,
    payloads: &[Vec<u8>],
    cuts: &[usize],
) -> Verdict {
    let wire = encode(framing, payloads).map_err(|error| TestCaseError::reject(error.to_string()))?;
    let limits = Limits::default().with_max_frame(max_frame);
    let over = payloads.iter().filter(|payload| payload.len() > max_frame).count();
    let (mut within, mut skipped) = (Vec::new(), Vec::<(usize, u32)>::new());
    for payload in payloads {
        match skipped.last_mut() {
            _ if payload.len() <= max_frame => within.push(payload.clone()),
            Some((behind, count)) if *behind == within.len() => *count += 1,
            _ => skipped.push((within.len(), 1)),
        }
    }
    let reading = read(framing, limits.with_oversize(Oversize::Skip), &wire, cuts);
    prop_assert_eq!(&reading.frames, &within);
    prop_assert_eq!(&reading.skipped, &skipped);
    prop_assert_eq!((reading.shortened, reading.truncated, &reading.error), (0, 0, &None));
    let beginnings: Vec<_> = payloads.iter().map(|payload| payload[..payload.len().min(max_frame)].to_vec()).collect();
    let reading = read(framing, limits.with_oversize(Oversize::Shorten), &wire, cuts);
    prop_assert_eq!(&reading.frames, &beginnings);
    prop_assert_eq!((reading.skipped.len(), reading.shortened as usize), (0, over));
    prop_assert_eq!((reading.truncated, &reading.error), (0, &None));
    Ok(())
}

/// Law: every strict prefix of a frame is `More`, with a hint beyond its end.
///
/// Not for framings without boundaries, such as [`Raw`](crate::Raw) and [`Whole`](crate::Whole).
///
/// # Errors
///
/// A counterexample.
pub fn every_strict_prefix_wants_more(framing: &impl Framing, payload: &[u8]) -> Verdict {
    let wire = encode(framing, &[payload.to_vec()]).map_err(|error| TestCaseError::reject(error.to_string()))?;
    let step = (wire.len() / 64).max(1);
    for len in (0..wire.len()).step_by(step).chain(wire.len().checked_sub(1)) {
        match framing.scan(&wire[..len], 0, Limits::DEFAULT_MAX_FRAME) {
            Ok(Scan::More { at_least, scanned }) => {
                prop_assert!(at_least > len && at_least <= wire.len(), "{len} of {}: at least {at_least}", wire.len());
                prop_assert!(scanned <= len);
            }
            other => prop_assert!(false, "{len} of {} bytes gave {other:?}", wire.len()),
        }
    }
    Ok(())
}

/// Law: no bytes, hints or limits make the framing panic, and what it finds is within the bytes and the limit.
///
/// # Errors
///
/// A counterexample.
pub fn no_input_panics(framing: &impl Framing, bytes: &[u8], scanned: usize, max_payload: usize) -> Verdict {
    for len in 0..=bytes.len().min(64) {
        within(framing.scan(&bytes[..len], scanned, max_payload), len, max_payload)?;
        within(framing.at_eof(&bytes[..len], max_payload), len, max_payload)?;
    }
    within(framing.scan(bytes, scanned, max_payload), bytes.len(), max_payload)?;
    within(framing.at_eof(bytes, max_payload), bytes.len(), max_payload)?;
    let _ = framing.envelope(bytes);
    Ok(())
}

fn within(found: Result<Scan, DecodeError>, len: usize, max_payload: usize) -> Verdict {
    match found {
        Ok(Scan::Frame { payload, end }) => {
            prop_assert!(
                payload.start <= payload.end && payload.end <= end && end <= len,
                "{payload:?} of {len}, {end}"
            );
            prop_assert!(payload.len() <= max_payload, "{} bytes with a limit of {max_payload}", payload.len());
            prop_assert!(end > 0, "a frame without bytes is found forever");
        }
        Ok(Scan::More { at_least, scanned }) => {
            prop_assert!(at_least > len, "{len} bytes are there, and at least {at_least} wanted");
            prop_assert!(scanned <= len, "{scanned} bytes searched of {len}");
        }
        Err(error) => prop_assert!(
            !matches!(error, DecodeError::Truncated { .. }),
            "whether the end truncates a frame is for the decoder to say: {error}"
        ),
    }
    Ok(())
}

/// Law: if bytes arrive one by one, the number of scans of each byte is bounded, and the hints change no result.
///
/// # Errors
///
/// A counterexample.
pub fn scans_are_bounded(framing: &impl Framing, max_payload: usize, bytes: &[u8]) -> Verdict {
    // A header in text may be read again with each new byte of it.
    const PER_FRAME: usize = 512;

    let (mut begin, mut at_least, mut scanned) = (0, 1, 0);
    let (mut work, mut frames) = (0, 0);
    for len in 1..=bytes.len() {
        while len - begin >= at_least {
            let unread = &bytes[begin..len];
            let found = framing.scan(unread, scanned, max_payload);
            prop_assert_eq!(&found, &framing.scan(unread, 0, max_payload), "the hint {} changes the answer", scanned);
            work += unread.len() - scanned.min(unread.len());
            match found {
                Ok(Scan::Frame { end, .. }) => {
                    (begin, at_least, scanned) = (begin + end, 1, 0);
                    frames += 1;
                }
                Ok(Scan::More { at_least: more, scanned: seen }) => {
                    // A decoder drops what lies between frames.
                    let padding = framing.padding(unread).min(unread.len());
                    begin += padding;
                    (at_least, scanned) = (more.saturating_sub(padding).max(1), seen.saturating_sub(padding));
                }
                Err(_) => return Ok(()),
            }
        }
        let allowed = 8 * len + PER_FRAME * (frames + 1);
        prop_assert!(work <= allowed, "{work} bytes looked at of {len} that arrived, in {frames} frames");
    }
    Ok(())
}

/// Law: a decoder uses at most twice the memory of what has arrived, plus 16 KiB, whatever lengths are declared. While
/// nothing arrives, and at most 1 KiB of a frame has, it uses 1 KiB.
///
/// # Errors
///
/// A counterexample.
pub fn memory_follows_arrival(framing: &impl Framing, max_frame: usize, bytes: &[u8], cuts: &[usize]) -> Verdict {
    let mut decoder = Decoder::new(framing, Limits::default().with_max_frame(max_frame));
    let mut lengths = cuts.iter().copied().filter(|len| *len > 0).cycle();
    let mut arrived = 0;
    loop {
        loop {
            match decoder.next_batch() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
        let filled = {
            let mut room = decoder.room();
            let len = lengths.next().unwrap_or(usize::MAX).min(room.remaining_mut()).min(bytes.len() - arrived);
            room.put_slice(&bytes[arrived..arrived + len]);
            arrived += len;
            len
        };
        let memory = decoder.memory_len();
        prop_assert!(memory <= 2 * arrived + (16 << 10), "{memory} bytes of memory for {arrived} that arrived");
        if filled == 0 {
            decoder.release();
            let left = decoder.memory_len();
            // A frame that has begun keeps the buffer in which it grows.
            let most = if decoder.truncated_len() > 1 << 10 { memory } else { 1 << 10 };
            prop_assert!(left <= most, "{left} bytes kept of {arrived} while nothing comes");
            return Ok(());
        }
    }
}

/// Law: accepted bytes are exactly what would have been written: each message has one encoding.
///
/// Not for framings that are deliberately lenient, such as [`Overlong::Accept`](crate::Overlong::Accept).
///
/// # Errors
///
/// A counterexample.
pub fn what_is_accepted_would_be_written(framing: &impl Framing, max_payload: usize, bytes: &[u8]) -> Verdict {
    let mut rest = bytes;
    while let Ok(Scan::Frame { payload, end }) = framing.scan(rest, 0, max_payload) {
        let (frame, later) = rest.split_at(end);
        let written = encode(framing, &[frame[payload].to_vec()]);
        prop_assert_eq!(written.as_deref(), Ok(frame), "{} was accepted", frame.escape_ascii());
        rest = later;
    }
    Ok(())
}
