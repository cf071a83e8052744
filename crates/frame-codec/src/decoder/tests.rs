//! Single cases; the laws are in `tests/prop.rs`.

use super::*;
use crate::{Delimited, LengthPrefixed, Raw, UntilEof};

#[test]
fn frames_before_a_broken_one_are_given_out_and_the_error_stays() {
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default().with_max_frame(4));
    decoder.feed(b"\0\0\0\x02ok\0\0\0\x05");
    assert_eq!(decoder.next_batch().unwrap().unwrap().get(0), Some(&b"ok"[..]));
    let error = DecodeError::FrameTooLarge { len: 5, max: 4 };
    assert_eq!(decoder.next_batch().unwrap_err(), error);
    decoder.feed(b"\0\0\0\x01x");
    assert_eq!(decoder.next_batch().unwrap_err(), error);
    assert_eq!(decoder.finish().unwrap_err(), error);
}

#[test]
fn a_length_that_is_only_claimed_reserves_nothing() {
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default().with_max_frame(1 << 30));
    decoder.feed(&[0x3f, 0xff, 0xff, 0xff]);
    assert!(decoder.next_batch().unwrap().is_none());
    let _ = decoder.room();
    assert!(decoder.buffer.capacity() < 64 << 10, "{} bytes for a 4-byte header", decoder.buffer.capacity());
}

#[test]
fn small_frames_that_are_kept_do_not_keep_the_read_buffer() {
    let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
    let mut kept = Vec::new();
    let mut buffers = std::collections::HashSet::new();
    for _ in 0..1000 {
        let mut room = decoder.room();
        buffers.insert(room.chunk_mut().as_mut_ptr() as usize >> 12);
        room.put_slice(b"x\n");
        drop(room);
        kept.push(decoder.next_batch().unwrap().unwrap());
    }
    assert!(buffers.len() <= 4, "{} pages were read into", buffers.len());
    assert!(kept.iter().all(|batch| batch.get(0) == Some(b"x")));
}

#[test]
fn a_flood_that_thins_to_a_trickle_leaves_no_more_than_the_block_in_use() {
    let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
    let line = b"a line of text\n";
    let mut recent = std::collections::VecDeque::new();
    let mut read = |most: usize| {
        let mut room = decoder.room();
        let len = most.min(room.remaining_mut());
        room.put_slice(&line.repeat(1 + len / line.len())[..len]);
        drop(room);
        // A consumer is usually a little behind.
        recent.push_back(decoder.next_batch().unwrap());
        if recent.len() > 2 {
            recent.pop_front();
        }
        decoder.memory_len()
    };
    let flooded = (0..50).map(|_| read(usize::MAX)).max().unwrap();
    assert!((128 << 10..=512 << 10).contains(&flooded), "{flooded} bytes");
    let trickled = (0..50).map(|_| read(1)).last().unwrap();
    assert!(trickled <= 128 << 10, "{trickled} bytes");
}

#[test]
fn an_unterminated_last_line_is_delivered_at_the_orderly_end() {
    let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
    decoder.feed(b"Hello from producer 1");
    assert!(decoder.next_batch().unwrap().is_none());
    assert_eq!(decoder.finish().unwrap().unwrap().get(0), Some(&b"Hello from producer 1"[..]));
    assert_eq!((decoder.finish().unwrap().is_none(), decoder.truncated_len()), (true, 0));
}

