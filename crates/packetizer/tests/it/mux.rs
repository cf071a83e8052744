//! The rules of the multiplexer, one by one.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use crate::echo::{Echo, Lane, Say, Wrong};
use bytes::Bytes;
use frame_codec::{LengthPrefixed, Raw, Varint};
use packetizer::{Error, Fault, Limits, Mux, Options, Output, Unsent, Urgency};

type EchoMux = Mux<Echo, u32>;
type Answer = (u32, Result<String, Error<Wrong>>);

const ORDERED: Lane = Lane::Ordered;
const URGENT: Lane = Lane::Urgent;
const TAGGED: Lane = Lane::Tagged;

/// Without a framing, so that what is written is what was encoded.
fn mux() -> EchoMux {
    Mux::new(Raw, Echo::default(), Limits::default())
}

/// Hands everything that is due to a connection that takes all of it.
fn transmit(mux: &mut EchoMux) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(block) = mux.poll_transmit() {
        written.extend_from_slice(&block);
        mux.handle_written(block.len());
    }
    written
}

fn reply(mux: &mut EchoMux, frame: &[u8]) {
    mux.handle_frame(Bytes::copy_from_slice(frame)).unwrap();
}

fn fault(mux: &mut EchoMux, frame: &'static [u8]) -> Fault<Wrong> {
    mux.handle_frame(Bytes::from_static(frame)).unwrap_err()
}

fn answer(mux: &mut EchoMux) -> Option<Answer> {
    match mux.poll_output()? {
        Output::Answer { waiter, result } => Some((waiter, result.and_then(|reply| reply.decode::<Say<'_>>()))),
        Output::Event(event) => panic!("an event: {event:?}"),
    }
}

fn answers(mux: &mut EchoMux) -> Vec<Answer> {
    std::iter::from_fn(|| answer(mux)).collect()
}

fn waiters(mux: &mut EchoMux) -> Vec<u32> {
    answers(mux).into_iter().map(|(waiter, _)| waiter).collect()
}

#[test]
fn replies_go_to_their_requests_in_order() {
    let mut mux = mux();
    for n in 1..=3 {
        mux.request(&Say(ORDERED, &[b'a'; 3][..n]), n as u32).unwrap();
    }
    assert_eq!(transmit(&mut mux), b"o\x01ao\x02aao\x03aaa");
    for frame in [&b"o\x01a"[..], b"o\x02aa", b"o\x03aaa"] {
        reply(&mut mux, frame);
    }
    for n in 1..=3 {
        let (waiter, reply) = answer(&mut mux).unwrap();
        assert_eq!((waiter, reply.unwrap().len()), (n, n as usize));
    }
    assert_eq!((mux.waiting(), mux.in_flight(), mux.report().answered), (0, 0, 3));
}

#[test]
fn requests_are_written_in_their_framing_whatever_the_length_of_its_head() {
    let mut mux = Mux::new(LengthPrefixed::u32_be(), Echo::default(), Limits::default());
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    assert_eq!(transmit(&mut mux), b"\0\0\0\x05o\x01one\0\0\0\x05o\x02two");

    // The head grows with the payload: both guesses are wrong once.
    let mut mux = Mux::new(Varint::default(), Echo::default(), Limits::default());
    let long = [b'x'; 200];
    mux.request(&Say(ORDERED, b"a"), 1).unwrap();
    mux.request(&Say(ORDERED, &long), 2).unwrap();
    mux.request(&Say(ORDERED, b"b"), 3).unwrap();
    let written = [b"\x03o\x01a\xca\x01o\x02", &long[..], b"\x03o\x03b"].concat();
    assert_eq!(transmit(&mut mux), written);
}

#[test]
fn a_reply_in_another_lane_may_overtake() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"slow"), 1).unwrap();
    mux.request(&Say(URGENT, b"fast"), 2).unwrap();
    transmit(&mut mux);
    reply(&mut mux, b"u\x02fast");
    reply(&mut mux, b"o\x01slow");
    assert_eq!(waiters(&mut mux), [2, 1]);
}

