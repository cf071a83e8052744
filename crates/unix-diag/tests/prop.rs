//! No answer makes the parser panic or loop forever, and complete messages are read completely.

use proptest::collection::vec;
use proptest::prelude::*;
use unix_diag::{Backlog, FileId, Message, SocketKind, State, Table, parse};

/// An attribute: its kind and its value.
type Attribute = (u16, Vec<u8>);

fn attribute((kind, value): &Attribute) -> Vec<u8> {
    let len = (4 + value.len()) as u16;
    let mut bytes = [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn socket(kind: u8, state: u8, inode: u32, attributes: &[Attribute]) -> Vec<u8> {
    let attributes: Vec<u8> = attributes.iter().flat_map(attribute).collect();
    let len = (32 + attributes.len()) as u32;
    let fixed = [&[1, kind, state, 0][..], &inode.to_ne_bytes(), &[0; 8]].concat();
    [&len.to_ne_bytes()[..], &20_u16.to_ne_bytes(), &[0; 10], &fixed, &attributes].concat()
}

fn pair(one: u32, other: u32) -> Vec<u8> {
    [one.to_ne_bytes(), other.to_ne_bytes()].concat()
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..600)) {
        prop_assert!(parse(&bytes).count() <= bytes.len() / 16);
    }

    #[test]
    fn no_twist_of_a_whole_answer_panics(
        sockets in vec((any::<u8>(), any::<u8>(), vec((0_u16..10, vec(any::<u8>(), 0..12)), 0..5)), 0..5),
        twists in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let mut bytes: Vec<u8> =
            sockets.iter().flat_map(|(kind, state, attributes)| socket(*kind, *state, 3, attributes)).collect();
        prop_assert_eq!(parse(&bytes).count(), sockets.len());
        for (at, value) in twists {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        prop_assert!(parse(&bytes).count() <= bytes.len() / 16);
    }

    #[test]
    fn what_the_kernel_says_is_what_is_read(
        inode in any::<u32>(),
        file in any::<(u32, u32)>(),
        queue in any::<(u32, u32)>(),
        uid in any::<u32>(),
        unknown in vec((8_u16..100, vec(any::<u8>(), 0..9)), 0..3),
    ) {
        let mut attributes =
            vec![(1, pair(file.0, file.1)), (4, pair(queue.0, queue.1)), (7, uid.to_ne_bytes().to_vec())];
        attributes.extend(unknown);
        let bytes = socket(1, 10, inode, &attributes);
        let Some(Message::Socket(entry)) = parse(&bytes).next() else { panic!("a socket") };
        prop_assert_eq!((entry.kind, entry.state, entry.inode), (Some(SocketKind::Stream), State::Listening, inode));
        prop_assert_eq!(entry.file, Some(FileId { inode: file.0, device: file.1 }));
        prop_assert_eq!(entry.backlog, Some(Backlog { waiting: queue.0, limit: queue.1 }));
        prop_assert_eq!(entry.uid, Some(uid));
        // Of the two with this file, the listener stays, whichever comes first.
        let connection = socket(1, 1, 4, &attributes);
        for bytes in [[bytes.clone(), connection.clone()].concat(), [connection, bytes].concat()] {
            let entries = parse(&bytes).map(|message| match message {
                Message::Socket(entry) => entry,
                other => panic!("{other:?}"),
            });
            let table: Table = entries.collect();
            prop_assert_eq!(table.get(FileId { inode: file.0, device: file.1 }).unwrap().inode, inode);
        }
    }
}
