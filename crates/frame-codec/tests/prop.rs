//! The laws of framing, for every framing this crate has.

use std::sync::Arc;

use bytes::BufMut as _;
use frame_codec::{
    ByteOrder, Decoder, Delimited, Encoder, Fixed, Framing, LengthPrefixed, Limits, Netstring, OctetCount, Overlong,
    Raw, Syslog, Unterminated, UntilEof, Varint, Whole, testing,
};
use proptest::prelude::*;

/// A framing, and whether it has one encoding for each message.
type Chosen = (Arc<dyn Framing>, bool);

fn strict(framing: impl Framing + 'static) -> Chosen {
    (Arc::new(framing), true)
}

/// Framings that keep every payload apart from its neighbours, each with all its choices.
fn chosen() -> impl Strategy<Value = Chosen> {
    let orders = prop_oneof![Just(ByteOrder::BigEndian), Just(ByteOrder::LittleEndian)];
    let prefixed = (3_u8..=8, orders, any::<bool>(), -3_i32..300).prop_map(|(width, order, inclusive, by)| {
        let framing = LengthPrefixed::new(width, order).adjusted(by);
        strict(if inclusive { framing.inclusive() } else { framing })
    });
    let delimited = (prop::collection::vec(any::<u8>(), 1..4), any::<bool>(), any::<bool>()).prop_map(
        |(delimiter, truncated, optional_cr)| {
            let framing = Delimited::by_string(&delimiter);
            let framing = framing.unterminated(if truncated { Unterminated::Truncate } else { Unterminated::Deliver });
            (Arc::new(if optional_cr { framing.optional_cr() } else { framing }) as Arc<dyn Framing>, !optional_cr)
        },
    );
    prop_oneof![
        3 => prefixed,
        1 => prop_oneof![Just(strict(LengthPrefixed::sozu())), Just(strict(LengthPrefixed::zookeeper()))],
        3 => delimited,
        1 => prop_oneof![Just(strict(Delimited::crlf())), Just(strict(Delimited::nul())), Just(strict(Delimited::lines()))],
        1 => Just(strict(Delimited::by_string(b"aa"))),
        1 => Just(strict(Varint::new())),
        1 => Just((Arc::new(Varint::new().overlong(Overlong::Accept)) as Arc<dyn Framing>, false)),
        1 => Just(strict(OctetCount)),
        1 => Just((Arc::new(Syslog) as Arc<dyn Framing>, false)),
        1 => Just(strict(Netstring)),
        1 => (1_usize..20).prop_map(|len| strict(Fixed::new(len))),
    ]
}

fn separating() -> impl Strategy<Value = Arc<dyn Framing>> {
    chosen().prop_map(|(framing, _)| framing)
}

/// All of them.
fn any_framing() -> impl Strategy<Value = Arc<dyn Framing>> {
    prop_oneof![
        6 => separating(),
        1 => Just(Arc::new(Raw) as Arc<dyn Framing>),
        1 => Just(Arc::new(Whole) as Arc<dyn Framing>),
        1 => Just(Arc::new(UntilEof) as Arc<dyn Framing>),
    ]
}

/// Messages of a protocol with a length field inside its header.
fn messages() -> impl Strategy<Value = (LengthPrefixed, Vec<Vec<u8>>)> {
    let orders = prop_oneof![Just(ByteOrder::BigEndian), Just(ByteOrder::LittleEndian)];
    let bodies = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8);
    (2_u8..=8, orders, 1_u16..20, any::<bool>(), bodies).prop_map(|(width, order, offset, inclusive, bodies)| {
        let framing = LengthPrefixed::new(width, order).at(offset);
        let framing = if inclusive { framing.inclusive() } else { framing };
        let messages = bodies.into_iter().map(|body| {
            let mut message = vec![0xaa; usize::from(offset) + usize::from(width)];
            message.extend(body);
            framing.fill_in(&mut message).expect("two bytes hold the length");
            message
        });
        (framing, messages.collect())
    })
}

