//! The kernel's table of Unix sockets, asked which socket is bound to a file (`sock_diag(7)`, `unix_diag.h`).

use std::os::fd::OwnedFd;

use rustix::fs::{Stat, major, minor};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_DUMP: u16 = 0x300;
const AF_UNIX: u8 = 1;
const SOCK_DGRAM: u8 = 2;
/// States as TCP numbers them: not connected and not listening; listening.
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
const UDIAG_SHOW_VFS: u32 = 0x02;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_RQLEN: u16 = 4;

const NLMSG_HEADER: usize = 16;
const UNIX_DIAG_MSG: usize = 16;
/// A dump comes in pieces of at most this many bytes.
const PIECE: usize = 32 << 10;

/// What the socket bound to a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Served {
    /// It listens; whether as many connections wait as may.
    Listening { is_full: bool },
    /// It takes datagrams.
    Datagrams,
    /// It is bound and does not listen.
    NotListening,
}

/// Looks for the socket bound to the file that `stat` tells of; `None` if it is not in our network namespace's table.
pub(super) fn find(stat: &Stat) -> rustix::io::Result<Option<Served>> {
    // The table has the low half of the inode number, and the device as the kernel numbers it internally.
    let inode = stat.st_ino as u32;
    let device = major(stat.st_dev) << 20 | minor(stat.st_dev);

    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    send(&socket, &request(), SendFlags::empty())?;
    let mut piece = vec![0; PIECE];
    let mut found = None;
    loop {
        // The kernel answers within `send` and `recv`, so there is never anything to wait for.
        let messages = receive(&socket, &mut piece)?;
        for message in messages_of(messages) {
            match message {
                Message::Socket(entry) if entry.inode == Some((inode, device)) => found = entry.served(),
                Message::Socket(_) => {}
                Message::Done => return Ok(found),
                Message::Failed => return Err(Errno::OPNOTSUPP),
            }
        }
    }
}

fn receive<'a>(socket: &OwnedFd, piece: &'a mut [u8]) -> rustix::io::Result<&'a [u8]> {
    let (len, _) = recv(socket, &mut *piece, RecvFlags::DONTWAIT)?;
    if len == 0 {
        return Err(Errno::NODATA);
    }
    Ok(piece.get(..len).unwrap_or(piece))
}

/// One `nlmsghdr` and one `unix_diag_req`: a dump of listening and of unconnected sockets.
fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(40);
    request.extend(40_u32.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request.extend([0; 8]); // sequence, port: one question, one socket
    request.extend([AF_UNIX, 0, 0, 0]);
    request.extend((1_u32 << LISTEN | 1 << CLOSE).to_ne_bytes());
    request.extend(0_u32.to_ne_bytes()); // any inode of the socket itself
    request.extend((UDIAG_SHOW_VFS | UDIAG_SHOW_RQLEN).to_ne_bytes());
    request.extend([0xff; 8]); // no cookie
    request
}

#[derive(Debug, PartialEq, Eq)]
enum Message {
    Socket(Entry),
    Done,
    Failed,
}

/// One socket of the table.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    kind: u8,
    state: u8,
    /// Of the file it is bound to: inode, device.
    inode: Option<(u32, u32)>,
    /// Of a listener: connections that wait, and that may.
    queue: Option<(u32, u32)>,
}

impl Entry {
    fn served(&self) -> Option<Served> {
        match (self.state, self.kind) {
            (LISTEN, _) => {
                Some(Served::Listening { is_full: self.queue.is_some_and(|(waiting, limit)| waiting > limit) })
            }
            (CLOSE, SOCK_DGRAM) => Some(Served::Datagrams),
            (CLOSE, _) => Some(Served::NotListening),
            _ => None,
        }
    }
}

fn messages_of(mut bytes: &[u8]) -> impl Iterator<Item = Message> {
    std::iter::from_fn(move || {
        while bytes.len() >= NLMSG_HEADER {
            let len = u32_at(bytes, 0)? as usize;
            let kind = u16_at(bytes, 4)?;
            let body = bytes.get(NLMSG_HEADER..len)?;
            bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
            match kind {
                NLMSG_DONE => return Some(Message::Done),
                NLMSG_ERROR => return Some(Message::Failed),
                SOCK_DIAG_BY_FAMILY => return entry(body).map(Message::Socket),
                _ => {}
            }
        }
        None
    })
}

fn entry(body: &[u8]) -> Option<Entry> {
    let mut entry = Entry { kind: *body.get(1)?, state: *body.get(2)?, ..Entry::default() };
    let mut attributes = body.get(UNIX_DIAG_MSG..)?;
    while attributes.len() >= 4 {
        let len = usize::from(u16_at(attributes, 0)?);
        let value = attributes.get(4..len)?;
        let pair = || Some((u32_at(value, 0)?, u32_at(value, 4)?));
        match u16_at(attributes, 2)? {
            UNIX_DIAG_VFS => entry.inode = pair(),
            UNIX_DIAG_RQLEN => entry.queue = pair(),
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
    use std::os::unix::net::{UnixDatagram, UnixListener};

    use rustix::fs::stat;
    use rustix::net::{SocketAddrUnix, bind, listen, socket};

    use super::*;

    #[test]
    fn a_socket_is_found_by_its_file_in_every_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let at = |path| find(&stat(path).unwrap()).unwrap();

        let stream = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&stream, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(at(&path), Some(Served::NotListening));
        listen(&stream, 0).unwrap();
        assert_eq!(at(&path), Some(Served::Listening { is_full: false }));
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(at(&path), Some(Served::Listening { is_full: true }));
        drop(stream);
        assert_eq!(at(&path), None);

        let path = directory.path().join("datagrams");
        let _datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(at(&path), Some(Served::Datagrams));
    }

    #[test]
    fn a_connection_that_outlives_its_listener_does_not_make_it_live() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let listener = UnixListener::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let (server, _) = listener.accept().unwrap();
        drop(listener);
        assert_eq!(find(&stat(&path).unwrap()).unwrap(), None);
        drop((client, server));
    }

    #[test]
    fn a_table_longer_than_one_piece_is_searched_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let listeners: Vec<_> =
            (0..2000).map(|n| UnixListener::bind(directory.path().join(n.to_string())).unwrap()).collect();
        for n in [0, 999, 1999] {
            let found = find(&stat(directory.path().join(n.to_string())).unwrap()).unwrap();
            assert_eq!(found, Some(Served::Listening { is_full: false }), "{n}");
        }
        drop(listeners);
    }

    #[test]
    fn cut_or_twisted_answers_end_the_search() {
        let socket = [
            &[AF_UNIX, 1, LISTEN, 0][..],
            &[0; 12],
            &12_u16.to_ne_bytes(),
            &1_u16.to_ne_bytes(),
            &7_u32.to_ne_bytes(),
            &9_u32.to_ne_bytes(),
        ]
        .concat();
        let whole = [&44_u32.to_ne_bytes()[..], &SOCK_DIAG_BY_FAMILY.to_ne_bytes(), &[0; 10], &socket].concat();
        let entry = Entry { kind: 1, state: LISTEN, inode: Some((7, 9)), queue: None };
        assert_eq!(messages_of(&whole).collect::<Vec<_>>(), [Message::Socket(entry)]);
        for cut in 0..whole.len() {
            assert_eq!(messages_of(&whole[..cut]).count(), 0, "{cut}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 4, 15, 255] {
                let mut twisted = whole.clone();
                twisted[at] = value;
                assert!(messages_of(&twisted).count() <= 1);
            }
        }
    }
}
