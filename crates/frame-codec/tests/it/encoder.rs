//! Compares the encoder with a plain queue of bytes, for calls in any order: the same bytes, and memory that follows
//! what waits.

use std::{collections::VecDeque, io::IoSlice, sync::Arc};

use bytes::Bytes;
use frame_codec::{ByteOrder, Delimited, Encoder, Framing, LengthPrefixed, Limits, Netstring, Raw, Varint, Written};
use heap_kit::in_thread;
use proptest::prelude::*;

/// One call.
#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize),
    PushShared(usize),
    /// This many thousandths of what waits.
    Consume(usize),
    /// A vectored write that takes at most this many slices, and all bytes of these but the last few.
    Write {
        slices: usize,
        short_by: usize,
    },
    Release,
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..40,
        3 => 0_usize..3000,
        2 => 4000_usize..5000,
        1 => 5000_usize..200_000,
        // Near the room that a page, or its doublings, has left.
        1 => (12_u32..17, 0_usize..60).prop_map(|(bits, less)| (1_usize << bits) - less),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => lengths().prop_map(Step::Push),
        3 => lengths().prop_map(Step::PushShared),
        3 => prop_oneof![Just(1000), 0_usize..=1000].prop_map(Step::Consume),
        2 => (1_usize..6, prop_oneof![Just(0), 0_usize..30]).prop_map(|(slices, short_by)| Step::Write { slices, short_by }),
        1 => Just(Step::Release),
    ];
    prop::collection::vec(step, 0..60)
}

/// With a head, with a tail, with both, with neither; short heads and the longest one.
fn framings() -> impl Strategy<Value = Arc<dyn Framing>> {
    let orders = prop_oneof![Just(ByteOrder::BigEndian), Just(ByteOrder::LittleEndian)];
    prop_oneof![
        (3_u8..=8, orders).prop_map(|(width, order)| Arc::new(LengthPrefixed::new(width, order)) as Arc<dyn Framing>),
        Just(Arc::new(Varint::new()) as Arc<dyn Framing>),
        Just(Arc::new(Netstring) as Arc<dyn Framing>),
        Just(Arc::new(Delimited::by_string(b"a delimiter of more bytes than the longest head has")) as Arc<dyn Framing>),
        Just(Arc::new(Delimited::lines()) as Arc<dyn Framing>),
        Just(Arc::new(Raw) as Arc<dyn Framing>),
    ]
}

/// What an encoder should contain.
#[derive(Default)]
struct Model {
    waiting: VecDeque<u8>,
    /// The lengths of the frames that are not completely written, and their payloads.
    frames: VecDeque<(usize, Vec<u8>)>,
    /// Bytes of the first one that are already written.
    begun: usize,
    written: Written,
}

impl Model {
    fn push(&mut self, framing: &dyn Framing, payload: &[u8]) {
        let envelope = framing.envelope(payload).expect("these payloads have no delimiter in them");
        let wire = [envelope.head.as_ref(), payload, envelope.tail].concat();
        if wire.is_empty() {
            self.written.frames += 1;
        } else {
            self.frames.push_back((wire.len(), payload.to_vec()));
        }
        self.waiting.extend(wire);
    }

    fn consume(&mut self, count: usize) {
        self.waiting.drain(..count);
        self.written.bytes += count as u64;
        self.begun += count;
        while let Some((len, _)) = self.frames.front()
            && self.begun >= *len
        {
            self.begun -= len;
            self.frames.pop_front();
            self.written.frames += 1;
        }
    }
}

/// More than ever wait in a case here.
const MOST_SLICES: usize = 1200;

