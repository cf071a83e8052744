//! Descriptors that can be told apart, and a peer that sends and receives them with bare system calls.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::fs::FileTypeExt as _,
};

use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    fs::MemfdFlags,
    io::{Errno, FdFlags, fcntl_getfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg,
    },
};

/// A file in memory with this text in it.
pub fn file(text: &str) -> OwnedFd {
    let mut file = File::from(rustix::fs::memfd_create("text", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file.into()
}

/// What is in such a file; the descriptor must have been made safe against `exec`.
pub fn text(descriptor: impl AsFd) -> String {
    let descriptor = descriptor.as_fd();
    assert!(fcntl_getfd(descriptor).unwrap().contains(FdFlags::CLOEXEC), "open across exec");
    let mut file = File::from(descriptor.try_clone_to_owned().unwrap());
    if file.metadata().unwrap().file_type().is_fifo() {
        return "a pipe".into();
    }
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

/// The same for each of `descriptors`.
pub fn texts(descriptors: &[OwnedFd]) -> Vec<String> {
    descriptors.iter().map(text).collect()
}

/// A descriptor to pass, and a way to see whether all of its duplicates are closed, wherever they are.
pub fn watched() -> (OwnedFd, Watch) {
    let (reader, writer) = io::pipe().unwrap();
    (reader.into(), Watch(writer.into()))
}

/// Sees whether all duplicates of a descriptor are closed.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Whether no process has it open any longer (`poll(2)` on the other end of a pipe).
    pub fn is_closed(&self) -> bool {
        let mut ends = [PollFd::new(&self.0, PollFlags::empty())];
        poll(&mut ends, Some(&Timespec::default())).unwrap();
        ends[0].revents().contains(PollFlags::ERR)
    }
}

/// One `sendmsg` with these descriptors.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[OwnedFd]) -> rustix::io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(OwnedFd::as_fd).collect();
    if !borrowed.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
}

/// Sends a line with a descriptor to a peer that takes none, and sees that the kernel refuses it if it can.
#[track_caller]
pub fn try_to_pass(socket: impl AsFd, line: &[u8]) -> Watch {
    let (descriptor, watch) = watched();
    let sent = send(&socket, line, &[descriptor]);
    match sent {
        Err(Errno::PERM) => {
            assert!(can_refuse(), "the option is there");
            assert!(watch.is_closed());
            send(socket, line, &[]).unwrap();
        }
        Ok(_) => assert!(!can_refuse(), "it was not refused"),
        Err(errno) => panic!("{errno}"),
    }
    watch
}

/// One `recvmsg` of what is there.
pub fn receive(socket: impl AsFd) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut bytes = vec![0; 64 << 10];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let message = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).unwrap();
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    bytes.truncate(message.bytes);
    (bytes, descriptors)
}

/// A frame of `LengthPrefixed::u32_be` with a count in front of the payload.
pub fn frame(count: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len() + 1).unwrap();
    [&len.to_be_bytes()[..], &[count], payload].concat()
}

/// Whether this kernel lets a socket refuse descriptors: Linux 6.16.
pub fn can_refuse() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 16)
}