#[test]
fn replies_that_are_tagged_come_in_any_order() {
    let mut mux = mux();
    for n in 1..=4 {
        mux.request(&Say(TAGGED, b"x"), n).unwrap();
    }
    transmit(&mut mux);
    for frame in [b"t\x03x", b"t\x01x", b"t\x04x", b"t\x02x"] {
        reply(&mut mux, frame);
    }
    assert_eq!(waiters(&mut mux), [3, 1, 4, 2]);
    assert_eq!(fault(&mut mux, b"t\x01x"), Fault::Unasked { lane: None, found: "1".into() });
}

#[test]
fn a_tag_names_one_call_at_a_time() {
    let mut mux = mux();
    for n in 0..255 {
        mux.request(&Say(TAGGED, b"x"), n).unwrap();
    }
    mux.request(&Say(TAGGED, b"x"), 255).unwrap(); // tag 0: the counter has wrapped
    assert!(matches!(mux.request(&Say(TAGGED, b"x"), 256), Err((Error::TagInUse, 256))));
    transmit(&mut mux);
    reply(&mut mux, b"t\x02x");
    mux.request(&Say(TAGGED, b"x"), 257).unwrap();
    assert_eq!(transmit(&mut mux), b"t\x02x", "nothing of the one that was turned away is sent");
}

#[test]
fn events_and_replies_come_out_in_the_order_they_came_in() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"x"), 1).unwrap();
    transmit(&mut mux);
    reply(&mut mux, b"!before");
    reply(&mut mux, b"o\x01x");
    reply(&mut mux, b"!after");
    assert!(matches!(mux.poll_output(), Some(Output::Event(e)) if e == b"before"));
    assert!(matches!(mux.poll_output(), Some(Output::Answer { waiter: 1, .. })));
    assert!(matches!(mux.poll_output(), Some(Output::Event(e)) if e == b"after"));
    assert!(mux.poll_output().is_none());
    assert_eq!(mux.report().events, 2);
}

#[test]
fn a_cancelled_call_keeps_its_place_and_its_late_reply_is_settled_and_counted() {
    let mut mux = mux();
    let first = mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    assert_eq!(mux.cancel(first), Some(1));
    assert_eq!(mux.cancel(first), None, "a waiter comes back once");
    assert_eq!(transmit(&mut mux), b"o\x01oneo\x02two", "a cancelled request is sent all the same");
    reply(&mut mux, b"o\x01one");
    reply(&mut mux, b"o\x02two");
    assert_eq!(waiters(&mut mux), [2]);
    assert_eq!((mux.report().late, mux.protocol().frames, mux.protocol().settled), (1, 2, 2));
}

#[test]
fn a_cancellation_that_comes_too_late_hits_no_other_call() {
    let mut mux = mux();
    let first = mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    transmit(&mut mux);
    reply(&mut mux, b"o\x01one");
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    assert_eq!(mux.cancel(first), None);
    transmit(&mut mux);
    reply(&mut mux, b"o\x02two");
    assert_eq!(waiters(&mut mux), [1, 2]);
}

#[test]
fn the_wrong_tag_is_the_peers_fault_and_answers_no_call() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    transmit(&mut mux);
    let expected = Fault::OutOfOrder { lane: "Ordered".into(), expected: "1".into(), found: "9".into() };
    assert_eq!(fault(&mut mux, b"o\x09one"), expected);
    assert!(mux.poll_output().is_none());
    mux.handle_disconnect(Unsent::Fail);
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::MaybeExecuted)))));
}

#[test]
fn an_answer_to_nothing_is_the_peers_fault() {
    for (lane, name) in [(ORDERED, Some("Ordered".to_owned())), (TAGGED, None)] {
        let mut mux = mux();
        let frame = if lane == ORDERED { b"o\x01one" } else { b"t\x01one" };
        let unasked = Fault::Unasked { lane: name, found: "1".into() };
        assert_eq!(fault(&mut mux, frame), unasked);
        // The right tag, guessed before the request left.
        mux.request(&Say(lane, b"one"), 1).unwrap();
        assert_eq!(fault(&mut mux, frame), unasked);
        let block = mux.poll_transmit().unwrap();
        mux.handle_written(block.len() - 1);
        assert_eq!(fault(&mut mux, frame), unasked, "half of it is not all of it");
        mux.handle_written(1);
        reply(&mut mux, frame);
    }
}

