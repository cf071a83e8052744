//! A channel takes messages alone, and refuses descriptors.

use std::io::Read as _;

use test_kit::{descriptors::try_to_pass, process::Watchdog};
use uds_channel::{Blocking, Channel, Json};

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
