//! The kit finds planted mistakes, passes correct code, and never passes what it has not checked.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::{Future, pending, poll_fn},
    io,
    pin::Pin,
    task::Poll,
};

use cancel_kit::{Check, Drops, Error, Pace, Plan, Step, Survey, Wire, check, difference};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("letters")
}

/// A sender with its offset in the right place: in the object, not in the future.
struct Sender {
    wire: Wire,
    queue: VecDeque<u8>,
}

impl Sender {
    fn new(wire: Wire) -> Self {
        Self { wire, queue: VecDeque::new() }
    }

    fn queue(&mut self, message: &str) {
        self.queue.extend(message.as_bytes());
    }

    async fn flush(&mut self) {
        while !self.queue.is_empty() {
            let written = poll_fn(|cx| self.wire.poll_write(cx, self.queue.make_contiguous())).await;
            self.queue.drain(..written.expect("the script has no errors"));
        }
    }

    /// Like `SinkExt::send`: queues, then waits.
    async fn send(&mut self, message: &str) {
        self.queue(message);
        self.flush().await;
    }
}

#[test]
fn a_flush_that_keeps_its_offset_passes() {
    let survey = check(async |drops: Drops| {
        let mut sender = Sender::new(Wire::new("", Pace::bytes(2)));
        let tap = sender.wire.tap();
        for message in ["one ", "two ", "three"] {
            sender.queue(message);
            drops.drive(async || sender.flush().await).await;
        }
        text(tap.written())
    });
    // Seven polls are pending: seven single drops, the plain and the unpolled run, and periods 1 to 4.
    assert_eq!(survey, Ok(Survey { runs: 13, dropped: 7 + 7 + 3 + 1 }));
}

#[test]
fn a_send_that_queues_before_it_waits_doubles_its_message() {
    let found = check(async |drops: Drops| {
        let mut sender = Sender::new(Wire::new("", Pace::bytes(64)));
        let tap = sender.wire.tap();
        drops.drive(async || sender.send("hello ").await).await;
        text(tap.written())
    });
    let differs = Error::Differs { plan: Plan::Once(1), expected: "hello ".into(), found: "hello hello ".into() };
    assert_eq!(found, Err(differs));
}

#[test]
fn a_receive_that_holds_what_it_has_read_loses_it() {
    let scenario = async |drops: Drops| {
        let mut wire = Wire::new("abcdef", Pace::bytes(1));
        let mut words = Vec::new();
        loop {
            let read = async || {
                let mut word = [0; 2]; // dropped with the future, read or not
                wire.read_exact(&mut word).await.map(|_| text(word.to_vec()))
            };
            match drops.drive(read).await {
                Ok(word) => words.push(word),
                Err(error) => return (words, error.kind()),
            }
        }
    };
    let error = check(scenario).unwrap_err();
    let Error::Differs { plan, expected, found } = &error else { panic!("{error}") };
    assert_eq!(expected.0, ["ab", "cd", "ef"]);
    assert_eq!(found.0, ["bc", "de"], "the f is cut at the end");
    assert_eq!(&Check::new().replay(*plan, scenario).unwrap(), found, "the same plan finds the same");
}

#[test]
fn a_send_that_takes_its_message_before_it_waits_loses_it() {
    let found = check(async |drops: Drops| {
        let mut wire = Wire::new("", Pace::bytes(64));
        let tap = wire.tap();
        let mut messages = VecDeque::from(["one", "two", "three"]);
        while !messages.is_empty() {
            drops
                .drive(async || {
                    let Some(message) = messages.pop_front() else { return };
                    wire.write_all(message.as_bytes()).await.expect("the script has no errors");
                })
                .await;
        }
        text(tap.written())
    });
    assert_eq!(
        found.unwrap_err().to_string(),
        r#"one future dropped, at poll 1 of the run: "twothree" where "onetwothree" comes without drops"#
    );
}

#[test]
fn work_done_before_the_first_poll_shows_when_the_future_is_made_twice() {
    let found = check(async |drops: Drops| {
        let made = Cell::new(0);
        drops.drive(|| begin(&made)).await;
        made.get()
    });
    assert_eq!(found, Err(Error::Differs { plan: Plan::Unpolled, expected: 1, found: 2 }));
}

/// Works when it is called, not when it is polled.
fn begin(made: &Cell<u32>) -> impl Future<Output = ()> + use<> {
    made.set(made.get() + 1);
    async { Wire::new("", Pace::bytes(1)).flush().await.expect("the script has no errors") }
}

#[test]
fn a_future_that_nobody_will_wake_is_found_without_a_clock() {
    let silent = check(async |drops: Drops| {
        let mut wire = Wire::new("", Pace::eager()).held_open();
        drops.drive(async || wire.read_u8().await.ok()).await
    });
    assert_eq!(silent, Err(Error::Stalled { plan: Plan::Never, polls: 1 }));
    let never: Result<_, Error<()>> = check(async |drops: Drops| drops.drive(pending).await);
    assert_eq!(never.unwrap_err().plan(), Plan::Never);
}