#[test]
fn a_frame_that_says_not_what_it_answers_is_the_peers_fault() {
    let mut mux = mux();
    assert_eq!(fault(&mut mux, b""), Fault::Unclassified { len: 0, source: Wrong::Short(0) });
    assert_eq!(fault(&mut mux, b"x1"), Fault::Unclassified { len: 2, source: Wrong::Lane(b'x') });
}

#[test]
fn a_reply_that_cannot_be_settled_is_the_peers_fault_and_leaves_its_call_unanswered() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"#"), 1).unwrap();
    transmit(&mut mux);
    assert_eq!(fault(&mut mux, b"o\x01#"), Fault::Unsettled(Wrong::Unsettling));
    mux.handle_disconnect(Unsent::Fail);
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::MaybeExecuted)))));
    assert_eq!(mux.report().unanswered, 1);
}

#[test]
fn a_reply_that_makes_no_sense_fails_its_own_call_only() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    transmit(&mut mux);
    reply(&mut mux, b"o\x01o");
    reply(&mut mux, b"o\x02two");
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::Decode(Wrong::Length { asked: 3, got: 1 }))))));
    assert!(matches!(answer(&mut mux), Some((2, Ok(reply))) if reply == "two"));
    mux.note_undecodable();
    assert_eq!((mux.report().answered, mux.report().undecodable), (1, 1));
}

#[test]
fn a_reply_that_was_skipped_for_its_size_fails_its_own_call_only() {
    let mut mux = mux();
    for n in 1..=3 {
        mux.request(&Say(ORDERED, b"one"), n).unwrap();
    }
    let gone = mux.request(&Say(TAGGED, b"one"), 4).unwrap();
    mux.cancel(gone);
    transmit(&mut mux);
    reply(&mut mux, b"o\x01one");
    mux.handle_skipped(b"o\x02", 1 << 40, 100).unwrap();
    reply(&mut mux, b"o\x03one");
    mux.handle_skipped(b"t\x04", 101, 100).unwrap();
    let answers = answers(&mut mux);
    assert!(matches!(&answers[..], [(1, Ok(_)), (2, Err(error)), (3, Ok(_))]
        if matches!(error, Error::ReplyTooLarge { len: 0x100_0000_0000, max: 100 })
            && error.maybe_executed() && !error.is_retryable() && error.peer_usable()));
    let report = mux.report();
    assert_eq!((report.too_large, report.late, mux.protocol().settled, mux.waiting()), (1, 1, 4, 0));
    assert!(mux.handle_skipped(b"o\x05", 101, 100).is_err(), "nothing was asked");
}

#[test]
fn at_the_end_each_call_fails_once_and_says_whether_it_was_sent() {
    let mut mux = mux();
    for n in 1..=4 {
        mux.request(&Say(if n % 2 == 0 { URGENT } else { ORDERED }, b"x"), n).unwrap();
    }
    mux.poll_transmit().unwrap();
    mux.handle_written(8); // two, and two bytes of the third: a peer cannot execute a part of a request
    mux.handle_disconnect(Unsent::Fail);
    mux.handle_disconnect(Unsent::Fail);
    let sent: Vec<_> =
        answers(&mut mux).iter().map(|(n, result)| (*n, result.as_ref().unwrap_err().maybe_executed())).collect();
    assert_eq!(sent, [(1, true), (2, true), (3, false), (4, false)]);
    let (error, waiter) = mux.request(&Say(ORDERED, b"x"), 5).unwrap_err();
    assert!(matches!((error, waiter), (Error::NeverSent, 5)));
    assert_eq!(fault(&mut mux, b"o\x01x"), Fault::AfterEnd);
    assert!(mux.poll_transmit().is_none() && !mux.has_transmit());
    assert_eq!((mux.report().unanswered, mux.report().never_sent, mux.outbox_bytes()), (2, 2, 0));
}

