//! The rules of the multiplexer, one by one.

#[path = "support/echo.rs"]
mod echo;

use echo::{Echo, Lane, Say, Wrong};
use packetizer::{Error, Fault, Limits, Mux, Output};

type EchoMux = Mux<Echo, u32>;
type Answer = (u32, Result<Vec<u8>, Error<Wrong>>);

const ORDERED: Lane = Lane::Ordered;
const URGENT: Lane = Lane::Urgent;

fn mux() -> EchoMux {
    Mux::new(Echo::default(), Limits::default())
}

/// Hands everything queued to a connection that takes all of it.
fn transmit(mux: &mut EchoMux) -> Vec<Vec<u8>> {
    let frames: Vec<_> = std::iter::from_fn(|| mux.poll_transmit().map(<[u8]>::to_vec)).collect();
    mux.handle_sent(frames.len());
    frames
}

fn answer(mux: &mut EchoMux) -> Option<Answer> {
    match mux.poll_output()? {
        Output::Answer { waiter, result } => Some((waiter, result)),
        Output::Event(event) => panic!("an event: {event:?}"),
    }
}

#[test]
fn replies_go_to_their_requests_in_order() {
    let mut mux = mux();
    for n in 1..=3 {
        mux.request(&Say(ORDERED, &[b'a'; 3][..n]), n as u32).unwrap();
    }
    for frame in transmit(&mut mux) {
        mux.handle_frame(&frame).unwrap();
    }
    for n in 1..=3 {
        let (waiter, reply) = answer(&mut mux).unwrap();
        assert_eq!((waiter, reply.unwrap().len()), (n, n as usize));
    }
    assert_eq!((mux.waiting(), mux.account().answered), (0, 3));
}

#[test]
fn a_reply_in_another_lane_may_overtake() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"slow"), 1).unwrap();
    mux.request(&Say(URGENT, b"fast"), 2).unwrap();
    let frames = transmit(&mut mux);
    mux.handle_frame(&frames[1]).unwrap();
    mux.handle_frame(&frames[0]).unwrap();
    assert_eq!(answer(&mut mux).unwrap().0, 2);
    assert_eq!(answer(&mut mux).unwrap().0, 1);
}

#[test]
fn events_and_replies_come_out_in_the_order_they_came_in() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"x"), 1).unwrap();
    let frames = transmit(&mut mux);
    mux.handle_frame(b"!before").unwrap();
    mux.handle_frame(&frames[0]).unwrap();
    mux.handle_frame(b"!after").unwrap();
    assert!(matches!(mux.poll_output(), Some(Output::Event(e)) if e == b"before"));
    assert!(matches!(mux.poll_output(), Some(Output::Answer { waiter: 1, .. })));
    assert!(matches!(mux.poll_output(), Some(Output::Event(e)) if e == b"after"));
    assert!(mux.poll_output().is_none());
}

#[test]
fn a_cancelled_call_keeps_its_place_and_its_late_reply_is_counted() {
    let mut mux = mux();
    let first = mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    assert_eq!(mux.cancel(first), Some(1));
    assert_eq!(mux.cancel(first), None, "a waiter comes back once");
    let frames = transmit(&mut mux);
    assert_eq!(frames.len(), 2, "a cancelled request is sent all the same");
    for frame in &frames {
        mux.handle_frame(frame).unwrap();
    }
    assert_eq!(answer(&mut mux).unwrap().0, 2);
    assert_eq!((mux.account().late, mux.protocol().frames), (1, 2), "the protocol sees late replies too");
}

#[test]
fn a_cancellation_that_comes_too_late_hits_nobody_else() {
    let mut mux = mux();
    let first = mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    let frames = transmit(&mut mux);
    mux.handle_frame(&frames[0]).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    assert_eq!(mux.cancel(first), None);
    let frames = transmit(&mut mux);
    mux.handle_frame(&frames[0]).unwrap();
    assert_eq!(answer(&mut mux).unwrap().0, 1);
    assert_eq!(answer(&mut mux).unwrap().0, 2);
}

#[test]
fn the_wrong_tag_is_the_peers_fault_and_answers_nobody() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    transmit(&mut mux);
    let fault = mux.handle_frame(b"o\x09one").unwrap_err();
    assert_eq!(fault, Fault::OutOfOrder { lane: "Ordered".into(), expected: "1".into(), found: "9".into() });
    assert!(mux.poll_output().is_none());
    mux.handle_disconnect();
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::MaybeExecuted)))));
}

#[test]
fn an_answer_to_nothing_is_the_peers_fault() {
    let mut mux = mux();
    let unasked = |tag: &str| Fault::Unasked { lane: "Ordered".into(), found: tag.into() };
    assert_eq!(mux.handle_frame(b"o\x01"), Err(unasked("1")));
    // The right tag, guessed before the request left.
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    assert_eq!(mux.handle_frame(b"o\x01one"), Err(unasked("1")));
    assert!(mux.poll_transmit().is_some());
    assert_eq!(mux.handle_frame(b"o\x01one"), Err(unasked("1")), "taken is not sent");
}