#[test]
fn an_operation_that_starts_over_is_checked_with_one_drop_per_run() {
    let scenario = async |drops: Drops| {
        let connect = async || {
            let mut wire = Wire::new("ok", Pace::bytes(1));
            let mut greeting = String::new();
            wire.read_to_string(&mut greeting).await.map(|_| greeting).ok()
        };
        drops.drive(connect).await
    };
    let endless = Check::new().max_polls(1000).run(scenario);
    assert!(matches!(endless, Err(Error::Endless { plan: Plan::After(1), .. })), "{endless:?}");
    assert_eq!(Check::new().restarts().run(scenario), Ok(Survey { runs: 5, dropped: 3 }));
}

#[test]
fn a_scenario_in_which_nothing_is_ever_pending_proves_nothing() {
    let vacuous = check(async |drops: Drops| drops.drive(async || 7).await);
    assert_eq!(vacuous, Err(Error::Vacuous));
}

#[test]
fn a_scenario_runs_in_any_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let survey = Check::new().run_in(
        |scenario: Pin<&mut dyn Future<Output = u32>>| runtime().block_on(scenario),
        async |drops: Drops| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let task = tokio::spawn(async move {
                for number in 1..=4 {
                    sender.send(number).await.expect("the receiver lives");
                }
            });
            let mut sum = 0;
            while let Some(number) = drops.drive(async || receiver.recv().await).await {
                sum = sum * 10 + number;
            }
            task.await.expect("no panic");
            sum
        },
    );
    assert!(survey.expect("recv is cancel safe").dropped > 4);
}

#[test]
fn in_tokio_a_hang_is_late() {
    let limit = std::time::Duration::from_millis(20);
    let late: Result<_, Error<()>> = Check::new().run_in_tokio(limit, async |drops: Drops| drops.drive(pending).await);
    assert!(matches!(late, Err(Error::Late { plan: Plan::Never, limit: said, .. }) if said == limit), "{late:?}");
}

#[test]
fn a_wire_goes_at_its_pace_in_both_directions_and_splits_gathered_writes() {
    let steps = [Step::Bytes(0), Step::Fails(io::ErrorKind::Interrupted), Step::Bytes(3), Step::Pending];
    let scenario = async |drops: Drops| {
        let mut wire = Wire::new("abcdef", Pace::steps(steps)).writing(Pace::bytes(3));
        let tap = wire.tap();
        let read = |length: Result<usize, io::Error>| length.map_err(|error| error.kind());
        let mut room = [0; 8];
        let mut reads = Vec::new();
        for _ in 0..6 {
            reads.push(read(drops.drive(async || wire.read(&mut room).await).await));
        }
        let slices = [io::IoSlice::new(b"12"), io::IoSlice::new(b"34")];
        let written = drops.drive(async || poll_fn(|cx| Pin::new(&mut wire).poll_write_vectored(cx, &slices)).await);
        assert_eq!(written.await.expect("the script has no errors"), 3);
        drops.drive(async || wire.shutdown().await).await.expect("no errors");
        let late = poll_fn(|cx| wire.poll_write(cx, b"late")).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        (reads, text(tap.written()), tap.is_closed(), tap.unread())
    };
    let interrupted = Err(io::ErrorKind::Interrupted);
    let outcome = (vec![Ok(1), interrupted, Ok(3), Ok(1), interrupted, Ok(1)], "123".to_owned(), true, 0);
    assert_eq!(Check::new().replay(Plan::Never, scenario), Ok(outcome));
    check(scenario).expect("one poll of a wire is one step");
}

#[test]
fn a_wire_that_is_held_open_wakes_its_reader() {
    let survey = check(async |drops: Drops| {
        let mut wire = Wire::new("", Pace::eager()).held_open();
        let tap = wire.tap();
        let feeder = poll_fn(|_| {
            tap.feed(b"late");
            tap.end();
            Poll::Ready(())
        });
        let mut room = String::new();
        let read = drops.drive(async || wire.read_to_string(&mut room).await);
        let (read, ()) = tokio::join!(read, feeder);
        read.map(|_| room).ok()
    });
    assert!(survey.is_ok_and(|survey| survey.dropped > 0));
}

#[test]
fn a_difference_names_what_is_lost_and_what_is_doubled() {
    for (found, says) in [
        (&[1, 2, 2, 3][..], "nothing lost or doubled"),
        (&[2, 1, 2, 3], "in another order"),
        (&[1, 2, 3, 3], "lost [2], doubled [3]"),
    ] {
        let difference = difference(&[1, 2, 2, 3], found);
        assert_eq!((difference.to_string(), difference.is_none()), (says.to_owned(), found == [1, 2, 2, 3]));
    }
}