#[test]
fn when_only_writing_ends_what_was_sent_may_still_be_answered() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"sent"), 1).unwrap();
    transmit(&mut mux);
    mux.request(&Say(ORDERED, b"not sent"), 2).unwrap();
    mux.handle_write_closed(Unsent::Fail);
    assert!(matches!(answer(&mut mux), Some((2, Err(Error::NeverSent)))));
    reply(&mut mux, b"o\x01sent");
    assert!(matches!(answer(&mut mux), Some((1, Ok(_)))));
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 3), Err((Error::NeverSent, 3))));
}

#[test]
fn calls_that_were_not_sent_can_be_kept_for_the_next_connection_in_their_order() {
    let mut mux = mux();
    for n in 1..=5 {
        mux.request(&Say(ORDERED, b"x"), n).unwrap();
    }
    let block = mux.poll_transmit().unwrap();
    assert_eq!(block.len(), 15);
    mux.request(&Say(URGENT, b"y"), 6).unwrap();
    mux.request_with(&Say(URGENT, b"z"), Options::new().with_urgency(Urgency::Ahead), 7).unwrap();
    mux.handle_written(7); // two, and a byte of the third
    mux.handle_disconnect(Unsent::Keep);
    let failed: Vec<_> =
        answers(&mut mux).iter().map(|(n, result)| (*n, result.as_ref().unwrap_err().maybe_executed())).collect();
    assert_eq!(failed, [(1, true), (2, true), (7, false)]);
    mux.request(&Say(ORDERED, b"w"), 8).unwrap();
    assert!(mux.poll_transmit().is_none() && !mux.has_transmit(), "there is no connection");
    assert_eq!((mux.waiting(), mux.in_flight(), mux.outbox_bytes()), (5, 0, 15));

    mux.handle_connect();
    assert_eq!(fault(&mut mux, b"o\x03x"), Fault::Unasked { lane: Some("Ordered".into()), found: "3".into() });
    assert_eq!(transmit(&mut mux), b"o\x03xo\x04xo\x05xu\x06yo\x08w");
    for frame in [b"o\x03x", b"o\x04x", b"o\x05x", b"u\x06y", b"o\x08w"] {
        reply(&mut mux, frame);
    }
    assert_eq!(waiters(&mut mux), [3, 4, 5, 6, 8]);
    let report = mux.report();
    assert_eq!((report.made, report.answered, report.unanswered, report.never_sent), (8, 5, 2, 1));
}

#[test]
fn calls_that_were_kept_can_still_be_given_up() {
    let mut mux = mux();
    mux.handle_disconnect(Unsent::Keep);
    mux.request(&Say(ORDERED, b"x"), 1).unwrap();
    mux.handle_disconnect(Unsent::Fail);
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::NeverSent)))));
    mux.handle_connect();
    mux.request(&Say(ORDERED, b"y"), 2).unwrap();
    assert_eq!(transmit(&mut mux), b"o\x02y");
}

#[test]
fn priming_calls_go_first_and_hold_the_others_back_until_they_are_answered() {
    let priming = Options::new().with_urgency(Urgency::Priming);
    let ahead = Options::new().with_urgency(Urgency::Ahead);
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"1"), 1).unwrap();
    mux.request_with(&Say(ORDERED, b"2"), priming, 2).unwrap();
    let third = mux.request_with(&Say(TAGGED, b"3"), priming, 3).unwrap();
    assert_eq!(transmit(&mut mux), b"o\x022t\x033");
    mux.cancel(third);
    reply(&mut mux, b"o\x022");
    mux.request_with(&Say(URGENT, b"4"), ahead, 4).unwrap();
    assert_eq!(transmit(&mut mux), b"u\x044", "a ping is not held back, and holds nothing back");
    assert!(!mux.has_transmit());
    reply(&mut mux, b"t\x033"); // its caller has gone, and it primes even so
    assert!(mux.has_transmit());
    assert_eq!(transmit(&mut mux), b"o\x011");
    // In their lane they were sent, and so are answered, in another order than they were called.
    reply(&mut mux, b"o\x011");
    assert_eq!(waiters(&mut mux), [2, 1]);
}

#[test]
fn priming_calls_do_not_outlive_their_connection() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"user"), 1).unwrap();
    for n in 2..4 {
        mux.request_with(&Say(ORDERED, b"p"), Options::new().with_urgency(Urgency::Priming), n).unwrap();
    }
    let block = mux.poll_transmit().unwrap();
    mux.handle_written(block.len() - 1);
    mux.handle_disconnect(Unsent::Keep);
    assert_eq!(waiters(&mut mux), [2, 3]);
    mux.handle_connect();
    assert_eq!(transmit(&mut mux), b"o\x01user", "nothing primes the new connection yet");
}

