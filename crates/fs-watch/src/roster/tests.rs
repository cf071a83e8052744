//! What the roster makes of each kind of answer, one at a time.

use std::time::{Duration, UNIX_EPOCH};

use unix_diag::State;

use super::*;

fn born(inode: u64, second: u64) -> Facts {
    let birth = UNIX_EPOCH + Duration::from_secs(second);
    Facts { device: 1, inode, birth: Some(birth), ctime: birth, mode: 0o600, uid: 0, gid: 0 }
}

fn roster() -> Roster {
    Roster::new("/d", DotFiles::Ignored)
}

fn complete(entries: &[(&str, Facts)]) -> Listing {
    Listing::Complete(entries.iter().map(|(name, facts)| (name.into(), *facts)).collect())
}

fn partial(entries: &[(&str, Facts)]) -> Listing {
    Listing::Partial(entries.iter().map(|(name, facts)| (name.into(), *facts)).collect())
}

/// `+name@generation`, `!` when a server listens, `-` with the reason.
fn changes(roster: &mut Roster) -> Vec<String> {
    std::iter::from_fn(|| roster.poll_change())
        .map(|change| match change {
            Change::Added(socket) => {
                format!("+{}@{}", socket.path.file_name().unwrap().display(), socket.generation)
            }
            Change::Ready(socket) => {
                format!("!{}@{}", socket.path.file_name().unwrap().display(), socket.generation)
            }
            Change::Removed { id, reason } => {
                format!("-{}@{} {reason}", id.path.file_name().unwrap().display(), id.generation)
            }
        })
        .collect()
}

#[test]
fn an_absence_counts_only_after_a_scan() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1))]));
    assert_eq!(changes(&mut roster), ["+a@1", "+b@1"]);

    roster.handle_listing(complete(&[("b", born(2, 1))]));
    assert_eq!(changes(&mut roster), [""; 0]);
    assert_eq!(roster.poll_doubt(), Some("a".into()));
    assert_eq!(roster.poll_doubt(), None);

    roster.handle_sighting("a".into(), Sighting::Absent);
    assert_eq!(changes(&mut roster), ["-a@1 gone"]);
}

#[test]
fn a_doubt_that_proves_unfounded_changes_nothing() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    changes(&mut roster);
    roster.handle_listing(complete(&[]));
    let doubt = roster.poll_doubt().unwrap();
    roster.handle_sighting(doubt, Sighting::Socket(born(1, 1)));
    assert_eq!(changes(&mut roster), [""; 0]);
    assert_eq!(roster.len(), 1);
}

#[test]
fn a_question_that_failed_removes_nothing() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    changes(&mut roster);
    roster.handle_sighting("a".into(), Sighting::Unknown);
    assert_eq!(changes(&mut roster), [""; 0]);
    assert_eq!(roster.len(), 1);
}

#[test]
fn a_listing_that_broke_off_adds_but_raises_no_doubt() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1))]));
    changes(&mut roster);
    roster.handle_listing(partial(&[("c", born(3, 1))]));
    assert_eq!(changes(&mut roster), ["+c@1"]);
    assert_eq!(roster.poll_doubt(), None);
    assert_eq!(roster.len(), 3);
}

#[test]
fn a_replacement_is_a_removal_then_the_next_generation() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    roster.handle_sighting("a".into(), Sighting::Socket(born(2, 2)));
    assert_eq!(changes(&mut roster), ["+a@1", "-a@1 replaced", "+a@2"]);
}

#[test]
fn a_replacement_with_the_same_inode_number_is_one_all_the_same() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    roster.handle_listing(complete(&[("a", born(1, 2))]));
    assert_eq!(changes(&mut roster), ["+a@1", "-a@1 replaced", "+a@2"]);
}

#[test]
fn a_chmod_is_silent_and_remembered() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    changes(&mut roster);
    let locked = Facts { mode: 0o000, ctime: UNIX_EPOCH + Duration::from_secs(5), ..born(1, 1) };
    roster.handle_sighting("a".into(), Sighting::Socket(locked));
    assert_eq!(changes(&mut roster), [""; 0]);
    assert_eq!(roster.sockets().next().unwrap().facts, locked);
}

#[test]
fn a_socket_whose_name_became_something_else_is_gone() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    changes(&mut roster);
    roster.handle_sighting("a".into(), Sighting::Other);
    assert_eq!(changes(&mut roster), ["-a@1 gone"]);
}

