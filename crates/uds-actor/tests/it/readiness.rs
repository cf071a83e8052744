//! What arrives is read, though a read that does not fill its room is taken to say that nothing is left.

use std::process::{Command, Stdio};

use frame_codec::Delimited;
use rustix::net::sockopt::set_socket_passcred;
use test_kit::soon::soon;
use tokio::net::UnixStream;
use uds_actor::Actor;

/// Where credentials were asked for, the kernel ends a read where another process has written.
#[tokio::test]
async fn bytes_of_several_processes_are_read_at_once_whatever_was_asked_of_the_socket_before() {
    let (here, there) = UnixStream::pair().unwrap();
    set_socket_passcred(&here, true).unwrap();
    let (_sender, mut receiver, _control) = Actor::new(here, Delimited::lines()).spawn();
    let mut frames = 0;
    for round in 1..=3 {
        // Everything is in the kernel before the actor runs.
        let theirs = Stdio::from(rustix::io::dup(&there).unwrap());
        let child = Command::new("echo").arg("from a child").stdout(theirs).status().unwrap();
        assert!(child.success());
        assert_eq!(there.try_write(b"from us\n").unwrap(), 8);
        while frames < 2 * round {
            frames += soon("both lines", receiver.recv_batch()).await.unwrap().len();
        }
    }
}
