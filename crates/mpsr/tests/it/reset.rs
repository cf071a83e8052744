//! Connections that are reset.
//!
//! A Unix socket is reset when the other side closes it with something unread in it, or closes a listener that never
//! accepted it (`unix_release_sock` in the kernel's `net/unix/af_unix.c`). A receiver writes nothing, so no plain producer
//! can do the first: when one is killed the receiver sees an end of file. Here a third party writes in its stead,
//! through a duplicate of its descriptor.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Stdio,
};

use rustix::{
    io::Errno,
    net::sockopt::socket_peercred,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use crate::{
    clients::{find_or_skip, python, skip_forbidden},
    listen::{Listen, directory, texts, unix},
    running::Running,
};

/// Frames with a length before them; the last one is not complete.
fn frames_and_a_half() -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in ["whole", "complete"] {
        bytes.extend(u32::try_from(text.len()).expect("a short text").to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend([0, 0, 0, 9, b'h', b'a', b'l', b'f']);
    bytes
}

/// A duplicate of the descriptor with which `process` holds its end of the connection to us.
fn their_end(process: Pid) -> Result<UnixStream, Errno> {
    let pidfd = pidfd_open(process, PidfdFlags::empty())?;
    let descriptors = fs::read_dir(format!("/proc/{}/fd", process.as_raw_pid())).expect("it runs");
    for descriptor in descriptors {
        let number = descriptor.expect("an entry").file_name().to_string_lossy().parse().expect("a number");
        // It may have been closed meanwhile.
        let fd = match pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()) {
            Ok(fd) => fd,
            Err(Errno::BADF) => continue,
            Err(error) => return Err(error),
        };
        if socket_peercred(&fd).is_ok_and(|peer| peer.pid == rustix::process::getpid()) {
            return Ok(UnixStream::from(fd));
        }
    }
    panic!("it has no connection to us");
}

#[test]
fn a_reset_within_a_frame_delivers_the_complete_frames_and_reports_the_truncated_one() {
    const TEST: &str = "a_reset_within_a_frame_delivers_the_complete_frames_and_reports_the_truncated_one";
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([&unix(&path), "--framing", "u32be"]);
    let mut producer = UnixStream::connect(&path).unwrap();
    producer.write_all(&frames_and_a_half()).unwrap();
    listen.until_count("message", 2);
    match their_end(listen.running.as_pid()) {
        Ok(mut theirs) => theirs.write_all(b"unread").unwrap(),
        Err(error) => return skip_forbidden(TEST, &format!("pidfd_getfd is not permitted here: {error}")),
    }
    drop(producer);

    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["whole", "complete"]);
    assert_eq!(left["reason"], "reset");
    assert_eq!(left["error"], "Connection reset by peer (os error 104)");
    assert_eq!([&left["received"], &left["delivered"], &left["truncated"], &left["lost"]], [2, 2, 1, 0]);
    listen.stop().assert_report(1, 2, 1);
}

#[test]
fn a_server_that_closes_without_accepting_resets() {
    /// Closes its listener as soon as a client waits to be accepted.
    const NEVER_ACCEPTS: &str = "
import select, socket, sys
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen(1)
select.select([door], [], [])
door.close()
print('closed', flush=True)
";
    let Some(program) = find_or_skip("a_server_that_closes_without_accepting_resets", "python3") else { return };
    let directory = directory();
    let mut listen = Listen::start([format!("dir:{}", directory.path().display())]);
    let path = directory.path().join("never.sock");
    let mut server = Running::start(python(&program, NEVER_ACCEPTS, &[&path]).stdout(Stdio::piped()));
    assert_eq!(server.stdout().next().as_deref(), Some("closed"));
    let left = listen.until("left");
    assert_eq!([&left["reason"], &left["error"]], ["reset", "Connection reset by peer (os error 104)"]);
    assert_eq!([&left["received"], &left["truncated"]], [0, 0]);
    assert_eq!(server.wait(), Some(0));
    listen.stop().assert_report(1, 0, 0);
}

#[test]
fn others_go_on_when_one_is_reset() {
    const TEST: &str = "others_go_on_when_one_is_reset";
    let directory = directory();
    let path = directory.path().join("in.sock");
    let mut listen = Listen::start([unix(&path)]);
    let mut producer = UnixStream::connect(&path).unwrap();
    listen.until("joined");
    let mut theirs = match their_end(listen.running.as_pid()) {
        Ok(theirs) => theirs,
        Err(error) => return skip_forbidden(TEST, &format!("pidfd_getfd is not permitted here: {error}")),
    };
    let mut other = UnixStream::connect(&path).unwrap();
    other.write_all(b"before\n").unwrap();
    theirs.write_all(b"unread").unwrap();
    drop(theirs);
    producer.write_all(b"half a line").unwrap();
    drop(producer);
    let left = listen.until("left");
    // A line that ends at a reset is cut; at an end of file it would be complete.
    assert_eq!(
        [&left["reason"], &left["received"], &left["truncated"]],
        [&"reset".into(), &0.into(), &1.into()] as [&serde_json::Value; 3]
    );
    other.write_all(b"after\n").unwrap();
    other.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(other.read(&mut [0]).unwrap(), 0);
    let left = listen.until("left");
    assert_eq!(texts(&listen.events, &left["producer"]), ["before", "after"]);
    listen.stop().assert_report(2, 2, 1);
}
