//! Which users get which events, and what is requested from the server.

use super::*;
use crate::{ids::Zxid, jute::Record as _};

const A: WatchId = WatchId(1);
const B: WatchId = WatchId(2);
const C: WatchId = WatchId(3);

fn fired(watches: &mut Watches, event: EventType, path: &str) -> Vec<WatchId> {
    let (users, orphan) = watches.handle_event(event, path);
    assert_eq!(orphan, None);
    users
}

fn registered(watches: &mut Watches, user: WatchId, path: &str, kind: WatchKind) {
    watches.ask(user, path, Asked::Data, None);
    assert_eq!(watches.handle_registered(user, path, kind), None);
}

#[test]
fn each_event_fires_the_kinds_that_the_server_fires() {
    use EventType::{ChildrenChanged, Created, DataChanged, Deleted};
    let fires = |event, kind| {
        let mut watches = Watches::default();
        registered(&mut watches, A, "/a", kind);
        let fired = fired(&mut watches, event, "/a") == [A];
        assert_eq!(watches.users(), usize::from(!fired || kind.is_persistent()));
        fired
    };
    let table: Vec<_> = WatchKind::ALL
        .into_iter()
        .map(|kind| [Created, Deleted, DataChanged, ChildrenChanged].map(|event| fires(event, kind)))
        .collect();
    assert_eq!(
        table,
        [
            [true, true, true, false],
            [true, true, true, false],
            [false, true, false, true],
            [true, true, true, true],
            [true, true, true, false],
        ]
    );
}

#[test]
fn a_tree_is_told_of_every_node_below_it_and_of_no_other() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::PersistentRecursive);
    registered(&mut watches, B, "/", WatchKind::PersistentRecursive);
    assert_eq!(fired(&mut watches, EventType::Created, "/a/b/c"), [A, B]);
    assert_eq!(fired(&mut watches, EventType::Created, "/ab"), [B]);
    assert_eq!(fired(&mut watches, EventType::ChildrenChanged, "/a"), []);
    assert_eq!(fired(&mut watches, EventType::DataChanged, "/"), [B]);
}

#[test]
fn an_event_before_the_reply_belongs_to_an_older_watch() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::Data);
    watches.ask(B, "/a", Asked::Data, None);
    assert_eq!(fired(&mut watches, EventType::DataChanged, "/a"), [A]);
    watches.handle_registered(B, "/a", WatchKind::Data);
    assert_eq!(fired(&mut watches, EventType::DataChanged, "/a"), [B]);
    assert_eq!((watches.users(), watches.on_server(), watches.paths.len()), (0, 0, 0));
}

#[test]
fn users_share_a_watch_and_only_the_last_one_removes_it() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::Persistent);
    registered(&mut watches, B, "/a", WatchKind::Persistent);
    registered(&mut watches, C, "/a", WatchKind::Child);
    assert_eq!(watches.on_server(), 2, "one watch for each kind");
    assert_eq!(watches.forget(A), None);
    assert_eq!(fired(&mut watches, EventType::DataChanged, "/a"), [B]);
    assert_eq!(watches.forget(B), None, "the child watch must not be removed with it");
    assert_eq!(watches.forget(C).as_deref(), Some("/a"));
    assert!(watches.is_orphan("/a"));
    watches.handle_removed("/a");
    assert_eq!((watches.forget(C), watches.paths.len()), (None, 0));
}

#[test]
fn a_watch_whose_user_left_before_the_reply_is_an_orphan() {
    let mut watches = Watches::default();
    watches.ask(A, "/a", Asked::Persistent, None);
    assert_eq!(watches.forget(A), None, "nothing is known to be on the server");
    assert_eq!(watches.handle_registered(A, "/a", WatchKind::Persistent).as_deref(), Some("/a"));
    watches.ask(B, "/a", Asked::Data, None);
    assert!(!watches.is_orphan("/a"), "another request may have asked for it");
}

#[test]
fn the_next_connection_is_asked_for_what_has_users() {
    let mut watches = Watches::default();
    for (id, kind) in (0..).zip(WatchKind::ALL) {
        registered(&mut watches, WatchId(id), &format!("/{id}"), kind);
        registered(&mut watches, WatchId(10 + id), "/gone", kind);
        watches.forget(WatchId(10 + id));
    }
    fired(&mut watches, EventType::DataChanged, "/0");
    watches.ask(WatchId(99), "/asked", Asked::Data, None);
    watches.handle_lost();
    assert_eq!(watches.on_server(), 0);
    let batches = watches.batches();
    let [batch] = &batches[..] else { panic!("{batches:?}") };
    let listed: Vec<_> = batch.iter().map(|(kind, path)| (kind, &**path)).collect();
    use WatchKind::{Child, Exist, Persistent, PersistentRecursive};
    assert_eq!(listed, [(Exist, "/1"), (Child, "/2"), (Persistent, "/3"), (PersistentRecursive, "/4")]);
    assert!(batch.is_persistent());
    assert_eq!((watches.on_server(), watches.persistent_users()), (4, vec![WatchId(3), WatchId(4)]));
}