fn pending(encoder: &Encoder<&dyn Framing>) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); MOST_SLICES];
    let used = encoder.io_slices(&mut slices);
    slices[..used].iter().map(|slice| &**slice).collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn any_order_of_calls_gives_the_bytes_of_a_plain_queue(framing in framings(), steps in steps()) {
        let mut encoder = Encoder::new(&*framing, Limits::default());
        let mut model = Model::default();
        // Digits contain no delimiter, and no two neighbours are equal.
        let digits = b"0123456789".repeat(20_001);
        for (at, step) in steps.into_iter().enumerate() {
            let payload = |len: usize| &digits[at % 10..][..len];
            let most = model.waiting.len();
            let consumed = match step {
                Step::Push(len) => {
                    encoder.push(payload(len))?;
                    model.push(&framing, payload(len));
                    0
                }
                Step::PushShared(len) => {
                    encoder.push_shared(Bytes::copy_from_slice(payload(len)))?;
                    model.push(&framing, payload(len));
                    0
                }
                Step::Consume(thousandths) => most * thousandths / 1000,
                Step::Write { slices, short_by } => {
                    let mut room = vec![IoSlice::new(&[]); slices];
                    let used = encoder.io_slices(&mut room);
                    room[..used].iter().map(|slice| slice.len()).sum::<usize>().saturating_sub(short_by)
                }
                Step::Release => {
                    encoder.release();
                    if most == 0 {
                        prop_assert!(encoder.memory_len() <= 1 << 10, "{} bytes released", encoder.memory_len());
                    }
                    0
                }
            };
            encoder.consume(consumed);
            model.consume(consumed);
            prop_assert!(pending(&encoder) == model.waiting.make_contiguous(), "other bytes after step {}", at);
            prop_assert_eq!(encoder.chunk().is_empty(), model.waiting.is_empty());
            prop_assert_eq!(encoder.pending_bytes(), model.waiting.len());
            prop_assert_eq!(encoder.pending_frames(), model.frames.len());
            prop_assert_eq!(encoder.written(), model.written);
        }
        let (unsent, truncated) = encoder.take_unsent();
        if model.begun > 0 {
            let (len, _) = model.frames.pop_front().expect("a frame is begun");
            prop_assert_eq!(truncated, len - model.begun);
        } else {
            prop_assert_eq!(truncated, 0);
        }
        let expected: Vec<_> = model.frames.into_iter().map(|(_, payload)| payload).collect();
        prop_assert!(unsent.iter().eq(expected.iter().map(Vec::as_slice)), "other frames are given back");
        prop_assert!(pending(&encoder).is_empty() && !encoder.has_pending());
    }

    /// Counted by the allocator, including sealed slabs without their front and memory that `memory_len` does not know.
    #[test]
    fn memory_is_at_most_a_few_times_what_waited(
        framing in framings(), steps in steps(), rounds in 1_usize..8, is_ever_empty in any::<bool>(),
    ) {
        // Shared payloads do not belong to the encoder and are allocated before it.
        let shared = Bytes::from(vec![b'1'; 200_000]);
        let _clone = shared.clone();
        let copied = vec![b'2'; 200_000];
        let before = in_thread();
        let mut encoder = Encoder::new(&*framing, Limits::default());
        // Upper bounds for what waits in the encoder's own memory.
        let (mut most, mut entries, mut is_sealed) = (0, 0, false);
        for step in steps.iter().cycle().take(rounds * steps.len()) {
            let most_consumed = encoder.pending_bytes().saturating_sub(usize::from(!is_ever_empty));
            is_sealed |= matches!(step, Step::PushShared(_));
            match *step {
                Step::Push(len) => encoder.push(&copied[..len])?,
                Step::PushShared(len) => encoder.push_shared(shared.slice(..len))?,
                Step::Consume(thousandths) => encoder.consume(most_consumed * thousandths / 1000),
                Step::Write { .. } => encoder.consume(encoder.chunk().len().min(most_consumed)),
                Step::Release => encoder.release(),
            }
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let used = encoder.io_slices(&mut slices);
            let own = slices[..used].iter().filter(|slice| !shared.as_ptr_range().contains(&slice.as_ptr()));
            most = most.max(own.map(|slice| slice.len()).sum());
            entries = entries.max(used + encoder.pending_frames());
            let held = usize::try_from(in_thread() - before).expect("nothing is freed that was there before");
            // A slab is at most doubled while half of its bytes are still to be written. If one is sealed, the next can
            // grow as much before the last byte of the first is gone.
            let times = if is_sealed { 8 } else { 4 };
            let allowed = times * most + 200 * entries + (8 << 10);
            prop_assert!(held <= allowed, "{} bytes held, where at most {} waited in {} entries", held, most, entries);
            prop_assert!(encoder.memory_len() <= held, "{} bytes known of {}", encoder.memory_len(), held);
            if !encoder.has_pending() {
                // All of it is known, except a few words beside a slab of which a part was sealed.
                prop_assert!(held <= encoder.memory_len() + 64, "{} bytes known of {}", encoder.memory_len(), held);
            }
            if matches!(step, Step::Release) && !encoder.has_pending() {
                let held = in_thread() - before;
                prop_assert!(held <= 1 << 10, "{} bytes held by one that is idle", held);
                (most, entries, is_sealed) = (0, 0, false);
            }
        }
    }
}