#[test]
fn a_socket_that_comes_back_has_a_higher_generation() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1))]));
    roster.handle_sighting("b".into(), Sighting::Socket(born(3, 2)));
    roster.handle_sighting("b".into(), Sighting::Socket(born(4, 3)));
    roster.handle_sighting("b".into(), Sighting::Absent);
    roster.handle_sighting("a".into(), Sighting::Absent);
    changes(&mut roster);
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 4)));
    roster.handle_sighting("b".into(), Sighting::Socket(born(4, 4)));
    assert_eq!(changes(&mut roster), ["+a@4", "+b@4"]);
}

#[test]
fn dot_files_count_only_when_asked_for() {
    for (policy, expected) in
        [(DotFiles::Ignored, vec!["+a@1"]), (DotFiles::Reported, vec!["+.hidden@1", "+a@1", "+.late@1"])]
    {
        let mut roster = Roster::new("/d", policy);
        roster.handle_listing(complete(&[(".hidden", born(1, 1)), ("a", born(2, 1))]));
        roster.handle_sighting(".late".into(), Sighting::Socket(born(3, 1)));
        assert_eq!(changes(&mut roster), expected, "{policy:?}");
    }
}

#[test]
fn a_name_shown_twice_by_a_torn_listing_is_announced_once() {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1)), ("a", born(1, 1))]));
    assert_eq!(changes(&mut roster), ["+a@1"]);
    assert_eq!(roster.poll_doubt(), None);
}

/// A table in which the socket with this inode number is in this state.
fn table(inode: u64, state: State) -> Option<impl Fn(&Facts) -> Option<Entry>> {
    Some(move |facts: &Facts| (facts.inode == inode).then(|| Entry::new(SocketKind::Stream, state, 99)))
}

fn empty_table() -> Option<impl Fn(&Facts) -> Option<Entry>> {
    Some(|_: &Facts| None)
}

fn suspects(roster: &mut Roster) -> Vec<String> {
    std::iter::from_fn(|| roster.poll_suspect()).map(|(name, _)| name.into_string().unwrap()).collect()
}

const OLD: Duration = Duration::from_secs(60);

/// One socket, announced.
fn with_a() -> Roster {
    let mut roster = roster();
    roster.handle_listing(complete(&[("a", born(1, 1))]));
    changes(&mut roster);
    roster
}

#[test]
fn a_socket_is_ready_once_when_it_listens() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(table(1, State::Unconnected), 1, now);
    assert_eq!(changes(&mut roster), [""; 0]);
    assert_eq!(roster.sockets().next().unwrap().liveness.verdict, Verdict::Bound);
    roster.handle_table(table(1, State::Listening), 1, now);
    roster.handle_table(table(1, State::Listening), 1, now);
    assert_eq!(changes(&mut roster), ["!a@1"]);
    assert_eq!(roster.sockets().next().unwrap().kind, Some(SocketKind::Stream));
    assert_eq!(suspects(&mut roster), [""; 0], "what the table has is not connected to");
}

#[test]
fn a_table_older_than_a_socket_says_nothing_of_it() {
    let (mut roster, now) = (with_a(), Instant::now());
    let before = roster.arrivals();
    roster.handle_sighting("b".into(), Sighting::Socket(born(2, 1)));
    roster.handle_table(empty_table(), before, now);
    assert_eq!(suspects(&mut roster), ["a"]);
}

#[test]
fn a_server_that_the_table_has_lost_is_stale_when_a_connection_confirms_it() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(table(1, State::Listening), 1, now);
    roster.handle_table(empty_table(), 1, now);
    assert_eq!(changes(&mut roster), ["!a@1"]);
    assert_eq!(suspects(&mut roster), ["a"]);
    roster.handle_answer("a".as_ref(), Some((Answer::Unbound, None)), now);
    assert_eq!(changes(&mut roster), ["-a@1 stale"]);
    assert!(roster.is_empty());
    // If the removal of its file is not noticed, the next socket has the next generation.
    roster.handle_sighting("a".into(), Sighting::Socket(born(2, 2)));
    assert_eq!(changes(&mut roster), ["+a@2"]);
    assert_eq!(roster.len(), 1);
}

