//! The law of the funnel: for any behaviour of the producers it delivers what they sent, per producer, in order, once, and
//! the reports add up.
//!
//! What a producer sent is what the pure decoder makes of its bytes. Bytes are messages with some garbage in between, written
//! in any pieces, at any pace. The end is a close, at any byte, or half of one, or a reset before anything is written, or there
//! is none before the funnel is shut down. A producer may come late, stop reading, lose its name while it writes, or lose it to
//! one that comes later. The funnel has one source or two. The receiver takes everything, or stops early.
//! `PROPTEST_RNG_SEED` replays a run.

use std::collections::BTreeMap;

use frame_codec::{Limits as FrameLimits, Oversize, testing};
use mpsr_server::{Limits, Parting};
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};
use tokio::{
    io::AsyncWriteExt as _,
    net::{UnixListener, UnixStream},
    sync::oneshot,
    task::{JoinSet, yield_now},
};

use crate::funnel::{
    framings::{self, Choice},
    rig::{Door, Everything, LONG, Rig, Source, Told, soon},
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
    end: End,
    /// Whether it shuts its reading side down before it writes. The funnel sends nothing, so nothing changes.
    stops_reading: bool,
    /// Whether its name is removed once it is connected, if it has one.
    vanishes: bool,
    /// Which of the sources it uses.
    source: usize,
}

/// What a producer does when it has written everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    /// It shuts its writing side down, and stays.
    HalfClose,
    /// It stays until the funnel is shut down.
    Stay,
    /// It ends its socket before it accepts the funnel's connection. One that connects by itself closes.
    Reset,
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    let garbage = prop_oneof![4 => Just(Vec::new()), 1 => testing::garbage()];
    let unwritten = prop_oneof![2 => Just(0_usize), 1 => 1..40_usize];
    let end = prop_oneof![
        8 => Just(End::Close),
        2 => Just(End::HalfClose),
        4 => Just(End::Stay),
        1 => Just(End::Reset),
    ];
    let bytes = (testing::payloads(), garbage, unwritten, testing::cuts());
    let manners = (0..4_usize, end, prop::bool::weighted(0.2), prop::bool::weighted(0.2), 0..2_usize);
    (bytes, manners).prop_map(
        |((payloads, garbage, unwritten, pieces), (pauses, end, stops_reading, vanishes, source))| Behaviour {
            payloads,
            garbage,
            unwritten,
            pieces,
            pauses,
            end,
            stops_reading,
            vanishes,
            source,
        },
    )
}