#[test]
fn an_expired_call_that_was_not_sent_is_withdrawn_and_never_sent() {
    let now = Instant::now();
    let by = |secs| Options::new().with_deadline(now + Duration::from_secs(secs));
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"1"), 1).unwrap();
    mux.request_with(&Say(ORDERED, b"2"), by(1), 2).unwrap();
    mux.request_with(&Say(TAGGED, b"3"), by(2), 3).unwrap();
    mux.request_with(&Say(ORDERED, b"4"), by(3), 4).unwrap();
    assert_eq!(mux.poll_timeout(), Some(now + Duration::from_secs(1)));
    mux.handle_timeout(now);
    assert!(mux.poll_output().is_none(), "no time is up");
    mux.handle_timeout(now + Duration::from_secs(2));
    for n in [2, 3] {
        let Some((waiter, Err(error))) = answer(&mut mux) else { panic!("two calls have expired") };
        assert!(matches!(error, Error::TimedOut { maybe_executed: false }) && error.is_retryable());
        assert_eq!(waiter, n);
    }
    assert!(mux.recall().is_none(), "the connection had nothing of them");
    assert_eq!((mux.waiting(), mux.outbox_bytes()), (2, 6));
    assert_eq!(transmit(&mut mux), b"o\x011o\x044");
    reply(&mut mux, b"o\x011");
    reply(&mut mux, b"o\x044");
    assert_eq!(waiters(&mut mux), [1, 4]);
    let report = mux.report();
    assert_eq!((report.made, report.answered, report.withdrawn, report.timed_out), (4, 2, 2, 2));
    mux.handle_timeout(now + Duration::from_secs(100));
    assert!(mux.poll_output().is_none() && mux.poll_timeout().is_none());
}

#[test]
fn an_expired_call_is_called_back_from_the_connection_unless_a_byte_of_it_is_written() {
    let now = Instant::now();
    let expiring = Options::new().with_deadline(now);
    let mut mux = mux();
    mux.request_with(&Say(ORDERED, b"1"), expiring, 1).unwrap();
    mux.request_with(&Say(ORDERED, b"2"), expiring, 2).unwrap();
    mux.request(&Say(ORDERED, b"3"), 3).unwrap();
    mux.request_with(&Say(TAGGED, b"4"), expiring, 4).unwrap();
    mux.request(&Say(TAGGED, b"5"), 5).unwrap();
    let block = mux.poll_transmit().unwrap();
    mux.handle_written(1);
    mux.handle_timeout(now);
    let sent: Vec<_> =
        answers(&mut mux).iter().map(|(n, result)| (*n, result.as_ref().unwrap_err().maybe_executed())).collect();
    assert_eq!(sent, [(1, true), (2, false), (4, false)]);
    let rest = mux.recall().unwrap();
    assert_eq!([&block[..1], &rest].concat(), b"o\x011o\x033t\x055");
    assert!(mux.recall().is_none());
    mux.request_with(&Say(ORDERED, b"6"), expiring, 6).unwrap();
    mux.poll_transmit().unwrap();
    mux.handle_timeout(now);
    assert_eq!(mux.recall().unwrap(), rest, "the numbers of what is taken are still right");
    mux.handle_written(rest.len());
    assert_eq!((mux.outbox_bytes(), mux.in_flight(), mux.waiting()), (0, 3, 3));
    for frame in [b"o\x011", b"o\x033", b"t\x055"] {
        reply(&mut mux, frame);
    }
    assert_eq!(waiters(&mut mux), [6, 3, 5]);
    assert_eq!((mux.report().late, mux.report().withdrawn, mux.report().timed_out), (1, 3, 4));
}

