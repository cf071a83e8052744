//! A scripted receiver: first correct, then wrong in every way that the ledger must notice.

use super::*;

const LINES: [&str; 5] = ["one", "", "two", "", "three"];

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    let lines = || LINES.map(|line| line.as_bytes().to_vec()).to_vec();
    ledger.expect("connecting", Key::Pid(10), lines());
    ledger.expect("binding", Key::Path("/t/b.sock".into()), lines());
    ledger
}

fn joined(producer: u64, via: Via, pid: u32, path: &str) -> Event {
    Event::Joined { producer, address: format!("unix:{path}"), via, pid: Some(pid) }
}

fn message(producer: u64, text: &str) -> Event {
    Event::Message { producer, payload: text.as_bytes().to_vec() }
}

fn left(producer: u64, delivered: u64) -> Event {
    let counts = Counts { received: delivered, delivered, bytes: 11, ..Counts::default() };
    Event::Left { producer, counts, reason: "closed".into() }
}

/// Two producers with alternating messages. The second one joins first.
fn perfect() -> Vec<Event> {
    let mut events = vec![joined(7, Via::Dir, 999, "/t/b.sock"), joined(4, Via::Listen, 10, "/t/in.sock")];
    for line in LINES {
        events.extend([message(4, line), message(7, line)]);
    }
    events.extend([left(4, 5), left(7, 5)]);
    events
}

fn problems(events: &[Event]) -> Vec<String> {
    let mut ledger = ledger();
    for event in events {
        ledger.handle(event);
    }
    ledger.problems()
}

#[test]
fn every_line_once_and_in_order_is_no_problem() {
    let mut ledger = ledger();
    let events = perfect();
    for event in &events[..events.len() - 1] {
        assert!(ledger.handle(event).is_some());
        assert!(!ledger.is_settled());
    }
    assert_eq!(ledger.handle(&events[events.len() - 1]), Some(1));
    assert!(ledger.is_settled());
    assert_eq!(ledger.problems(), [""; 0]);
    let totals = Counts { received: 10, delivered: 10, truncated: 0, lost: 0, bytes: 22 };
    assert_eq!(ledger.totals(), totals);
    assert_eq!(ledger.problems_of_report(2, totals), [""; 0]);
    assert_eq!(ledger.problems_of_report(3, totals).len(), 1);
    assert_eq!(ledger.problems_of_report(2, Counts { lost: 1, ..totals }).len(), 1);
}

#[test]
fn whatever_one_event_says_wrong_is_seen() {
    // Every event left out, repeated, or swapped with the next one of the same producer.
    let perfect = perfect();
    let producer = |event: &Event| match event {
        Event::Joined { producer, .. } | Event::Message { producer, .. } | Event::Left { producer, .. } => *producer,
        _ => 0,
    };
    for at in 0..perfect.len() {
        let mut without = perfect.clone();
        without.remove(at);
        assert!(!problems(&without).is_empty(), "left out: {:?}", perfect[at]);

        let mut twice = perfect.clone();
        twice.insert(at, perfect[at].clone());
        assert!(!problems(&twice).is_empty(), "twice: {:?}", perfect[at]);

        let next = (at + 1..perfect.len()).find(|&next| producer(&perfect[next]) == producer(&perfect[at]));
        if let Some(next) = next {
            let mut swapped = perfect.clone();
            swapped.swap(at, next);
            assert!(!problems(&swapped).is_empty(), "swapped: {:?}", perfect[at]);
        }
    }
}

#[test]
fn a_changed_byte_is_told_with_its_line() {
    let mut events = perfect();
    events[6] = message(4, "tvo");
    assert_eq!(problems(&events), [r#"connecting: at line 3 came "tvo", not "two""#]);
}

#[test]
fn missing_and_repeated_lines_are_told_as_such() {
    let unique: Vec<Vec<u8>> = ["a", "b", "c"].map(|line| line.as_bytes().to_vec()).to_vec();
    let complaint = |sent: &[&str]| {
        let mut ledger = Ledger::default();
        ledger.expect("p", Key::Pid(1), unique.clone());
        ledger.handle(&joined(1, Via::Listen, 1, "/x"));
        for line in sent {
            ledger.handle(&message(1, line));
        }
        ledger.problems().remove(0)
    };
    assert_eq!(complaint(&["a", "c"]), r#"p: at line 2 came "c", which is line 3: 1 missing"#);
    assert_eq!(complaint(&["a", "b", "a"]), r#"p: at line 3 came "a" again, which is line 1"#);
    assert_eq!(complaint(&["a"]), r#"p: 2 lines missing from line 2 on: "b""#);
    assert_eq!(complaint(&["a", "b", "c", "\u{1b}[2J"]), r#"p: after its last line came "\u{1b}[2J""#);
}

#[test]
fn strangers_and_disorderly_ends_are_told() {
    let mut events = perfect();
    events.push(joined(9, Via::Listen, 11, "/t/in.sock"));
    assert_eq!(problems(&events).len(), 1);

    let mut events = perfect();
    // The right process in the wrong way is a stranger too.
    events.push(joined(9, Via::Dir, 10, "/t/other.sock"));
    assert_eq!(problems(&events).len(), 1);

    let mut events = perfect();
    if let Some(Event::Left { reason, .. }) = events.last_mut() {
        *reason = "reset".into();
    }
    assert_eq!(problems(&events), [r#"binding: left with reason "reset" instead of an orderly end"#]);
}
