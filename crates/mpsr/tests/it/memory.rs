//! Memory after a burst: what connections have given back, the process gives back, too.

use std::{
    fs,
    io::Write as _,
    os::unix::net::UnixStream,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::{
    listen::{directory, unix},
    running::{Running, eventually, mpsr},
};

const CONNECTIONS: usize = 900;
/// How long after a burst it may take.
const AFTER: Duration = Duration::from_secs(5);
/// What a receiver with this many connections at rest may hold, in KiB. With its code, of which 4 MiB are resident in a release
/// build, these are 16 MiB.
const MOST: u64 = 12 << 10;

/// Resident memory without the pages of its code, which is larger in a debug build. In KiB.
fn resident(process: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it has memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_burst_leaves_no_memory_behind_whatever_the_size_of_its_messages() {
    for size in [512 << 10, 60 << 10, 4 << 10] {
        let directory = directory();
        let path = directory.path().join("x.sock");
        let out = directory.path().join("out");
        let mut listen = Running::start(
            mpsr(["listen", "-q", &unix(&path)])
                .stdin(Stdio::null())
                .stdout(fs::File::create(&out).unwrap())
                .stderr(Stdio::null()),
        );
        eventually("it listens", || UnixStream::connect(&path).is_ok());
        let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let message = [vec![b'y'; size], b"\n".to_vec()].concat();
        for connection in &mut connections {
            connection.write_all(&message).unwrap();
        }
        let all = (message.len() * CONNECTIONS) as u64;
        eventually("all has arrived", || fs::metadata(&out).unwrap().len() == all);
        let started = Instant::now();
        let mut held = resident(&listen);
        while held > MOST && started.elapsed() < AFTER {
            thread::sleep(Duration::from_millis(50));
            held = resident(&listen);
        }
        assert!(held <= MOST, "{held} KiB, {AFTER:?} after {CONNECTIONS} messages of {size} bytes");
        // All are still connected: it is not their end that gave it back.
        connections[0].write_all(b"still here\n").unwrap();
        eventually("it is heard", || fs::metadata(&out).unwrap().len() > all);
        drop(connections);
        listen.child().kill().unwrap();
    }
}