#[test]
fn the_late_reply_to_an_expired_call_is_recognised() {
    let now = Instant::now();
    let mut mux = mux();
    mux.request_with(&Say(ORDERED, b"1"), Options::new().with_deadline(now), 1).unwrap();
    mux.request(&Say(ORDERED, b"2"), 2).unwrap();
    transmit(&mut mux);
    mux.handle_timeout(now);
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::TimedOut { maybe_executed: true })))));
    reply(&mut mux, b"o\x011");
    reply(&mut mux, b"o\x022");
    assert_eq!(waiters(&mut mux), [2]);
    assert_eq!((mux.report().late, mux.report().timed_out), (1, 1));
}

#[test]
fn what_is_kept_can_still_expire() {
    let now = Instant::now();
    let mut mux = mux();
    mux.request_with(&Say(ORDERED, b"1"), Options::new().with_deadline(now), 1).unwrap();
    mux.request(&Say(ORDERED, b"2"), 2).unwrap();
    mux.poll_transmit().unwrap();
    mux.handle_disconnect(Unsent::Keep);
    mux.handle_timeout(now);
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::TimedOut { maybe_executed: false })))));
    mux.handle_connect();
    assert_eq!(transmit(&mut mux), b"o\x022");
}

#[test]
fn no_more_calls_than_allowed_are_before_the_peer_at_once() {
    let mut mux = Mux::new(Raw, Echo::default(), Limits::default().with_max_in_flight(2));
    for n in 1..=3 {
        mux.request(&Say(ORDERED, b"x"), n).unwrap();
    }
    assert_eq!(transmit(&mut mux), b"o\x01xo\x02x");
    assert!(!mux.has_transmit());
    mux.request_with(&Say(URGENT, b"p"), Options::new().with_urgency(Urgency::Ahead), 4).unwrap();
    assert_eq!(transmit(&mut mux), b"u\x04p", "what keeps the connection going is not held back");
    reply(&mut mux, b"u\x04p");
    reply(&mut mux, b"o\x01x");
    assert_eq!(transmit(&mut mux), b"o\x03x");
}

#[test]
fn after_finish_no_calls_are_taken_and_the_old_ones_go_on() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"last"), 1).unwrap();
    mux.finish();
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 2), Err((Error::Finished, 2))));
    transmit(&mut mux);
    reply(&mut mux, b"o\x01last");
    assert!(matches!(answer(&mut mux), Some((1, Ok(_)))));
}

#[test]
fn each_limit_turns_a_call_away_and_sends_nothing_of_it() {
    let limits = Limits::default().with_max_request(10).with_max_outbox(12).with_max_calls(3);
    let mut mux = Mux::new(Raw, Echo::default(), limits);
    assert_eq!(mux.limits(), limits);
    assert!(matches!(mux.request(&Say(ORDERED, b"123456789"), 1), Err((Error::TooLarge { len: 11, max: 10 }, 1))));
    assert!(matches!(mux.request(&Say(ORDERED, b""), 1), Err((Error::Encode(Wrong::Silence), 1))));
    mux.request(&Say(ORDERED, b"12345678"), 1).unwrap();
    assert!(matches!(mux.request(&Say(ORDERED, b"1"), 2), Err((Error::OutboxFull { queued: 10, len: 3, max: 12 }, 2))));
    mux.set_limits(limits.with_max_outbox(13));
    mux.request(&Say(ORDERED, b"1"), 2).expect("the limit itself may be reached");
    assert_eq!(transmit(&mut mux), b"o\x0212345678o\x041");
    reply(&mut mux, b"o\x0212345678");
    assert!(answer(&mut mux).is_some());
    mux.request(&Say(ORDERED, b"1"), 3).unwrap();
    mux.request(&Say(ORDERED, b"1"), 4).unwrap();
    assert!(matches!(mux.request(&Say(ORDERED, b"1"), 5), Err((Error::TooManyCalls { max: 3 }, 5))));
    mux.request_with(&Say(ORDERED, b"12345678"), Options::new().beyond_limits(), 5).unwrap();
    assert_eq!(transmit(&mut mux), b"o\x051o\x061o\x0712345678");
}

