//! More sockets than the kernel keeps events for, bound while the watching process is stopped: neither its threads nor
//! its consumer take anything, and what does not fit into the queue is dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::real::mirror::Mirror;
use crate::real::{LIMIT, Rig, Source, everywhere};

everywhere![trap_04_a_burst_beyond_the_kernels_queue_is_known_whole_after_a_sync];

/// More than the 16,384 events that the kernel keeps unless told otherwise; or as many as `FS_WATCH_BURST` says.
fn burst() -> usize {
    std::env::var("FS_WATCH_BURST").map_or(20_000, |number| number.parse().expect("a number"))
}

/// A separate process that watches. Ends with its test.
struct Other {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Other {
    fn start(rig: &Rig) -> Self {
        let source = if rig.is_polled() { "polling" } else { "events" };
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["real::overflow::sleeps_through_a_burst", "--exact", "--ignored", "--nocapture"])
            .env("WATCH", rig.dir())
            .env("WATCH_BY", source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What it says next; the test's harness speaks between.
    fn hear(&mut self) -> String {
        let mut lines = self.output.by_ref().lines().map(Result::unwrap);
        lines.find_map(|line| Some(line.split_once("> ")?.1.to_owned())).expect("it fails, and has said why")
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.process.stdin.as_mut().unwrap(), "{word}").unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// Returns when it does nothing any more.
    fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().expect("it was waited for");
        assert!(status.stopped(), "{status:?}");
    }

    fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn trap_04_a_burst_beyond_the_kernels_queue_is_known_whole_after_a_sync(rig: Rig) {
    let burst = burst();
    let _listener = rig.bind("0");
    let mut other = Other::start(&rig);
    assert_eq!(other.hear(), "watching");
    other.stop();
    // A hard link to a socket is a socket.
    for number in 1..burst {
        fs::hard_link(rig.path("0"), rig.path(&number.to_string())).unwrap();
    }
    other.resume();
    other.tell("all are there");
    assert_eq!(other.hear(), format!("{burst} known"));
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let overflows = !rig.is_polled() && burst > limit.trim().parse().unwrap();
    other.tell(if overflows { "until resynced" } else { "and go on" });
    // Who looks by itself has missed nothing that it would have to make good.
    assert_eq!(other.hear(), format!("{} resyncs", usize::from(overflows)));
    // And as before, what comes now is told.
    fs::rename(rig.path("1"), rig.path("last")).unwrap();
    other.tell("until the last");
    assert_eq!(other.hear(), format!("{burst} known"));
}

#[tokio::test]
#[ignore = "a part of the others: the process that they stop"]
async fn sleeps_through_a_burst() {
    let Some(dir) = std::env::var_os("WATCH").map(PathBuf::from) else { return };
    let source = if std::env::var("WATCH_BY").unwrap() == "polling" { Source::Polling } else { Source::Events };
    let mut input = std::io::stdin().lines().map(Result::unwrap);
    let say = |word: String| writeln!(std::io::stdout(), "\n> {word}").unwrap();
    let story = async {
        let mut mirror = Mirror::start(source.builder(&dir)).await;
        say("watching".to_owned());
        // The consumer is not even waiting.
        assert_eq!(input.next().unwrap(), "all are there");
        mirror.sync().await;
        say(format!("{} known", mirror.sockets.len()));
        if input.next().unwrap() == "until resynced" {
            mirror.until("it is resynced", |mirror| mirror.resyncs > 0).await;
        }
        // One for all that was dropped, and no second one.
        for _ in 0..3 {
            mirror.sync().await;
        }
        assert_eq!((&mirror.trouble, &mirror.removals[..]), (&None, &[][..]));
        say(format!("{} resyncs", mirror.resyncs));
        assert_eq!(input.next().unwrap(), "until the last");
        mirror.until_there(&dir.join("last")).await;
        mirror.until_gone(&dir.join("1")).await;
        say(format!("{} known", mirror.sockets.len()));
        mirror.watcher.shutdown().await;
    };
    tokio::time::timeout(LIMIT, story).await.expect("the watcher hangs");
}