#[test]
fn a_stale_file_that_is_unlinked_is_not_told_twice() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(empty_table(), 1, now);
    roster.handle_answer("a".as_ref(), Some((Answer::Unbound, None)), now + OLD);
    assert_eq!(changes(&mut roster), ["-a@1 stale"]);
    roster.handle_sighting("a".into(), Sighting::Absent);
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 9)));
    assert_eq!(changes(&mut roster), ["+a@2"]);
}

#[test]
fn how_long_a_socket_has_been_watched_decides_whether_it_is_stale_and_not_its_dates() {
    // Old, new and from the future, by the wall clock.
    let today = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for second in [1, today, today + 86_400] {
        let (mut roster, start) = (roster(), Instant::now());
        roster.handle_listing(complete(&[("a", born(1, second))]));
        changes(&mut roster);
        let unbound = Some((Answer::Unbound, None));
        for (milliseconds, expected) in [(0, vec![]), (250, vec![]), (1_999, vec![]), (2_000, vec!["-a@1 stale"])] {
            let now = start + Duration::from_millis(milliseconds);
            roster.handle_table(empty_table(), 1, now);
            // Touching the file does not make it young.
            roster.handle_stir("a".as_ref());
            roster.handle_answer("a".as_ref(), unbound, now);
            assert_eq!(changes(&mut roster), expected, "{second} {milliseconds}");
        }
    }
}

#[test]
fn what_is_bound_elsewhere_is_neither_ready_nor_stale() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(empty_table(), 1, now);
    roster.handle_answer("a".as_ref(), Some((Answer::Bound, None)), now + OLD);
    assert_eq!(changes(&mut roster), [""; 0]);
    assert!(!roster.has_bound(), "nothing but a connection tells whether it listens");
    // One that a connection has met: its `listen` is waited for.
    roster.handle_answer("a".as_ref(), Some((Answer::Refused, Some(SocketKind::Stream))), now + OLD);
    assert_eq!(changes(&mut roster), [""; 0]);
    assert!(roster.has_bound());
    assert_eq!(roster.sockets().next().unwrap().liveness.verdict, Verdict::Bound);
}

#[test]
fn twenty_thousand_dead_ones_are_not_asked_about_every_second() {
    let (mut roster, start) = (roster(), Instant::now());
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let listed: Vec<_> = names.iter().zip(1..).map(|(name, inode)| (&**name, born(inode, 1))).collect();
    roster.handle_listing(complete(&listed));
    let questions = |roster: &mut Roster, from: u64, until: u64| {
        let mut questions = 0;
        for tenth in from * 10..until * 10 {
            let now = start + Duration::from_millis(tenth * 100);
            roster.handle_table(empty_table(), roster.arrivals(), now);
            while let Some((name, _)) = roster.poll_suspect() {
                questions += 1;
                roster.handle_answer(&name, Some((Answer::Unbound, None)), now);
            }
        }
        questions
    };
    assert_eq!(questions(&mut roster, 0, 3), 3 * 200);
    assert!(roster.is_empty(), "they are stale");
    // A minute and a half, then an hour: once a minute each.
    assert!(questions(&mut roster, 3, 93) <= 6 * 200);
    assert_eq!(questions(&mut roster, 93, 693), 10 * 200);
}

#[test]
fn a_server_thought_stale_that_is_found_serving_comes_anew() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(empty_table(), 1, now);
    roster.handle_answer("a".as_ref(), Some((Answer::Unbound, None)), now + OLD);
    roster.handle_answer("a".as_ref(), Some((Answer::Accepted, Some(SocketKind::Seqpacket))), now + OLD);
    assert_eq!(changes(&mut roster), ["-a@1 stale", "+a@2", "!a@2"]);
    assert_eq!(roster.sockets().next().unwrap().kind, Some(SocketKind::Seqpacket));
}

