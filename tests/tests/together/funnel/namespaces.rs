//! Producers that the kernel's table of sockets does not show to the funnel: they are in another network namespace, as in
//! another container that shares the directory.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use frame_codec::Delimited;
use mpsr_server::{Event, Funnel, Parting};

use crate::funnel::rig::{LONG, soon};

const ROUNDS: usize = 10;
const LINES: usize = 200;

/// What makes a network namespace here: root may, and others may in a user namespace of their own.
fn unshare() -> Option<&'static [&'static str]> {
    let makes = |flags: &[&str]| Command::new("unshare").args(flags).arg("true").stderr(Stdio::null()).status();
    [&["-n"][..], &["-U", "-r", "-n"]].into_iter().find(|flags| makes(flags).is_ok_and(|status| status.success()))
}

/// A producer that binds a name, gives one connection what it has, and ends.
struct OneShot {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl OneShot {
    fn start(flags: &[&str], path: &Path) -> Self {
        let mut command = Command::new("unshare");
        command.args(flags).arg(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "funnel::namespaces::play_a_one_shot_producer",
            "--ignored",
            "--nocapture",
            "--quiet",
        ]);
        command.env("FUNNEL_PATH", path).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        Self { said: BufReader::new(child.stdout.take().unwrap()), child }
    }

    fn listens(&mut self) {
        let mut line = String::new();
        while line != "listening\n" {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        }
    }
}

impl Drop for OneShot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whichever starts first. A probe that connected would use up the one connection.
#[tokio::test]
async fn a_producer_in_another_network_namespace_that_serves_one_connection_is_received_from() {
    let Some(flags) = unshare() else {
        return println!("SKIPPED: no network namespace may be made here");
    };
    for round in 0..ROUNDS {
        for is_producer_first in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("one-shot.sock");
            let start = || Funnel::builder(Delimited::lines()).directory(dir.path()).start();
            let (mut producer, mut funnel);
            if is_producer_first {
                producer = OneShot::start(flags, &path);
                producer.listens();
                funnel = start().await.unwrap();
            } else {
                funnel = start().await.unwrap();
                producer = OneShot::start(flags, &path);
            }
            let here = format!("round {round}, producer first: {is_producer_first}");
            let mut lines = Vec::new();
            loop {
                match soon(&here, funnel.next()).await.expect("the funnel runs") {
                    Event::Delivery(delivery) => lines.extend(delivery.into_iter().map(|line| line.to_vec())),
                    Event::Left(left) => {
                        assert!(matches!(left.parting, Parting::Closed), "{here}: {left}");
                        break;
                    }
                    Event::Trouble { place, error } => panic!("{here}: {place}: {error}"),
                    _ => {}
                }
            }
            assert_eq!(lines, (0..LINES).map(line).collect::<Vec<_>>(), "{here}");
            assert!(producer.child.wait().unwrap().success(), "{here}");
            funnel.handle().shutdown(LONG);
            while soon(&here, funnel.next()).await.is_some() {}
            let report = soon(&here, funnel.finished()).await;
            assert_eq!((report.producers, report.received.frames), (1, LINES as u64), "{here}: {report}");
        }
    }
}

fn line(number: usize) -> Vec<u8> {
    format!("line {number}").into_bytes()
}

#[test]
#[ignore = "a role, played in a network namespace of its own"]
fn play_a_one_shot_producer() {
    let path = std::env::var_os("FUNNEL_PATH").unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    println!("listening");
    let (mut stream, _) = listener.accept().unwrap();
    // A later connection must be refused.
    drop(listener);
    std::fs::remove_file(&path).unwrap();
    for number in 0..LINES {
        stream.write_all(&[&line(number)[..], b"\n"].concat()).unwrap();
    }
}
