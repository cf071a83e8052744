//! A table of entries that did not come from the kernel.

use std::collections::BTreeMap;

use unix_diag::{Entry, FileId, SocketKind, State, Table};

fn entry(inode: u32, file: Option<u32>, state: State) -> Entry {
    let mut entry = Entry::new(SocketKind::Stream, state, inode);
    entry.file = file.map(|inode| FileId { inode, device: 7 });
    entry
}

#[test]
fn a_table_holds_the_sockets_that_have_files_and_no_others() {
    let mut table = Table::default();
    assert!(table.is_empty());
    assert_eq!((table.len(), table.iter().count()), (0, 0));

    table.extend([entry(1, None, State::Listening)]);
    assert!(table.is_empty(), "a socket without a file is not in the table");

    let [first, second] = [entry(2, Some(20), State::Listening), entry(3, Some(30), State::Unconnected)];
    table.extend([first, second]);
    assert!(!table.is_empty());
    assert_eq!(table.len(), 2);
    let listed: BTreeMap<FileId, Entry> = table.iter().map(|(file, entry)| (file, *entry)).collect();
    let expected = [first, second].map(|entry| (entry.file.expect("both have one"), entry));
    assert_eq!(listed, BTreeMap::from(expected));
}

#[test]
fn of_two_sockets_with_one_file_the_listener_is_listed_whichever_came_first() {
    let (listener, connection) = (entry(1, Some(20), State::Listening), entry(2, Some(20), State::Connected));
    for order in [[listener, connection], [connection, listener]] {
        let table = Table::from_iter(order);
        assert_eq!(table.len(), 1);
        assert_eq!(table.iter().map(|(_, entry)| *entry).collect::<Vec<_>>(), [listener]);
    }
}

/// If a second reading shows another socket, that is no better proof than the first reading.
#[test]
fn of_two_sockets_with_one_file_that_do_the_same_the_first_stays() {
    let (first, second) = (entry(1, Some(20), State::Unconnected), entry(2, Some(20), State::Unconnected));
    let table = Table::from_iter([first, second]);
    assert_eq!(table.iter().map(|(_, entry)| *entry).collect::<Vec<_>>(), [first]);
}