#[test]
fn a_frame_without_an_address_is_the_peers_fault() {
    let mut mux = mux();
    assert_eq!(mux.handle_frame(b""), Err(Fault::Unclassified { len: 0, source: Wrong::Short(0) }));
    assert_eq!(mux.handle_frame(b"x1"), Err(Fault::Unclassified { len: 2, source: Wrong::Lane(b'x') }));
}

#[test]
fn a_reply_that_makes_no_sense_fails_its_own_call_only() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"one"), 1).unwrap();
    mux.request(&Say(ORDERED, b"two"), 2).unwrap();
    transmit(&mut mux);
    mux.handle_frame(b"o\x01o").unwrap();
    mux.handle_frame(b"o\x02two").unwrap();
    assert!(matches!(answer(&mut mux), Some((1, Err(Error::Decode(Wrong::Length { asked: 3, got: 1 }))))));
    assert!(matches!(answer(&mut mux), Some((2, Ok(reply))) if reply == b"two"));
}

#[test]
fn at_the_end_each_call_fails_once_and_says_whether_it_was_sent() {
    let mut mux = mux();
    for n in 1..=4 {
        mux.request(&Say(if n % 2 == 0 { URGENT } else { ORDERED }, b"x"), n).unwrap();
    }
    for _ in 0..3 {
        mux.poll_transmit().unwrap();
    }
    mux.handle_sent(2); // the third is half-way out: a peer cannot execute half a request
    mux.handle_disconnect();
    mux.handle_disconnect();
    let answers: Vec<_> = std::iter::from_fn(|| answer(&mut mux)).collect();
    let sent: Vec<_> = answers.iter().map(|(n, result)| (*n, result.as_ref().unwrap_err().maybe_executed())).collect();
    assert_eq!(sent, [(1, true), (2, true), (3, false), (4, false)]);
    let (error, waiter) = mux.request(&Say(ORDERED, b"x"), 5).unwrap_err();
    assert!(matches!((error, waiter), (Error::NeverSent, 5)));
    assert_eq!(mux.handle_frame(b"o\x01x"), Err(Fault::AfterEnd));
    assert!(mux.poll_transmit().is_none());
}

#[test]
fn when_only_writing_ends_what_was_sent_may_still_be_answered() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"sent"), 1).unwrap();
    let frames = transmit(&mut mux);
    mux.request(&Say(ORDERED, b"not sent"), 2).unwrap();
    mux.handle_write_closed();
    assert!(matches!(answer(&mut mux), Some((2, Err(Error::NeverSent)))));
    mux.handle_frame(&frames[0]).unwrap();
    assert!(matches!(answer(&mut mux), Some((1, Ok(_)))));
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 3), Err((Error::NeverSent, 3))));
}

#[test]
fn after_finish_no_calls_are_taken_and_the_old_ones_go_on() {
    let mut mux = mux();
    mux.request(&Say(ORDERED, b"last"), 1).unwrap();
    mux.finish();
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 2), Err((Error::Finished, 2))));
    let frames = transmit(&mut mux);
    mux.handle_frame(&frames[0]).unwrap();
    assert!(matches!(answer(&mut mux), Some((1, Ok(_)))));
}

#[test]
fn each_limit_turns_a_call_away_and_sends_nothing_of_it() {
    let limits = Limits::default().with_max_request(10).with_max_outbox(12).with_max_calls(3);
    let mut mux = Mux::new(Echo::default(), limits);
    assert!(matches!(mux.request(&Say(ORDERED, b"123456789"), 1), Err((Error::TooLarge { len: 11, max: 10 }, 1))));
    assert!(matches!(mux.request(&Say(ORDERED, b""), 1), Err((Error::Encode(Wrong::Silence), 1))));
    mux.request(&Say(ORDERED, b"12345678"), 1).unwrap();
    assert!(matches!(mux.request(&Say(ORDERED, b"1"), 2), Err((Error::OutboxFull { queued: 10, len: 3, max: 12 }, 2))));
    assert_eq!(transmit(&mut mux), [b"o\x0212345678"]);
    mux.request(&Say(ORDERED, b"1"), 2).unwrap();
    mux.request(&Say(ORDERED, b"1"), 3).unwrap();
    assert!(matches!(mux.request(&Say(ORDERED, b"1"), 4), Err((Error::TooManyCalls { max: 3 }, 4))));
    assert_eq!(transmit(&mut mux).len(), 2);
}

#[test]
fn one_request_is_always_admitted_to_an_empty_outbox() {
    let mut mux = Mux::new(Echo::default(), Limits::default().with_max_outbox(1));
    mux.request(&Say(ORDERED, b"larger than that"), 1).unwrap();
    assert!(matches!(mux.request(&Say(ORDERED, b"x"), 2), Err((Error::OutboxFull { .. }, 2))));
}