/// What a producer keeps until the funnel has ended: its connection, and its socket.
type Kept = (UnixStream, Option<UnixListener>);

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

    /// Whether the funnel sees an end.
    fn ends(&self) -> bool {
        self.end != End::Stay
    }

    /// Gives what must stay until the funnel has ended.
    async fn play(self, door: Door, wire: Vec<u8>, connected: oneshot::Sender<()>) -> std::io::Result<Option<Kept>> {
        let name = match &door {
            Door::Own(path, _) => Some(path.clone()),
            Door::Theirs(_) => None,
        };
        if self.resets(name.is_some()) {
            door.reset().await?;
            return Ok(None);
        }
        let (stream, listener) = door.open().await?;
        let _ = connected.send(());
        if let Some(name) = name.filter(|_| self.vanishes) {
            std::fs::remove_file(name)?;
        }
        Ok(self.write(stream, &wire).await.map(|stream| (stream, listener)))
    }

    fn resets(&self, has_name: bool) -> bool {
        self.end == End::Reset && has_name
    }

    async fn write(&self, stream: UnixStream, wire: &[u8]) -> Option<UnixStream> {
        let stream = stream.into_std().unwrap();
        if self.stops_reading {
            stream.shutdown(std::net::Shutdown::Read).unwrap();
        }
        let mut stream = UnixStream::from_std(stream).unwrap();
        let mut rest = wire;
        for piece in self.pieces.iter().cycle() {
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
            for _ in 0..self.pauses {
                yield_now().await;
            }
        }
        match self.end {
            End::Close | End::Reset => None,
            End::Stay => Some(stream),
            End::HalfClose => {
                // Fails if the funnel has hung up.
                let _ = stream.shutdown().await;
                Some(stream)
            }
        }
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
        if !behaviour.ends() && choice.is_one_message() && reading.error.is_none() && reading.skipped.is_empty() {
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
    sources: Vec<Source>,
    choice: Choice,
    behaviours: Vec<Behaviour>,
    /// How many of them come when the others have begun to write, one after the other, and after how many turns of the others.
    late: (usize, usize),
    /// Whether the first that is late takes the name of the first of all, where both have one.
    replaces: bool,
    max_frame: usize,
    oversize: Oversize,
    inbox: usize,
    /// After how many events the receiver stops, if it does.
    quits_after: Option<usize>,
}

fn case() -> impl Strategy<Value = Case> {
    let sources = prop_oneof![
        2 => select(&Source::ALL[..]).prop_map(|source| vec![source]),
        1 => prop::sample::subsequence(Source::ALL.to_vec(), 2),
    ];
    let late = prop_oneof![1 => Just((0, 0)), 1 => (1..4_usize, 0..40_usize)];
    (
        (sources, select(framings::all()), prop::collection::vec(behaviour(), 1..6)),
        (late, any::<bool>()),
        prop_oneof![2 => Just(1_usize << 20), 1 => 1..200_usize],
        select(vec![Oversize::Disconnect, Oversize::Skip, Oversize::Shorten]),
        prop_oneof![Just(1_usize), Just(4096), Just(256 << 10)],
        prop_oneof![3 => Just(None), 1 => (0..30_usize).prop_map(Some)],
    )
        .prop_map(|((sources, choice, behaviours), (late, replaces), max_frame, oversize, inbox, quits_after)| {
            Case { sources, choice, behaviours, late, replaces, max_frame, oversize, inbox, quits_after }
        })
}

async fn play(case: Case) -> Result<(), TestCaseError> {
    let Case { sources, choice, behaviours, late, replaces, max_frame, oversize, inbox, quits_after } = case;
    let mut limits = Limits::default();
    (limits.max_frame, limits.oversize, limits.per_connection_bytes) = (max_frame, oversize, inbox);
    // A producer that has lost its name is still drained to its end, even on a slow machine.
    limits.vanished_grace = LONG;
    let expected: Vec<_> = behaviours.iter().map(|behaviour| Expected::of(behaviour, &choice, &limits)).collect();
    let mut rig = Rig::with(sources.clone(), choice.framing.clone(), limits).await;
    let source = |behaviour: &Behaviour| sources[behaviour.source % sources.len()];
    let early = behaviours.len().saturating_sub(late.0);
    let mut writing = JoinSet::new();
    let mut later = Vec::new();
    for (number, (behaviour, expected)) in behaviours.iter().zip(&expected).enumerate() {
        let source = source(behaviour);
        // After an early quit, which of two with one name was told could not be said.
        let replaces = replaces && number == early && number > 0 && quits_after.is_none();
        let replaced = replaces.then_some(0).filter(|first| {
            let [first, second] = [&behaviours[*first], behaviour].map(|behaviour| behaviour.source % sources.len());
            first == second
        });
        let door = rig.door(source, replaced);
        let (behaviour, wire) = (behaviour.clone(), expected.wire.clone());
        if number >= early {
            later.push((behaviour, door, wire));
            continue;
        }
        // One after the other, so that they join in this order.
        let (connected, is_connected) = oneshot::channel();
        writing.spawn(async move { vec![behaviour.play(door, wire, connected).await] });
        let _ = soon("a connection", is_connected).await;
    }
    writing.spawn(async move {
        for _ in 0..late.1 {
            yield_now().await;
        }
        let mut open = JoinSet::new();
        for (behaviour, door, wire) in later {
            let (connected, is_connected) = oneshot::channel();
            open.spawn(behaviour.play(door, wire, connected));
            let _ = is_connected.await;
        }
        open.join_all().await
    });
    let mut told = Everything::default();
    let mut events = 0;
    let mut open = Vec::new();
    let report = loop {
        if quits_after.is_some_and(|most| events >= most) {
            break soon("the report", rig.funnel.finished()).await;
        }
        tokio::select! {
            Some(ended) = writing.join_next() => {
                open.extend(ended.unwrap());
                if open.len() == behaviours.len() {
                    rig.funnel.handle().shutdown(LONG);
                }
            }
            event = soon("an event", rig.funnel.next()) => match event {
                Some(event) => {
                    told.note(event);
                    events += 1;
                }
                None => break soon("the report", rig.funnel.finished()).await,
            }
        }
    };
    prop_assert_eq!(report.received.frames, report.delivered.frames + report.lost.frames, "{}", report);
    prop_assert_eq!(report.received.bytes, report.delivered.bytes + report.lost.bytes, "{}", report);
    prop_assert_eq!(report.delivered.frames, told.messages() as u64, "{}", report);
    let is_complete = quits_after.is_none() || told.left() == behaviours.len();
    if is_complete {
        told.check(&report);
        prop_assert_eq!(report.lost.frames, 0, "{}", report);
        prop_assert_eq!(told.in_order().len(), behaviours.len(), "{:?}", told.trouble);
        for ended in &open {
            prop_assert!(ended.is_ok(), "{ended:?}");
        }
    }
    // Nothing is counted that was not sent, whenever the receiver quits.
    let sent: usize = expected.iter().flat_map(|expected| &expected.reading.frames).map(Vec::len).sum();
    prop_assert!(report.received.bytes <= sent as u64, "{report}: {sent} bytes were sent");
    prop_assert!(report.producers <= behaviours.len() as u64, "{report}");
    // Those that are told are the first of their place.
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for ((place, behaviour), expected) in rig.places.iter().zip(&behaviours).zip(&expected) {
        let nth = next.entry(place.to_string()).or_default();
        let told = told.at(place).get(*nth).copied();
        *nth += 1;
        let Some(told) = told else {
            prop_assert!(!is_complete, "nothing was told of {place}");
            continue;
        };
        let has_name = matches!(source(behaviour), Source::Directory | Source::Members);
        check(told, behaviour, expected, &choice, has_name)?;
    }
    drop(open);
    Ok(())
}

/// Whether what was told of a producer is what it did.
fn check(
    told: &Told,
    behaviour: &Behaviour,
    Expected { reading, .. }: &Expected,
    choice: &Choice,
    has_name: bool,
) -> Result<(), TestCaseError> {
    prop_assert!(told.joined);
    if behaviour.resets(has_name) {
        prop_assert_eq!((told.messages.len(), &told.missing[..]), (0, &[][..]));
        if let Some(left) = &told.left {
            prop_assert_eq!(left.truncated_bytes, 0, "{}", left);
            prop_assert!(matches!(left.parting, Parting::Failed(_)), "a reset is no orderly end: {left}");
        }
        return Ok(());
    }
    let Some(left) = &told.left else { return check_prefix(&told.messages, reading, choice) };
    if choice.keeps_messages() {
        prop_assert_eq!(&told.messages, &reading.frames, "{}", left);
    } else {
        prop_assert_eq!(told.messages.concat(), reading.frames.concat(), "{}", left);
    }
    let missing: Vec<_> = reading.skipped.iter().map(|(behind, count)| (*behind, u64::from(*count))).collect();
    prop_assert_eq!(&told.missing, &missing, "{}", left);
    prop_assert_eq!(left.shortened, u64::from(reading.shortened), "{}", left);
    match (&reading.error, &left.parting) {
        (Some(_), Parting::Malformed(_)) => {}
        // Only the end would have shown that the rest is too large.
        (Some(_), Parting::Shutdown) if !behaviour.ends() && left.truncated_bytes > 0 => {}
        (None, Parting::Closed | Parting::Shutdown) => {
            prop_assert_eq!(left.truncated_bytes, reading.truncated, "{}", left);
            prop_assert_eq!(left.unterminated, reading.unterminated, "{}", left);
        }
        (error, _) => prop_assert!(false, "{left}, expected {error:?}"),
    }
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