#[test]
fn a_request_larger_than_the_whole_outbox_goes_alone() {
    let mut mux = Mux::new(Raw, Echo::default(), Limits::default().with_max_outbox(1));
    mux.request(&Say(ORDERED, b"larger than that"), 1).unwrap();
    assert_eq!((mux.outbox_bytes(), mux.has_transmit()), (18, true));
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 2), Err((Error::OutboxFull { queued: 18, len: 3, max: 1 }, 2))));
    let block = mux.poll_transmit().unwrap();
    assert_eq!((block.len(), mux.has_transmit(), mux.outbox_bytes()), (18, false, 18));
    mux.handle_written(17);
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 2), Err((Error::OutboxFull { .. }, 2))), "a byte is missing");
    mux.handle_written(1);
    assert_eq!(mux.outbox_bytes(), 0);
    mux.request(&Say(ORDERED, b"x"), 2).unwrap();
}

#[test]
fn a_request_that_the_framing_cannot_carry_is_turned_away() {
    let mut mux = Mux::new(frame_codec::Delimited::lines(), Echo::default(), Limits::default());
    mux.request(&Say(ORDERED, b"a"), 1).unwrap();
    let (error, waiter) = mux.request(&Say(ORDERED, b"a\nb"), 2).unwrap_err();
    assert!(matches!(error, Error::Framing(frame_codec::EncodeError::DelimiterInPayload { at: 3 })) && waiter == 2);
    assert!(!error.maybe_executed() && !error.is_retryable() && error.peer_usable());
    mux.request(&Say(ORDERED, b"c"), 3).unwrap();
    assert_eq!(transmit(&mut mux), b"o\x01a\no\x03c\n");
}

#[test]
fn large_bursts_leave_in_blocks_of_whole_requests() {
    let mut mux = mux();
    let text = vec![b'x'; 100_000];
    for n in 0..7 {
        mux.request(&Say(ORDERED, &text), n).unwrap();
    }
    let mut blocks = Vec::new();
    while let Some(block) = mux.poll_transmit() {
        mux.handle_written(block.len());
        blocks.push(block.len());
    }
    assert_eq!(blocks, [200_004, 200_004, 200_004, 100_002]);
    assert_eq!((mux.outbox_bytes(), mux.in_flight()), (0, 7));
}

#[test]
fn calls_that_end_take_no_deadline_of_another_with_them() {
    let now = Instant::now();
    let later = |seconds| Options::new().with_deadline(now + Duration::from_secs(seconds));
    let mut mux = mux();
    mux.request_with(&Say(ORDERED, b"patient"), later(100), 0).unwrap();
    transmit(&mut mux);
    // Many more than are left in the heap when their calls have ended; each place in the table is used many times, also
    // while the call that had it before is still in the heap.
    for tag in 0..1000_u32 {
        mux.request_with(&Say(Lane::Tagged, b"x"), later(200), tag).unwrap();
        let request = transmit(&mut mux);
        reply(&mut mux, &request);
        assert!(matches!(answer(&mut mux), Some((_, Ok(_)))));
    }
    assert_eq!(mux.poll_timeout(), Some(now + Duration::from_secs(100)));
    mux.handle_timeout(now + Duration::from_secs(100));
    assert!(matches!(answer(&mut mux), Some((0, Err(Error::TimedOut { maybe_executed: true })))));
}

#[test]
fn outputs_are_printed_without_what_they_carry() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"secret"), 7).unwrap();
    transmit(&mut mux);
    reply(&mut mux, b"o\x01secret");
    reply(&mut mux, b"!secret");
    let printed = [mux.poll_output(), mux.poll_output()].map(|output| format!("{output:?}"));
    assert_eq!(printed, ["Some(Answer { waiter: 7, result: Ok(Reply(8 bytes)) })", "Some(Event)"]);
}

#[test]
fn a_connection_that_begins_without_the_end_of_the_last_one_ends_it() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"sent"), 1).unwrap();
    transmit(&mut mux);
    mux.request(&Say(ORDERED, b"kept"), 2).unwrap();
    mux.handle_connect();
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::MaybeExecuted)))));
    assert_eq!(transmit(&mut mux), b"o\x02kept");
    // After an orderly end the calls in between are kept, or not, as was said then.
    mux.handle_disconnect(Unsent::Fail);
    assert!(matches!(answer(&mut mux), Some((2, Err(Error::MaybeExecuted)))));
    mux.handle_connect();
    assert!(answer(&mut mux).is_none());
}