#[test]
fn batches_are_no_longer_than_servers_take_and_leave_nothing_out() {
    let mut watches = Watches::default();
    let long = "x".repeat(200 << 10);
    for id in 0..10_000 {
        registered(&mut watches, WatchId(id), &format!("/{id:060}"), WatchKind::ALL[id as usize % 5]);
    }
    registered(&mut watches, WatchId(10_000), &format!("/{long}"), WatchKind::Child);
    let batches = watches.batches();
    let lens: Vec<_> = batches.iter().map(|batch| batch.all(Zxid(1)).to_bytes().len()).collect();
    assert!(lens.iter().all(|len| *len <= (128 << 10) + 28 || *len < (201 << 10)), "{lens:?}");
    assert_eq!(lens.iter().filter(|len| **len > (128 << 10) + 28).count(), 1, "{lens:?}");
    assert_eq!(batches.iter().flat_map(Batch::iter).count(), 10_001);
    assert!(!batches.first().expect("several").is_persistent() && batches.last().expect("several").is_persistent());
}

#[test]
fn a_persistent_watch_without_users_is_an_orphan_once_the_last_one_shot_watch_fires() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::Persistent);
    registered(&mut watches, B, "/a", WatchKind::Child);
    assert_eq!(watches.forget(A), None);
    let (users, orphan) = watches.handle_event(EventType::ChildrenChanged, "/a");
    assert_eq!((users, orphan.as_deref()), (vec![B], Some("/a")));
}

#[test]
fn a_watch_for_one_event_is_covered_by_a_persistent_one_that_then_stays_until_it_is_answered() {
    let mut watches = Watches::default();
    assert_eq!(watches.covering("/a", Asked::Data), None);
    watches.ask(A, "/a", Asked::Persistent, None);
    let covering = watches.covering("/a", Asked::Child);
    assert_eq!(covering, Some(WatchKind::Persistent), "the server has it by then");
    watches.ask(B, "/a", Asked::Child, covering);
    // The connection is lost while the persistent watch is requested, and its user gives up; the other request waits.
    watches.handle_lost();
    assert_eq!(watches.forget(A), None);
    let batches = watches.batches();
    assert_eq!(batches[0].iter().map(|(kind, _)| kind).collect::<Vec<_>>(), [WatchKind::Persistent]);
    assert!(watches.handle_covered(B, "/a", WatchKind::Child, Asked::Child));
    let (users, orphan) = watches.handle_event(EventType::ChildrenChanged, "/a");
    assert_eq!((users, orphan.as_deref()), (vec![B], Some("/a")));
    // A recursive watch does not report lists of children.
    watches.ask(C, "/t", Asked::PersistentRecursive, None);
    assert_eq!(watches.covering("/t", Asked::Exists), Some(WatchKind::PersistentRecursive));
    assert_eq!(watches.covering("/t", Asked::Child), None);
}

#[test]
fn a_persistent_watch_whose_user_left_before_the_reply_covers_nothing() {
    let mut watches = Watches::default();
    watches.ask(A, "/a", Asked::Persistent, None);
    watches.forget(A);
    // This request does not rely on the requested watch, and replaces it on a server before 3.9.
    assert_eq!(watches.covering("/a", Asked::Data), None);
    watches.ask(B, "/a", Asked::Data, None);
    assert_eq!(watches.handle_registered(A, "/a", WatchKind::Persistent), None);
    assert_eq!(watches.covering("/a", Asked::Data), None, "so the next one must not count on it either");
    // Once it has a user again, it does.
    registered(&mut watches, C, "/a", WatchKind::Persistent);
    assert_eq!(watches.covering("/a", Asked::Data), Some(WatchKind::Persistent));
}

#[test]
fn a_user_who_leaves_before_the_watches_are_confirmed_leaves_an_orphan() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::Child);
    watches.handle_lost();
    assert_eq!(watches.batches().len(), 1);
    assert_eq!(watches.forget(A).as_deref(), Some("/a"));
}

#[test]
fn an_event_between_the_request_and_its_reply_keeps_a_fired_watch_from_coming_back() {
    let mut watches = Watches::default();
    registered(&mut watches, A, "/a", WatchKind::Data);
    watches.handle_lost();
    let batches = watches.batches();
    assert_eq!(fired(&mut watches, EventType::DataChanged, "/a"), [A], "what was missed is told before the reply");
    assert_eq!((batches.len(), watches.on_server(), watches.paths.len()), (1, 0, 0));
}
