//! Urgent bytes (`MSG_OOB`), at which the kernel ends a read although there is more behind them.

use std::{io::Write as _, os::unix::net::UnixStream};

use frame_codec::Delimited;
use rustix::{
    io::Errno,
    net::{SendFlags, send},
};
use test_kit::soon::soon;
use uds_actor::Actor;

#[tokio::test]
async fn urgent_data_does_not_hold_back_the_data_behind_it() {
    const TEST: &str = "urgent::urgent_data_does_not_hold_back_the_data_behind_it";
    let (here, mut there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let here = tokio::net::UnixStream::from_std(here).unwrap();
    let (_sender, mut receiver, _control) = Actor::new(here, Delimited::lines()).spawn();
    let mut lines = async |count: usize| {
        let mut heard = Vec::new();
        while heard.len() < count {
            let batch = soon("a line", receiver.recv_batch()).await.expect("the connection stands");
            heard.extend(batch.iter().map(|line| String::from_utf8(line.to_vec()).unwrap()));
        }
        heard
    };
    // From the first pause on, a short read is taken for the last.
    for _ in 0..3 {
        there.write_all(b"warm\n").unwrap();
        assert_eq!(lines(1).await, ["warm"]);
    }
    for round in 0..3 {
        // Nothing awaits in between, so that the actor learns of all of it by one event.
        writeln!(there, "before {round}").unwrap();
        match send(&there, b"!", SendFlags::OOB) {
            Err(Errno::OPNOTSUPP) => {
                println!("SKIPPED {TEST}: this kernel has no urgent data on Unix sockets");
                return;
            }
            sent => assert_eq!(sent, Ok(1)),
        }
        writeln!(there, "behind {round}").unwrap();
        // The urgent byte itself is not part of the stream.
        assert_eq!(lines(2).await, [format!("before {round}"), format!("behind {round}")]);
    }
}
