//! A channel takes messages alone, and refuses descriptors.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Read as _;

use rustix::io::Errno;
use test_kit::{
    descriptors::{self, can_refuse, send, watched},
    process::Watchdog,
};
use uds_channel::{Blocking, Channel, Json};

/// Sends a line with a descriptor to a channel that takes none.
#[track_caller]
fn try_to_pass(socket: impl std::os::fd::AsFd, line: &[u8]) -> descriptors::Watch {
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

#[test]
fn a_channel_refuses_descriptors() {
    let _watchdog = Watchdog::start();
    let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut channel = Channel::<String, String, Blocking, Json>::from_stream(here);
    let watch = try_to_pass(&there, b"\x0b\0\0\0\0\0\0\0\"a\"");
    assert_eq!(channel.recv().unwrap(), "a");
    assert!(watch.is_closed());
    channel.send(&"b".to_owned()).unwrap();
    assert_eq!(there.read(&mut [0; 80]).unwrap(), 11);
}
