//! Queries the table and reads it piece by piece.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use crate::entry::{Entry, Which};
use crate::error::Error;
use crate::wire::{Message, Messages, parse, request, request_one};

/// The kernel answers in datagrams of at most this many bytes.
const PIECE: usize = 32 << 10;

/// Queries the table of the caller's network namespace.
///
/// The kernel answers within the calls, so nothing here waits for another process. Takes one descriptor while the dump
/// exists.
///
/// # Errors
/// [`Error::Open`], [`Error::Ask`]. Later errors are items of the [`Dump`].
pub fn dump(which: Which) -> Result<Dump, Error> {
    let socket = ask(&request(which))?;
    Ok(Dump { socket, which, piece: vec![0; PIECE], unread: 0..0, ended: false })
}

/// Queries the one socket of the caller's network namespace that has this [number](Entry::inode); `None` if there is
/// none, or no longer.
///
/// Unlike a socket that is missing from a dump, this answer is certain. The kernel searches all its sockets, so it
/// costs as much as a dump without the reading.
///
/// # Errors
/// The query or its answer failed.
pub fn find(inode: u32) -> Result<Option<Entry>, Error> {
    // Zero would match any socket.
    if inode == 0 {
        return Ok(None);
    }
    let socket = ask(&request_one(inode))?;
    let mut dump = Dump { socket, which: Which::All, piece: vec![0; PIECE], unread: 0..0, ended: false };
    match dump.next() {
        Some(Err(Error::Rejected { source })) if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(None),
        answer => answer.transpose(),
    }
}

fn ask(question: &[u8]) -> Result<OwnedFd, Error> {
    let open = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG));
    let socket = open.map_err(|errno| Error::Open { source: errno.into() })?;
    send(&socket, question, SendFlags::empty()).map_err(|errno| Error::Ask { source: errno.into() })?;
    Ok(socket)
}

/// The table: an iterator over its sockets. It ends after the first error.
#[derive(Debug)]
pub struct Dump {
    socket: OwnedFd,
    which: Which,
    piece: Vec<u8>,
    unread: std::ops::Range<usize>,
    ended: bool,
}

impl Iterator for Dump {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.message() {
                Some(Message::Socket(entry)) => {
                    if self.which.includes(&entry) {
                        return Some(Ok(entry));
                    }
                }
                Some(Message::Done) => self.ended = true,
                Some(Message::Rejected(number)) => {
                    self.ended = true;
                    return Some(Err(Error::Rejected { source: std::io::Error::from_raw_os_error(number) }));
                }
                None => {
                    if let Err(errno) = self.refill() {
                        self.ended = true;
                        return Some(Err(Error::Read { source: errno.into() }));
                    }
                }
            }
        }
        None
    }
}

impl Dump {
    /// The next message of the current piece.
    fn message(&mut self) -> Option<Message> {
        let mut messages: Messages<'_> = parse(self.piece.get(self.unread.clone())?);
        let message = messages.next();
        self.unread.start = self.unread.end - messages.rest();
        message
    }

    fn refill(&mut self) -> Result<(), Errno> {
        let (len, _) = recv(&self.socket, &mut self.piece[..], RecvFlags::DONTWAIT)?;
        if len == 0 {
            return Err(Errno::NODATA);
        }
        self.unread = 0..len;
        Ok(())
    }
}