#[test]
fn the_end_is_no_reason_to_take_several_frames_for_one() {
    let finished = |decoder: &mut Decoder<_>| decoder.finish().map(|batch| batch.map(|batch| batch.detach()));
    let mut decoder = Decoder::new(Delimited::lines(), Limits::default().with_max_frame(5));
    decoder.feed(b"one\ntwo\nthree");
    assert_eq!(finished(&mut decoder).unwrap().unwrap().iter().collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(finished(&mut decoder).unwrap().unwrap().iter().collect::<Vec<_>>(), [b"three"]);
    assert!(finished(&mut decoder).unwrap().is_none());

    let mut decoder = Decoder::new(Delimited::lines(), Limits::default().with_max_frame(5));
    decoder.feed(b"one\nfourteen\n");
    assert_eq!(finished(&mut decoder).unwrap().unwrap().get(0), Some(&b"one"[..]));
    assert_eq!(finished(&mut decoder).unwrap_err(), DecodeError::FrameTooLarge { len: 8, max: 5 });
}

#[test]
fn an_incomplete_length_prefixed_frame_is_truncated_at_the_end() {
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
    decoder.feed(b"\0\0\0\x01a\0\0\0\x05ab");
    assert_eq!(decoder.next_batch().unwrap().unwrap().len(), 1);
    assert!(decoder.finish().unwrap().is_none());
    assert_eq!(decoder.truncated_len(), 6);
}

#[test]
fn a_silent_connection_carries_no_message() {
    let mut decoder = Decoder::new(UntilEof, Limits::default());
    assert!(decoder.finish().unwrap().is_none());
    assert_eq!(decoder.truncated_len(), 0);
}

#[test]
fn a_flood_of_empty_lines_comes_in_bounded_batches() {
    let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
    decoder.feed(&[b'\n'; 20_000]);
    let batches: Vec<_> = std::iter::from_fn(|| decoder.next_batch().unwrap()).collect();
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), 20_000);
    assert!(batches.iter().all(|batch| batch.len() <= 1200), "{batches:?}");
}

#[test]
fn a_block_has_an_end_however_much_is_fed_at_once() {
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
    let mut frame = vec![7; 4 + (1 << 20)];
    frame[..4].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    for _ in 0..70 {
        decoder.feed(&frame);
    }
    let sizes: Vec<_> = std::iter::from_fn(|| decoder.next_batch().unwrap()).map(|batch| batch.len()).collect();
    assert_eq!(sizes, [64, 6]);
}

#[test]
fn raw_gives_what_arrived_in_pieces_no_larger_than_the_limit() {
    let mut decoder = Decoder::new(Raw, Limits::default().with_max_frame(4));
    decoder.feed(b"abcdef");
    let batch = decoder.next_batch().unwrap().unwrap();
    assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"abcd"[..], b"ef"]);
}

#[test]
fn a_frame_of_which_nothing_has_come_is_not_counted_as_skipped() {
    // All frames are over the limit, so the framing calls the next one too large before it begins.
    for pieces in [&[8][..], &[3, 5], &[16], &[1]] {
        let limits = Limits::default().with_max_frame(4).with_oversize(crate::Oversize::Skip);
        let mut decoder = Decoder::new(crate::Fixed::new(8), limits);
        let (wire, mut skipped) = ([b'x'; 32], 0);
        let mut rest = &wire[..];
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            decoder.feed(now);
            rest = later;
            while let Some(batch) = decoder.next_batch().unwrap() {
                skipped += batch.skipped();
            }
            if rest.is_empty() {
                break;
            }
        }
        assert!(decoder.finish().unwrap().is_none());
        assert_eq!(skipped, 4, "in pieces of {pieces:?}");
    }
}

#[test]
fn a_frame_that_was_skipped_is_counted_although_an_error_follows_it_at_once() {
    let limits = Limits::default().with_max_frame(1).with_oversize(crate::Oversize::Skip);
    let mut decoder = Decoder::new(crate::OctetCount, limits);
    decoder.feed(b"5 hello?");
    let batch = decoder.next_batch().unwrap().expect("a batch that says what is missing");
    assert_eq!((batch.len(), batch.skipped()), (0, 1));
    for _ in 0..2 {
        assert!(matches!(decoder.next_batch(), Err(DecodeError::Malformed { .. })));
    }
}

/// Finds an error once, and then a frame in the same bytes.
#[derive(Debug, Default)]
struct Moody(std::cell::Cell<bool>);

const MOODY: DecodeError = DecodeError::Malformed { what: "changed its mind" };

impl Framing for Moody {
    fn scan(&self, unread: &[u8], _scanned: usize, _max: usize) -> Result<Scan, DecodeError> {
        if self.0.replace(true) {
            return Ok(Scan::Frame { payload: 0..unread.len(), end: unread.len() });
        }
        Err(MOODY)
    }

    fn envelope(&self, _payload: &[u8]) -> Result<crate::Envelope<'_>, crate::EncodeError> {
        Ok(crate::Envelope::NONE)
    }
}

#[test]
fn an_error_is_final_whatever_the_framing_says_later() {
    let mut decoder = Decoder::new(Moody::default(), Limits::default());
    decoder.feed(b"x");
    for _ in 0..2 {
        assert_eq!(decoder.next_batch().unwrap_err(), MOODY);
        assert_eq!(decoder.finish().unwrap_err(), MOODY);
        assert_eq!(decoder.finish_early().unwrap_err(), MOODY);
    }
}

