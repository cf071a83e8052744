//! The laws of framing, for every framing this crate has.

use std::sync::Arc;

use frame_codec::{
    ByteOrder, Decoder, Delimited, Encoder, Framing, LengthPrefixed, Limits, Raw, Unterminated, UntilEof, testing,
};
use proptest::prelude::*;

/// Framings that keep every payload apart from its neighbours.
fn separating() -> impl Strategy<Value = Arc<dyn Framing>> {
    let orders = prop_oneof![Just(ByteOrder::BigEndian), Just(ByteOrder::LittleEndian)];
    let prefixed = (3_u8..=8, orders, any::<bool>()).prop_map(|(width, order, inclusive)| {
        let framing = LengthPrefixed::new(width, order);
        Arc::new(if inclusive { framing.inclusive() } else { framing }) as Arc<dyn Framing>
    });
    let delimited = (any::<u8>(), any::<bool>()).prop_map(|(delimiter, cut)| {
        Arc::new(Delimited::by(delimiter).unterminated(if cut { Unterminated::Cut } else { Unterminated::Deliver }))
            as Arc<dyn Framing>
    });
    prop_oneof![prefixed, delimited]
}

/// All of them.
fn any_framing() -> impl Strategy<Value = Arc<dyn Framing>> {
    prop_oneof![
        4 => separating(),
        1 => Just(Arc::new(Raw) as Arc<dyn Framing>),
        1 => Just(Arc::new(UntilEof) as Arc<dyn Framing>),
    ]
}

/// Leaves out what the framing rightly refuses, so that no case is wasted.
fn acceptable(framing: &dyn Framing, payloads: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    payloads.into_iter().filter(|payload| framing.envelope(payload).is_ok()).collect()
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same_frames(
        framing in separating(), payloads in testing::payloads(), cuts in testing::cuts(),
    ) {
        let payloads = acceptable(&framing, payloads);
        testing::any_split_gives_the_same_frames(&framing, &payloads, &cuts)?;
    }

    #[test]
    fn any_split_of_garbage_ends_the_same_way_and_never_panics(
        framing in separating(), max_frame in 1_usize..300, bytes in testing::garbage(), cuts in testing::cuts(),
    ) {
        testing::any_split_of_garbage_ends_the_same(&framing, max_frame, &bytes, &cuts)?;
    }

    #[test]
    fn every_strict_prefix_of_a_frame_wants_more(framing in separating(), payload in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assume!(framing.envelope(&payload).is_ok());
        testing::every_strict_prefix_wants_more(&framing, &payload)?;
    }

    #[test]
    fn whatever_arrived_is_whole_under_raw_and_one_message_until_eof(
        bytes in prop::collection::vec(any::<u8>(), 0..5000), cuts in testing::cuts(),
    ) {
        let raw = testing::read(&Raw, Limits::default(), &bytes, &cuts);
        prop_assert_eq!(raw.frames.concat(), &bytes[..]);
        let message = testing::read(&UntilEof, Limits::default(), &bytes, &cuts);
        let expected: Vec<_> = (!bytes.is_empty()).then_some(bytes).into_iter().collect();
        prop_assert_eq!(message.frames, expected);
    }

    #[test]
    fn no_writer_however_stingy_changes_what_is_written(
        framing in separating(), payloads in testing::payloads(), steps in testing::cuts(), shared in any::<bool>(),
    ) {
        let payloads = acceptable(&framing, payloads);
        let mut encoder = Encoder::new(&framing, Limits::default());
        for payload in &payloads {
            if shared { encoder.push_shared(payload.clone().into())? } else { encoder.push(payload)? }
        }
        let mut wire = Vec::new();
        for step in steps.iter().cycle() {
            if !encoder.has_pending() { break }
            let len = encoder.chunk().len().min(*step);
            wire.extend_from_slice(&encoder.chunk()[..len]);
            encoder.consume(len);
        }
        prop_assert_eq!(encoder.written().frames, payloads.len() as u64);
        prop_assert_eq!(wire, testing::encode(&framing, &payloads)?);
    }

    #[test]
    fn what_is_pushed_between_two_writes_comes_behind_what_waits(
        framing in separating(), payloads in testing::payloads(), steps in testing::cuts(),
        shared in prop::collection::vec(any::<bool>(), 12),
    ) {
        let payloads = acceptable(&framing, payloads);
        let mut encoder = Encoder::new(&framing, Limits::default());
        let mut wire = Vec::new();
        for ((payload, step), shared) in payloads.iter().zip(steps.iter().cycle()).zip(shared) {
            if shared { encoder.push_shared(payload.clone().into())? } else { encoder.push(payload)? }
            let len = encoder.chunk().len().min(*step);
            wire.extend_from_slice(&encoder.chunk()[..len]);
            encoder.consume(len);
        }
        while encoder.has_pending() {
            let len = encoder.chunk().len();
            wire.extend_from_slice(encoder.chunk());
            encoder.consume(len);
        }
        prop_assert_eq!(encoder.written().frames, payloads.len() as u64);
        prop_assert_eq!(wire, testing::encode(&framing, &payloads)?);
    }

    #[test]
    fn written_and_unsent_frames_are_together_what_was_pushed(
        framing in any_framing(), payloads in testing::payloads(), written in 0_usize..200,
    ) {
        let payloads: Vec<_> = acceptable(&framing, payloads).into_iter().filter(|payload| !payload.is_empty()).collect();
        let mut encoder = Encoder::new(&framing, Limits::default());
        for payload in &payloads {
            encoder.push(payload)?;
        }
        encoder.consume(written.min(encoder.pending_bytes()));
        let (unsent, cut) = encoder.take_unsent();
        let gone = encoder.written().frames as usize + usize::from(cut > 0);
        prop_assert_eq!(unsent.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), &payloads[gone..]);
    }

    #[test]
    fn the_buffer_stays_within_twice_what_arrived_and_one_read(
        framing in any_framing(), bytes in testing::garbage(), cuts in testing::cuts(),
    ) {
        use bytes::BufMut as _;
        let mut decoder = Decoder::new(&framing, Limits::default());
        let mut rest = &bytes[..];
        for len in cuts.iter().cycle() {
            if rest.is_empty() || !matches!(decoder.next_batch(), Ok(None)) { break }
            let (piece, later) = rest.split_at((*len).min(rest.len()));
            let mut room = decoder.room();
            prop_assert!(room.remaining_mut() <= 2 * bytes.len() + (256 << 10));
            let piece = &piece[..piece.len().min(room.remaining_mut())];
            room.put_slice(piece);
            rest = later;
        }
    }
}