#[test]
fn a_replacement_that_looks_alike_is_told_by_the_table() {
    let (mut roster, now) = (with_a(), Instant::now());
    let table = |inode| {
        let entry = Entry::new(SocketKind::Stream, State::Listening, inode);
        Some(move |_: &Facts| Some(entry))
    };
    roster.handle_table(table(70), 1, now);
    roster.handle_table(table(70), 1, now);
    assert_eq!(changes(&mut roster), ["!a@1"]);
    // The same number, born in the same tick: no look could tell.
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 1)));
    assert_eq!(changes(&mut roster), [""; 0]);
    roster.handle_table(table(71), roster.arrivals(), now);
    assert_eq!(roster.poll_doubt(), Some("a".into()));
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 1)));
    assert_eq!(changes(&mut roster), ["-a@1 replaced", "+a@2", "!a@2"]);
    roster.handle_table(table(71), roster.arrivals(), now);
    assert_eq!((changes(&mut roster), roster.poll_doubt()), (vec![], None));
    // A replacement that a scan notices is reported once.
    roster.handle_table(table(72), roster.arrivals(), now);
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 2)));
    roster.handle_table(table(72), roster.arrivals(), now);
    roster.handle_sighting("a".into(), Sighting::Socket(born(1, 2)));
    assert_eq!(changes(&mut roster), ["-a@2 replaced", "+a@3", "!a@3"]);
    // A table from before says nothing of the second.
    roster.handle_table(table(70), 1, now);
    assert_eq!(changes(&mut roster), [""; 0]);
}

#[test]
fn without_a_table_nothing_has_vanished_from_it() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(table(1, State::Listening), 1, now);
    roster.handle_table(None::<fn(&Facts) -> Option<Entry>>, 1, now);
    assert_eq!(suspects(&mut roster), [""; 0]);
}

#[test]
fn a_server_elsewhere_is_connected_to_ever_more_seldom() {
    let (mut roster, start) = (with_a(), Instant::now());
    let mut now = start;
    let mut connections = Vec::new();
    while now < start + Duration::from_secs(600) {
        roster.handle_table(empty_table(), 1, now);
        while let Some((name, _)) = roster.poll_suspect() {
            connections.push((now - start).as_secs());
            roster.handle_answer(&name, Some((Answer::Accepted, Some(SocketKind::Stream))), now);
        }
        now += Duration::from_secs(1);
    }
    assert_eq!(connections[..7], [0, 5, 15, 35, 75, 135, 195]);
    assert_eq!(changes(&mut roster), ["!a@1"]);
}

#[test]
fn what_may_not_be_connected_to_is_stale_when_two_tables_lack_it() {
    for answer in [None, Some((Answer::Denied, None))] {
        let (mut roster, now) = (with_a(), Instant::now());
        // What no table ever had stays unknown.
        roster.handle_answer("a".as_ref(), answer, now);
        roster.handle_answer("a".as_ref(), answer, now);
        roster.handle_table(table(1, State::Listening), 1, now);
        assert_eq!(changes(&mut roster), ["!a@1"]);
        for expected in [vec![], vec!["-a@1 stale"]] {
            roster.handle_table(empty_table(), 1, now);
            assert_eq!(suspects(&mut roster), ["a"]);
            roster.handle_answer("a".as_ref(), answer, now);
            assert_eq!(changes(&mut roster), expected, "{answer:?}");
        }
    }
}

#[test]
fn a_second_table_is_wanted_for_whom_no_table_lacked_before() {
    let (mut roster, start) = (with_a(), Instant::now());
    let mut now = start;
    // Without a table, no socket is missing from it.
    roster.handle_table(None::<fn(&Facts) -> Option<Entry>>, 1, now);
    assert!(!roster.misses_another());
    roster.handle_answer("a".as_ref(), None, now);
    now += Duration::from_secs(5);
    roster.handle_table(empty_table(), 1, now);
    assert!(roster.misses_another());
    // A probe that is never answered is not repeated without end.
    let mut suspected = 0;
    while now < start + Duration::from_secs(600) {
        for name in suspects(&mut roster) {
            suspected += 1;
            roster.handle_answer(name.as_ref(), None, now);
        }
        now += Duration::from_secs(5);
        roster.handle_table(empty_table(), 1, now);
        assert!(!roster.misses_another());
    }
    assert!((5..20).contains(&suspected), "{suspected}");
    // It was there, and is not.
    roster.handle_table(table(1, State::Listening), 1, now);
    assert!(!roster.misses_another());
    roster.handle_table(empty_table(), 1, now);
    assert!(roster.misses_another());
    // It is taken for gone, and its file stays.
    for expected in [true, true, false, false] {
        roster.handle_table(empty_table(), 1, now);
        assert_eq!(roster.misses_another(), expected);
        roster.handle_answer("a".as_ref(), None, now);
        now += Duration::from_secs(5);
    }
}