/// Leaves out the payloads that the framing rightly rejects, so that no case is wasted.
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
    fn any_split_of_garbage_behind_messages_ends_the_same_way(
        framing in separating(), max_frame in 1_usize..300, payloads in testing::payloads(), garbage in testing::garbage(),
        cuts in testing::cuts(),
    ) {
        let mut wire = testing::encode(&framing, &acceptable(&framing, payloads))?;
        wire.extend(garbage);
        testing::any_split_of_garbage_ends_the_same(&framing, max_frame, &wire, &cuts)?;
    }

    #[test]
    fn frames_over_the_limit_are_left_out_or_shortened_and_the_others_come_through(
        framing in separating(), max_frame in 1_usize..100, payloads in testing::payloads(), cuts in testing::cuts(),
    ) {
        let payloads = acceptable(&framing, payloads);
        testing::frames_over_the_limit_are_passed_over(&framing, max_frame, &payloads, &cuts)?;
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
        let (unsent, truncated) = encoder.take_unsent();
        let gone = encoder.written().frames as usize + usize::from(truncated > 0);
        prop_assert_eq!(unsent.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), &payloads[gone..]);
    }

    #[test]
    fn messages_with_a_length_inside_come_out_whole_in_any_split((framing, messages) in messages(), cuts in testing::cuts()) {
        testing::any_split_gives_the_same_frames(&framing, &messages, &cuts)?;
        for message in &messages {
            testing::every_strict_prefix_wants_more(&framing, message)?;
        }
    }

    #[test]
    fn nothing_makes_a_framing_panic(
        framing in any_framing(), bytes in testing::garbage(),
        scanned in prop_oneof![0_usize..10, Just(usize::MAX)], max in prop_oneof![0_usize..300, Just(usize::MAX)],
    ) {
        testing::no_input_panics(&framing, &bytes, scanned, max)?;
    }

    #[test]
    fn no_byte_is_searched_again_and_again(
        framing in separating(), payloads in testing::payloads(), garbage in testing::garbage(), max in 1_usize..300,
    ) {
        testing::scans_are_bounded(&framing, max, &garbage)?;
        let payloads: Vec<_> = acceptable(&framing, payloads).into_iter().map(|mut long| { long.truncate(100); long }).collect();
        let payloads = acceptable(&framing, payloads);
        testing::scans_are_bounded(&framing, 500, &testing::encode(&framing, &payloads)?)?;
    }

    #[test]
    fn one_message_has_one_encoding((framing, strict) in chosen(), bytes in testing::garbage(), max in 1_usize..300) {
        prop_assume!(strict);
        testing::what_is_accepted_would_be_written(&framing, max, &bytes)?;
    }

    #[test]
    fn memory_follows_what_arrives(
        framing in any_framing(), payloads in testing::payloads(), garbage in testing::garbage(), cuts in testing::cuts(),
        max in prop_oneof![1_usize..300, Just(1 << 30)],
    ) {
        testing::memory_follows_arrival(&framing, max, &garbage, &cuts)?;
        let wire = testing::encode(&framing, &acceptable(&framing, payloads))?;
        testing::memory_follows_arrival(&framing, 1 << 20, &wire, &cuts)?;
    }

    #[test]
    fn frames_taken_along_the_way_are_those_of_a_reader_who_copies(
        framing in separating(), payloads in testing::payloads(), cuts in testing::cuts(),
    ) {
        // `room`, `read_with`, `release` and `feed` alternate, with all frames held to the end.
        let payloads = acceptable(&framing, payloads);
        let wire = testing::encode(&framing, &payloads)?;
        let mut decoder = Decoder::new(&framing, Limits::default());
        let (mut batches, mut rest) = (Vec::new(), &wire[..]);
        for (turn, len) in cuts.iter().cycle().enumerate() {
            while let Some(batch) = decoder.next_batch()? { batches.push(batch) }
            if rest.is_empty() { break }
            let mut len = (*len).min(rest.len());
            match turn % 4 {
                0 => {
                    let mut room = decoder.room();
                    len = len.min(room.remaining_mut());
                    room.put_slice(&rest[..len]);
                }
                1 => len = decoder.read_with(|room| {
                    let len = len.min(room.len());
                    room[..len].copy_from_slice(&rest[..len]);
                    Ok::<_, ()>(len)
                }).expect("this reader does not fail"),
                2 => { decoder.release(); len = 0 }
                _ => decoder.feed(&rest[..len]),
            }
            rest = &rest[len..];
        }
        let frames: Vec<_> = batches.iter().flat_map(|batch| batch.iter().map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(frames, payloads);
    }
}

/// Twice what arrived is not enough for a buffer that has just grown and holds little.
#[test]
fn a_frame_that_has_begun_keeps_the_buffer_it_grows_in() {
    for (len, cuts) in [(5121, &[1025][..]), (4106, &[1024, 1, 1, 1026, 1, 2053])] {
        testing::memory_follows_arrival(&UntilEof, 1 << 20, &vec![0; len], cuts).unwrap();
    }
}