#[test]
fn a_reader_that_stops_early_gets_the_rest_unless_only_the_end_completes_it() {
    let mut lines = Decoder::new(Delimited::lines(), Limits::default());
    lines.feed(b"whole\nrest");
    let mut found = Vec::new();
    while let Some(batch) = lines.finish_early().unwrap() {
        found.extend(batch.iter().map(<[u8]>::to_vec));
    }
    assert_eq!(found, [&b"whole"[..], b"rest"]);

    let mut message = Decoder::new(UntilEof, Limits::default());
    message.feed(b"half");
    assert_eq!(message.finish_early().unwrap().map(|batch| batch.len()), None);
    assert_eq!(message.truncated_len(), 4);
}

fn with_policy<F: Framing>(framing: F, max: usize, policy: crate::Oversize) -> Decoder<F> {
    Decoder::new(framing, Limits::default().with_max_frame(max).with_oversize(policy))
}

#[test]
fn a_frame_is_shortened_as_soon_as_its_beginning_has_arrived() {
    let mut decoder = with_policy(crate::Netstring, 2, crate::Oversize::Shorten);
    decoder.feed(b"5:h");
    assert!(decoder.next_batch().unwrap().is_none());
    decoder.feed(b"e");
    let batch = decoder.next_batch().unwrap().expect("two bytes of the payload are there");
    assert_eq!((batch.get(0), batch.shortened()), (Some(&b"he"[..]), 1));
}

#[test]
fn a_frame_is_skipped_as_soon_as_its_head_has_arrived() {
    let mut decoder = with_policy(crate::Netstring, 2, crate::Oversize::Skip);
    decoder.feed(b"5:");
    assert_eq!(decoder.next_batch().unwrap().map(|batch| batch.skipped()), Some(1));
    assert_eq!(decoder.truncated_len(), 0);
}

#[test]
fn the_terminator_of_a_frame_that_is_skipped_may_come_later() {
    let mut decoder = with_policy(crate::Netstring, 2, crate::Oversize::Skip);
    for piece in [&b"5:hello"[..], b",", b"2:ok,"] {
        decoder.feed(piece);
        while let Some(batch) = decoder.next_batch().expect("nothing is malformed") {
            assert!(batch.iter().all(|frame| frame == b"ok"));
        }
    }
    assert_eq!(decoder.truncated_len(), 0);
}

#[test]
fn the_end_of_a_frame_that_is_skipped_is_no_frame() {
    let crlf = Delimited::crlf();
    let mut decoder = with_policy(crlf, 2, crate::Oversize::Skip);
    // The last byte may begin the delimiter, so it is kept until more is known.
    decoder.feed(b"too long\r");
    let mut skipped = 0;
    while let Some(batch) = decoder.next_batch().unwrap() {
        assert_eq!(batch.len(), 0);
        skipped += batch.skipped();
    }
    assert!(decoder.finish().unwrap().is_none() && !decoder.is_unterminated());
    assert_eq!((skipped, decoder.truncated_len()), (1, 0));
}

#[test]
fn after_a_large_frame_there_is_room_for_another() {
    let len = 1 << 20;
    let mut decoder = Decoder::new(LengthPrefixed::u32_be(), Limits::default());
    decoder.feed(&[&u32::try_from(len).unwrap().to_be_bytes()[..], &vec![0; len]].concat());
    assert_eq!(decoder.next_batch().unwrap().map(|batch| batch.byte_len()), Some(len));
    drop(decoder.room());
    assert!(decoder.buffer.capacity() >= len, "{} bytes", decoder.buffer.capacity());
}

#[test]
fn a_frame_that_is_skipped_must_have_its_terminator() {
    for pieces in [&[&b"5:hello!"[..]][..], &[b"5:hello", b"!"]] {
        let mut decoder = with_policy(crate::Netstring, 2, crate::Oversize::Skip);
        let mut read = || -> Result<(), DecodeError> {
            for piece in pieces {
                decoder.feed(piece);
                while decoder.next_batch()?.is_some() {}
            }
            Ok(())
        };
        assert!(matches!(read(), Err(DecodeError::Malformed { .. })), "{pieces:?}");
    }
}
