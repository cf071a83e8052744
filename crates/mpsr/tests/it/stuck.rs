//! Filesystems that do not answer, such as that of a server that is gone: one signal ends every command even so.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use test_kit::stopwatch::Stopwatch;

use crate::{
    clients::{find_or_skip, skip_forbidden},
    listen::{directory, unix},
    running::{Running, eventually},
};

/// Mounts a FUSE filesystem with no one behind it and becomes the rest of the command line. It goes with the process.
const MOUNTED: &str = "exec 9<>/dev/fuse && \
    mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 hung \"$0\" && exec \"$@\"";

/// Whether a thread of the process waits for FUSE (`proc_pid_wchan(5)`).
fn is_stuck(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .into_iter()
        .any(|thread| fs::read_to_string(thread.path().join("wchan")).is_ok_and(|at| at.contains("fuse")))
}

/// Whether it has a handler for the signal.
fn catches_term(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0) & 1 << (Signal::TERM.as_raw() - 1)
        != 0
}

#[test]
fn one_signal_ends_a_command_that_waits_for_a_filesystem_that_does_not_answer() {
    const TEST: &str = "one_signal_ends_a_command_that_waits_for_a_filesystem_that_does_not_answer";
    if find_or_skip(TEST, "unshare").is_none() {
        return;
    }
    let top = directory();
    let hung = top.path().join("hung");
    fs::create_dir(&hung).unwrap();
    let mounted = |command: &[&str]| {
        let mut line = Command::new("unshare");
        line.args(["-m", "bash", "-c", MOUNTED]).arg(&hung).args(command);
        line.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        line
    };
    if !Path::new("/dev/fuse").exists() || !mounted(&["true"]).status().is_ok_and(|status| status.success()) {
        return skip_forbidden(TEST, "no FUSE filesystem may be mounted here");
    }
    let (socket, sockets) = (unix(hung.join("in.sock")), format!("dir:{}", hung.display()));
    let program = env!("CARGO_BIN_EXE_mpsr");
    for (command, code, limit, words) in [
        (&["listen", socket.as_str(), "--drain", "5s"][..], 1, 1, "before it could start"),
        (&["listen", &sockets, "--drain", "5s"], 1, 1, "before it could start"),
        (&["watch", &sockets], 0, 1, ""),
        (&["watch", "--recursive", &sockets], 0, 1, ""),
        (&["send", &socket, "a"], 1, 3, "a system call has not come back"),
        (&["send", "--bind", &socket, "a"], 1, 3, "a system call has not come back"),
    ] {
        let line: Vec<_> = [program].iter().chain(command).copied().collect();
        let mut running = Running::start(&mut mounted(&line));
        let stderr = running.stderr();
        let pid = running.pid();
        eventually("it waits", || (catches_term(pid) && is_stuck(pid)) || running.has_ended());
        assert!(!running.has_ended(), "{command:?}: {:?}", stderr.rest());
        let asked = Stopwatch::start();
        running.signal(Signal::TERM);
        assert_eq!(running.wait(), Some(code), "{command:?}");
        asked.assert_within(Duration::from_secs(limit) + Duration::from_millis(500), format!("{command:?}"));
        let said = stderr.rest().join("\n");
        assert!(said.contains(words), "{command:?}: {said}");
    }
}
