//! The driver loses no call, reply or event however often its future is dropped.
#![cfg(feature = "tokio")]

use std::future::poll_fn;

use crate::echo::{Echo, Lane, Say};
use cancel_kit::{Drops, Pace, Tap, Wire, check};
use frame_codec::LengthPrefixed;
use packetizer::{Driver, End, Limits, Step};

const CALLS: u8 = 8;

fn frame(payload: &[u8]) -> Vec<u8> {
    [&u32::try_from(payload.len()).expect("short").to_be_bytes()[..], payload].concat()
}

/// Echoes what was written since the last time.
fn echo(tap: &Tap, echoed: &mut usize) {
    let written = tap.written();
    while let Some(head) = written.get(*echoed..*echoed + 4) {
        let len = 4 + u32::from_be_bytes(head.try_into().expect("four bytes")) as usize;
        let Some(frame) = written.get(*echoed..*echoed + len) else { return };
        tap.feed(frame);
        *echoed += len;
    }
}

#[test]
fn every_call_gets_its_own_reply_and_every_event_is_told_once() {
    for pace in [Pace::bytes(1), Pace::bytes(5)] {
        let survey = check(async |drops: Drops| {
            let wire = Wire::new(frame(b"!before"), pace.clone()).held_open();
            let tap = wire.tap();
            let (mut driver, handle) = Driver::new(
                wire,
                LengthPrefixed::u32_be(),
                frame_codec::Limits::default(),
                Echo::default(),
                Limits::default(),
            );
            let mut calls: Vec<_> = (0..CALLS)
                .map(|n| handle.call(&Say(if n % 3 == 0 { Lane::Urgent } else { Lane::Ordered }, &[b'a' + n])))
                .collect();
            drop(handle);
            let mut echoed = 0;
            let mut told = Vec::new();
            loop {
                match drops.drive(async || driver.next().await).await {
                    Step::Event(event) => told.push(format!("{event:?}")),
                    Step::Progress(_) => {
                        echo(&tap, &mut echoed);
                        if driver.report().answered == u64::from(CALLS) {
                            tap.end();
                        }
                    }
                    Step::HungUp => {}
                    Step::End(end) => {
                        assert!(matches!(end, End::Closed { truncated: 0 }), "{end:?}");
                        break;
                    }
                    other => panic!("nothing else is told here: {other:?}"),
                }
            }
            let mut replies = Vec::new();
            for call in &mut calls {
                replies.push(poll_fn(|cx| std::pin::Pin::new(&mut *call).poll(cx)).await.expect("it was answered"));
            }
            (told, replies)
        });
        match survey {
            Ok(survey) => assert!(survey.dropped > u64::from(CALLS), "{survey}"),
            Err(error) => panic!("{error}"),
        }
    }
}
