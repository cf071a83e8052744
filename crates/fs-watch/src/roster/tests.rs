use std::time::{Duration, UNIX_EPOCH};

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

/// `+name@generation`, `-name@generation` and the reason.
fn changes(roster: &mut Roster) -> Vec<String> {
    std::iter::from_fn(|| roster.poll_change())
        .map(|change| match change {
            Change::Added(socket) => {
                format!("+{}@{}", socket.path.file_name().unwrap().display(), socket.generation)
            }
            Change::Removed { id, reason } => {
                format!("-{}@{} {reason}", id.path.file_name().unwrap().display(), id.generation)
            }
        })
        .collect()
}

#[test]
fn an_absence_counts_only_after_a_look() {
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
