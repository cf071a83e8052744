//! The law of the funnel: for any behaviour of the producers it delivers what they sent, per producer, in order, once, and
//! the reports add up.
//!
//! What a producer sent is what the pure decoder makes of its bytes. Bytes are messages with some garbage in between, written
//! in any pieces, at any pace; the end is a close, at any byte, or there is none before the funnel is shut down. The receiver
//! takes everything, or stops early. `PROPTEST_RNG_SEED` replays a run.

use frame_codec::{Limits as FrameLimits, Oversize, testing};
use mpsr_server::{Limits, Parting};
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};
use tokio::{
    io::AsyncWriteExt as _,
    task::{JoinSet, yield_now},
};

use crate::{
    framings::{self, Choice},
    rig::{Everything, LONG, Rig, Source, soon},
};

/// What one producer does.
#[derive(Clone, Debug)]
struct Behaviour {
    payloads: Vec<Vec<u8>>,
    /// Bytes that no encoder wrote, behind the messages.
    garbage: Vec<u8>,
    /// How many bytes at the end are never written.
    unwritten: usize,
    /// The lengths of its writes.
    pieces: Vec<usize>,
    /// How often others may run between two writes.
    pauses: usize,
    /// Whether it closes before the funnel is shut down.
    closes: bool,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let garbage = prop_oneof![4 => Just(Vec::new()), 1 => testing::garbage()];
    let unwritten = prop_oneof![2 => Just(0_usize), 1 => 1..40_usize];
    (testing::payloads(), garbage, unwritten, testing::cuts(), 0..4_usize, prop::bool::weighted(0.7)).prop_map(
        |(payloads, garbage, unwritten, pieces, pauses, closes)| Behaviour {
            payloads,
            garbage,
            unwritten,
            pieces,
            pauses,
            closes,
        },
    )
}

impl Behaviour {
    fn wire(&self, choice: &Choice) -> Vec<u8> {
        let mut payloads = self.payloads.clone();
        if choice.name == "fixed" {
            payloads.iter_mut().for_each(|payload| payload.resize(8, b'.'));
        }
        payloads.retain(|payload| choice.framing.envelope(payload).is_ok());
        let mut wire = testing::encode(&choice.framing, &payloads).unwrap();
        wire.extend(&self.garbage);
        wire.truncate(wire.len().saturating_sub(self.unwritten));
        wire
    }
}

/// What must come of the bytes of one producer.
struct Expected {
    reading: testing::Reading,
    /// The bytes that were decoded into it.
    wire: Vec<u8>,
}

impl Expected {
    fn of(behaviour: &Behaviour, choice: &Choice, limits: &Limits) -> Self {
        let frame_limits = FrameLimits::default().with_max_frame(limits.max_frame).with_oversize(limits.oversize);
        let wire = behaviour.wire(choice);
        let mut reading = testing::read(&choice.framing, frame_limits, &wire, &[]);
        if !behaviour.closes && choice.is_one_message() && reading.error.is_none() && reading.skipped.is_empty() {
            // Its end never comes. A message that is shortened is there as soon as its beginning is.
            if reading.shortened == 0 {
                reading.truncated += reading.frames.drain(..).map(|frame| frame.len()).sum::<usize>();
            }
        }
        Self { reading, wire }
    }
}

#[derive(Clone, Debug)]
struct Case {
    source: Source,
    choice: Choice,
    behaviours: Vec<Behaviour>,
    max_frame: usize,
    oversize: Oversize,
    inbox: usize,
    /// After how many events the receiver stops, if it does.
    quits_after: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    (
        select(&Source::ALL[..]),
        select(framings::all()),
        prop::collection::vec(behaviour(), 1..6),
        prop_oneof![2 => Just(1_usize << 20), 1 => 1..200_usize],
        select(vec![Oversize::Disconnect, Oversize::Skip, Oversize::Shorten]),
        prop_oneof![Just(1_usize), Just(4096), Just(256 << 10)],
        prop_oneof![3 => Just(None), 1 => (0..30_usize).prop_map(Some)],
    )
        .prop_map(|(source, choice, behaviours, max_frame, oversize, inbox, quits_after)| Case {
            source,
            choice,
            behaviours,
            max_frame,
            oversize,
            inbox,
            quits_after,
        })
}