#[test]
fn one_bound_socket_among_others_is_waited_for() {
    for (first, second) in [(State::Unconnected, State::Listening), (State::Listening, State::Unconnected)] {
        let (mut roster, now) = (roster(), Instant::now());
        roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1))]));
        let both = move |facts: &Facts| {
            let state = if facts.inode == 1 { first } else { second };
            Some(Entry::new(SocketKind::Stream, state, 90 + u32::try_from(facts.inode).unwrap()))
        };
        roster.handle_table(Some(both), 2, now);
        assert!(roster.has_bound(), "{first:?} {second:?}");
        // The next table lacks both. What was bound may listen where the table does not reach.
        roster.handle_table(empty_table(), 2, now);
        assert!(roster.has_bound(), "{first:?} {second:?}");
        // And none has been bound before it is known to be.
        roster.handle_table(table(3, State::Listening), 0, now);
        assert!(!roster.has_bound());
    }
}

#[test]
fn a_suspect_is_remembered_as_the_table_had_it() {
    let (mut roster, now) = (with_a(), Instant::now());
    assert_eq!(roster.last_entry("a".as_ref()), None, "no table has had it");
    roster.handle_table(table(1, State::Listening), 1, now);
    assert_eq!((roster.suspects(), roster.last_entry("a".as_ref())), (0, Some((99, Verdict::Listening))));
    roster.handle_table(empty_table(), 1, now);
    assert_eq!((roster.suspects(), roster.last_entry("a".as_ref())), (1, Some((99, Verdict::Listening))));
    assert_eq!(roster.last_entry("b".as_ref()), None);
    roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1)), ("c", born(3, 1))]));
    roster.handle_table(empty_table(), 3, now);
    assert_eq!(roster.suspects(), 3);
}

#[test]
fn a_suspect_that_the_table_has_after_all_is_not_gone() {
    let (mut roster, now) = (with_a(), Instant::now());
    roster.handle_table(table(1, State::Unconnected), 1, now);
    roster.handle_table(empty_table(), 1, now);
    assert_eq!(suspects(&mut roster), ["a"]);
    roster.handle_entry("a".as_ref(), &Entry::new(SocketKind::Stream, State::Listening, 99));
    assert_eq!(changes(&mut roster), ["!a@1"]);
    assert_eq!(roster.poll_doubt(), None, "it is the socket that it was");
    // Another socket behind the same name: its file must be another.
    roster.handle_entry("a".as_ref(), &Entry::new(SocketKind::Stream, State::Listening, 100));
    assert_eq!(roster.poll_doubt().as_deref(), Some("a".as_ref()));
    roster.handle_entry("b".as_ref(), &Entry::new(SocketKind::Stream, State::Listening, 7));
    assert_eq!(changes(&mut roster), [""; 0]);
}

#[test]
fn a_hint_about_a_live_server_asks_nothing() {
    let (mut roster, now) = (with_a(), Instant::now());
    assert!(roster.handle_stir("a".as_ref()), "it may listen now");
    roster.handle_table(table(1, State::Listening), 1, now);
    assert!(!roster.handle_stir("a".as_ref()));
    assert!(!roster.handle_stir("b".as_ref()), "it is not known");
}

#[test]
fn only_announced_sockets_count() {
    let (mut roster, now) = (roster(), Instant::now());
    assert!(roster.is_empty());
    roster.handle_listing(complete(&[("a", born(1, 1)), ("b", born(2, 1))]));
    assert_eq!((roster.len(), roster.is_empty()), (2, false));
    roster.handle_table(table(2, State::Listening), 2, now);
    roster.handle_answer("a".as_ref(), Some((Answer::Unbound, None)), now + OLD);
    assert_eq!((roster.len(), roster.is_empty()), (1, false), "one is stale");
}

#[test]
fn a_replacement_is_an_arrival() {
    let (mut roster, now) = (with_a(), Instant::now());
    assert_eq!(roster.arrivals(), 1);
    roster.handle_sighting("a".into(), Sighting::Socket(born(2, 2)));
    assert_eq!(roster.arrivals(), 2);
    roster.handle_sighting("a".into(), Sighting::Socket(born(3, 3)));
    assert_eq!(roster.arrivals(), 3);
    // One whose file looks the same counts as well.
    roster.handle_table(table(3, State::Listening), 3, now);
    let other = Entry::new(SocketKind::Stream, State::Listening, 100);
    roster.handle_entry("a".as_ref(), &other);
    roster.handle_sighting("a".into(), Sighting::Socket(born(3, 3)));
    assert_eq!(roster.arrivals(), 4);
}
