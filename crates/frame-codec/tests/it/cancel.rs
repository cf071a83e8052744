//! The pump loses nothing however often its futures are dropped.

use std::io::ErrorKind;

use cancel_kit::{Drops, Pace, Step, Survey, Wire, check};
use frame_codec::{Delimited, End, LengthPrefixed, Limits, Pump, PumpEvent};

/// What a pump reads and writes, and how it ends, with futures dropped as planned.
async fn echo(drops: Drops, pace: Pace) -> (Vec<String>, String, bool) {
    let wire = Wire::new("one\ntwo\nthree\nfour\nfi", pace);
    let tap = wire.tap();
    let mut pump = Pump::new(wire, Delimited::lines(), Limits::default());
    let mut lines = Vec::new();
    let mut ended = false;
    loop {
        match drops.drive(async || pump.next().await).await {
            PumpEvent::Batch(batch) => {
                for line in &batch {
                    pump.encoder().push(line).expect("a line without a line feed");
                    lines.push(line.escape_ascii().to_string());
                }
            }
            PumpEvent::End(end) => {
                ended = matches!(end, End::Eof { truncated: 0 });
                pump.finish();
            }
            PumpEvent::Finished => return (lines, tap.written().escape_ascii().to_string(), ended && tap.is_closed()),
            _ => {}
        }
    }
}

#[test]
fn every_line_is_echoed_once_at_any_pace() {
    let whole = (vec!["one".into(), "two".into(), "three".into(), "four".into(), "fi".into()], true);
    for pace in [
        Pace::bytes(1),
        Pace::bytes(7),
        Pace::steps([Step::Pending, Step::Pending, Step::Bytes(2), Step::Bytes(5)]),
        Pace::steps([Step::Fails(ErrorKind::Interrupted), Step::Pending, Step::Bytes(3)]),
    ] {
        let survey = check(async |drops: Drops| {
            let (lines, written, ended) = echo(drops, pace.clone()).await;
            assert_eq!((&lines, ended), (&whole.0, whole.1));
            (lines, written)
        });
        assert!(matches!(survey, Ok(Survey { dropped: 5.., .. })), "{pace:?}: {survey:?}");
    }
}

#[test]
fn gathered_writes_that_end_anywhere_are_taken_up_where_they_ended() {
    let payload = vec![b'p'; 5000]; // is written from where it is, between two that are copied
    let survey = check(async |drops: Drops| {
        let wire = Wire::new("", Pace::eager()).held_open().writing(Pace::bytes(999));
        let tap = wire.tap();
        let mut pump = Pump::new(wire, LengthPrefixed::u32_be(), Limits::default());
        pump.encoder().push(b"before").expect("small");
        pump.encoder().push_shared(payload.clone().into()).expect("small");
        pump.encoder().push(b"after").expect("small");
        while !matches!(drops.drive(async || pump.next().await).await, PumpEvent::Drained) {}
        let written = tap.written();
        assert_eq!(written.len(), 4 + 6 + 4 + 5000 + 4 + 5);
        written
    });
    survey.expect("the offset lives in the encoder");
}