async fn play(case: Case) -> Result<(), TestCaseError> {
    let Case { source, choice, behaviours, max_frame, oversize, inbox, quits_after } = case;
    let mut limits = Limits::default();
    (limits.max_frame, limits.oversize, limits.per_connection_bytes) = (max_frame, oversize, inbox);
    let expected: Vec<_> = behaviours.iter().map(|behaviour| Expected::of(behaviour, &choice, &limits)).collect();
    let mut rig = Rig::start(source, choice.framing.clone(), limits).await;
    let mut writing = JoinSet::new();
    for (behaviour, expected) in behaviours.iter().zip(&expected) {
        let mut stream = rig.producer().await;
        let (Behaviour { pieces, pauses, closes, .. }, wire) = (behaviour.clone(), expected.wire.clone());
        writing.spawn(async move {
            let mut rest = &wire[..];
            for piece in pieces.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                // A thousand pieces are enough of one producer.
                let piece = (*piece).max(wire.len() / 1000);
                let (now, later) = rest.split_at(piece.min(rest.len()));
                // The funnel hangs up on a producer that breaks the framing, and when it quits.
                if stream.write_all(now).await.is_err() {
                    break;
                }
                rest = later;
                for _ in 0..pauses {
                    yield_now().await;
                }
            }
            (!closes).then_some(stream)
        });
    }
    let mut told = Everything::default();
    let mut events = 0;
    let mut open = Vec::new();
    let report = loop {
        if quits_after.is_some_and(|most| events >= most) {
            break soon("the report", rig.funnel.finished()).await;
        }
        tokio::select! {
            Some(ended) = writing.join_next() => {
                open.push(ended.unwrap());
                if open.len() == behaviours.len() {
                    rig.funnel.handle().shutdown(LONG);
                }
            }
            event = soon("an event", rig.funnel.next()) => match event {
                Some(event) => {
                    told.note(event, source);
                    events += 1;
                }
                None => break soon("the report", rig.funnel.finished()).await,
            }
        }
    };
    prop_assert_eq!(report.received.frames, report.delivered.frames + report.lost.frames, "{}", report);
    prop_assert_eq!(report.delivered.frames, told.messages() as u64, "{}", report);
    let complete = quits_after.is_none() || told.left() == behaviours.len();
    if complete {
        told.check(&report);
        prop_assert_eq!(report.lost.frames, 0, "{}", report);
        prop_assert_eq!(told.in_order().len(), behaviours.len());
    }
    for (number, told) in told.in_order().into_iter().enumerate() {
        // Those that did not join before the receiver quit are not among them, in the order of paths.
        let Some(Expected { reading, .. }) = expected.get(number).filter(|_| complete || told.joined) else { break };
        let Some(left) = told.left.as_ref() else {
            if complete || matches!(source, Source::Path | Source::Abstract) {
                check_prefix(&told.messages, reading, &choice)?;
            }
            continue;
        };
        if !complete {
            continue;
        }
        if choice.keeps_messages() {
            prop_assert_eq!(&told.messages, &reading.frames, "producer {}", number);
        } else {
            prop_assert_eq!(told.messages.concat(), reading.frames.concat(), "producer {}", number);
        }
        let missing: Vec<_> = reading.skipped.iter().map(|(behind, count)| (*behind, u64::from(*count))).collect();
        prop_assert_eq!(&told.missing, &missing, "producer {}", number);
        prop_assert_eq!(left.shortened, u64::from(reading.shortened), "producer {}", number);
        match (&reading.error, &left.parting) {
            (Some(_), Parting::Malformed(_)) => {}
            // Only the end would have shown that the rest is too large.
            (Some(_), Parting::Shutdown) if !behaviours[number].closes && left.truncated_bytes > 0 => {}
            (None, Parting::Closed | Parting::Shutdown) => {
                prop_assert_eq!(left.truncated_bytes, reading.truncated, "producer {}: {}", number, left);
                prop_assert_eq!(left.unterminated, reading.unterminated, "producer {}: {}", number, left);
            }
            (error, _) => prop_assert!(false, "producer {number}: {left}, expected {error:?}"),
        }
    }
    drop(open);
    Ok(())
}

/// What was taken before the receiver quit is the beginning of what was sent.
fn check_prefix(messages: &[Vec<u8>], reading: &testing::Reading, choice: &Choice) -> Result<(), TestCaseError> {
    if choice.keeps_messages() {
        prop_assert!(reading.frames.starts_with(messages), "{messages:?} of {:?}", reading.frames);
    } else {
        prop_assert!(reading.frames.concat().starts_with(&messages.concat()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_producers_do_each_is_delivered_in_order_once_and_the_report_adds_up(case in case()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(case))?;
    }
}
