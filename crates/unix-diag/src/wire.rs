//! The query and its answer as bytes (`linux/netlink.h`, `linux/unix_diag.h`). Pure: no input causes a panic or an
//! endless loop.

use rustix::io::Errno;

use crate::entry::{Backlog, Entry, FileId, SocketKind, State, Which};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_DUMP: u16 = 0x300;
const AF_UNIX: u8 = 1;
const UDIAG_SHOW_VFS: u32 = 0x02;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UDIAG_SHOW_UID: u32 = 0x40;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_UID: u16 = 7;

const NLMSG_HEADER: usize = 16;
const UNIX_DIAG_MSG: usize = 16;

/// One part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A socket.
    Socket(Entry),
    /// The end of the table.
    Done,
    /// The kernel rejects the query, with this error number.
    Rejected(i32),
}

/// Splits one datagram of an answer into messages. Ends at the first one that is incomplete or makes no sense.
pub fn parse(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// From [`parse`].
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl Messages<'_> {
    /// How many bytes are left, so that the owner of the bytes can continue later.
    pub(crate) fn rest(&self) -> usize {
        self.rest.len()
    }

    fn message(&mut self) -> Option<Message> {
        while self.rest.len() >= NLMSG_HEADER {
            let len = u32_at(self.rest, 0)? as usize;
            let kind = u16_at(self.rest, 4)?;
            let body = self.rest.get(NLMSG_HEADER..len)?;
            self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            match kind {
                NLMSG_DONE => return Some(Message::Done),
                NLMSG_ERROR => return Some(Message::Rejected(rejection(body))),
                SOCK_DIAG_BY_FAMILY => return entry(body).map(Message::Socket),
                _ => {}
            }
        }
        None
    }
}

impl Iterator for Messages<'_> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let message = self.message();
        if message.is_none() {
            self.rest = &[];
        }
        message
    }
}

/// The query for all sockets of a kind.
pub(crate) fn request(which: Which) -> Vec<u8> {
    let states = match which {
        Which::Servers => 1 << State::LISTENING | 1 << State::UNCONNECTED | 1 << State::CONNECTED,
        Which::All => u32::MAX,
    };
    // For any inode of the socket itself.
    question(NLM_F_REQUEST | NLM_F_DUMP, states, 0)
}

/// The query for one socket, by its own inode.
pub(crate) fn request_one(inode: u32) -> Vec<u8> {
    question(NLM_F_REQUEST, u32::MAX, inode)
}

/// One `nlmsghdr` and one `unix_diag_req`.
fn question(flags: u16, states: u32, inode: u32) -> Vec<u8> {
    let mut request = Vec::with_capacity(40);
    request.extend(40_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8]); // sequence, port: one query, one socket
    request.extend([AF_UNIX, 0, 0, 0]);
    request.extend(states.to_ne_bytes());
    request.extend(inode.to_ne_bytes());
    request.extend((UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID).to_ne_bytes());
    request.extend([0xff; 8]); // no cookie
    request
}

/// The error number as a positive number; the kernel sends it negated.
fn rejection(body: &[u8]) -> i32 {
    let number = u32_at(body, 0).map_or(0, |number| (number as i32).wrapping_neg());
    if number > 0 { number } else { Errno::PROTO.raw_os_error() }
}

fn entry(body: &[u8]) -> Option<Entry> {
    let mut entry = Entry::new(SocketKind::of_number(*body.get(1)?), State::from(*body.get(2)?), u32_at(body, 4)?);
    let mut attributes = body.get(UNIX_DIAG_MSG..)?;
    while attributes.len() >= 4 {
        let len = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..len)?;
        let pair = || Some((u32_at(value, 0)?, u32_at(value, 4)?));
        match u16_at(attributes, 2)? {
            UNIX_DIAG_VFS => entry.file = pair().map(|(inode, device)| FileId { inode, device }),
            // For a connection, the same attribute counts bytes.
            UNIX_DIAG_RQLEN if entry.state == State::Listening => {
                entry.backlog = pair().map(|(waiting, limit)| Backlog { waiting, limit });
            }
            UNIX_DIAG_UID => entry.uid = u32_at(value, 0),
            _ => {}
        }
        attributes = attributes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(entry)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with its header.
    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let len = (NLMSG_HEADER + body.len()) as u32;
        [&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    }

    fn listener() -> Vec<u8> {
        let body = [
            &[AF_UNIX, 1, State::LISTENING, 0][..],
            &77_u32.to_ne_bytes(),
            &[0; 8],
            &12_u16.to_ne_bytes(),
            &UNIX_DIAG_VFS.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &9_u32.to_ne_bytes(),
        ];
        message(SOCK_DIAG_BY_FAMILY, &body.concat())
    }

    #[test]
    fn a_listener_is_read() {
        let entry = Entry {
            file: Some(FileId { inode: 7, device: 9 }),
            ..Entry::new(SocketKind::Stream, State::Listening, 77)
        };
        let answer = [listener(), message(NLMSG_DONE, &[0; 4])].concat();
        assert_eq!(parse(&answer).collect::<Vec<_>>(), [Message::Socket(entry), Message::Done]);
    }

    #[test]
    fn a_rejection_has_its_number() {
        for (number, read) in [(-2_i32, 2), (0, Errno::PROTO.raw_os_error()), (i32::MIN, Errno::PROTO.raw_os_error())] {
            let answer = message(NLMSG_ERROR, &number.to_ne_bytes());
            assert_eq!(parse(&answer).collect::<Vec<_>>(), [Message::Rejected(read)]);
        }
    }

    #[test]
    fn truncated_or_altered_answers_end_the_search() {
        let whole = listener();
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]).count(), 0, "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 4, 15, 255] {
                let mut twisted = whole.clone();
                twisted[at] = value;
                assert!(parse(&twisted).count() <= 1);
            }
        }
    }
}
