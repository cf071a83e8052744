//! Under limits that leave no room for threads, stacks or memory: a command does its work without, or fails with words.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Command, Stdio},
};

use rustix::{fs::chown, process::Signal};

use test_kit::process::public_directory;

use crate::{
    clients::{find_or_skip, skip_forbidden},
    running::{Running, eventually, finish, is_listened_on},
};

/// A user who runs nothing else, so that the limit on processes counts ours.
const LONER: u32 = 54_321;

#[test]
fn without_threads_it_works_or_fails_with_words() {
    const TEST: &str = "without_threads_it_works_or_fails_with_words";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can run a program as a user who runs nothing else");
    }
    let Some(prlimit) = find_or_skip(TEST, "prlimit") else { return };
    let top = public_directory();
    let program = top.path().join("mpsr");
    fs::copy(env!("CARGO_BIN_EXE_mpsr"), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let own = top.path().join("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(rustix::process::Uid::from_raw(LONER)), None).unwrap();
    let limited = |limit: u32, arguments: &str| {
        let mut command = Command::new(&prlimit);
        command
            .arg(format!("--nproc={limit}"))
            .arg(&program)
            .args(arguments.split(' '))
            .current_dir(&own)
            .uid(LONER)
            .gid(LONER);
        command
    };
    for limit in 1..=4 {
        // Whole, with one thread.
        let mut listen = Running::start(
            limited(limit, "listen unix:in.sock").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let (stdout, stderr) = (listen.stdout(), listen.stderr());
        // A supervisor waits for this.
        assert_eq!(stderr.next().as_deref(), Some("listening on unix:in.sock"), "{limit}");
        eventually("it listens", || is_listened_on(&own.join("in.sock")) || listen.has_ended());
        let sent = finish(Command::new(&program).args(["send", "unix:in.sock", "hello"]).current_dir(&own), b"");
        assert_eq!(sent.code, Some(0), "{limit}: {} {:?}", sent.stderr, stderr.rest());
        assert_eq!(stdout.next().as_deref(), Some("hello"));
        for note in ["   1 + pid ", "   1 - "] {
            let said = stderr.next();
            assert!(said.as_ref().is_some_and(|said| said.starts_with(note)), "{limit}: {said:?}");
        }
        listen.signal(Signal::TERM);
        assert_eq!(listen.wait(), Some(0));
        let said = stderr.rest().join("\n");
        assert!(said.contains("received 1 message from 1 producer, delivered 1"), "{limit}: {said}");

        for arguments in ["ls .", "sweep .", "send unix:none.sock a"] {
            let ended = finish(&mut limited(limit, arguments), b"");
            let is_right = match ended.code {
                Some(0) => true,
                Some(1) => ended.stderr.starts_with("mpsr: "),
                _ => false,
            };
            assert!(is_right && !ended.stderr.contains("panicked"), "{limit} {arguments}: {ended:?}");
        }
    }
    // Watching takes threads.
    for arguments in ["watch .", "listen dir:."] {
        let ended = finish(&mut limited(1, arguments), b"");
        assert_eq!(ended.code, Some(1), "{arguments}: {ended:?}");
        assert!(ended.stderr.contains("thread") && !ended.stderr.contains("panicked"), "{arguments}: {ended:?}");
    }
}

/// As `ulimit -s` sets it, in KiB: the least with which a program starts at all, and more.
const STACKS: [u64; 4] = [64, 128, 256, 1024];

#[test]
fn a_small_stack_is_enough() {
    let Some(prlimit) = find_or_skip("a_small_stack_is_enough", "prlimit") else { return };
    for kib in STACKS {
        let top = tempfile::tempdir().unwrap();
        let limited = |arguments: &[&str]| {
            let mut command = Command::new(&prlimit);
            command.arg(format!("--stack={}", kib * 1024)).arg(env!("CARGO_BIN_EXE_mpsr")).args(arguments);
            command.current_dir(top.path());
            command
        };
        let mut listen = Running::start(
            limited(&["listen", "in.sock"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let (stdout, stderr) = (listen.stdout(), listen.stderr());
        eventually("it listens", || is_listened_on(&top.path().join("in.sock")) || listen.has_ended());
        let sent = finish(&mut limited(&["send", "in.sock", "hello"]), b"");
        assert_eq!(sent.code, Some(0), "{kib} KiB: {} {:?}", sent.stderr, stderr.rest());
        assert_eq!(stdout.next().as_deref(), Some("hello"), "{kib} KiB");
        let shown = finish(&mut limited(&["ls"]), b"");
        assert!(
            shown.code == Some(0) && String::from_utf8_lossy(&shown.stdout).contains("in.sock"),
            "{kib} KiB: {shown:?}"
        );
        listen.signal(Signal::TERM);
        assert_eq!(listen.wait(), Some(0), "{kib} KiB");
        assert_eq!(finish(&mut limited(&["listen", "--help"]), b"").code, Some(0), "{kib} KiB");
        assert_eq!(finish(&mut limited(&["--nonsense"]), b"").code, Some(2), "{kib} KiB");
    }
}

/// Limits in MiB, and whether two producers of the largest messages that are allowed can be received from.
#[test]
fn a_limit_on_memory_is_enough_or_too_low_from_the_start() {
    let Some(prlimit) = find_or_skip("a_limit_on_memory_is_enough_or_too_low_from_the_start", "prlimit") else {
        return;
    };
    for (resource, limit, options, is_enough) in [
        ("data", 1, "", false),
        ("data", 8, "", false),
        ("data", 8, "--max-frame 64k", true),
        ("data", 12, "", true),
        ("data", 12, "--json", false),
        ("data", 32, "--json", true),
        ("as", 16, "", false),
        ("as", 28, "", true),
        ("as", 28, "--json", false),
        ("as", 128, "--json", true),
    ] {
        let what = format!("{resource} {limit} {options}");
        let top = tempfile::tempdir().unwrap();
        let out = top.path().join("out");
        let mut command = Command::new(&prlimit);
        command
            .arg(format!("--{resource}={}", limit << 20))
            .arg(env!("CARGO_BIN_EXE_mpsr"))
            .args(["listen", "in.sock"]);
        command.args(options.split_whitespace()).current_dir(top.path());
        command.stdin(Stdio::null()).stdout(fs::File::create(&out).unwrap()).stderr(Stdio::piped());
        let mut listen = Running::start(&mut command);
        let stderr = listen.stderr();
        if is_enough {
            eventually("it listens", || is_listened_on(&top.path().join("in.sock")) || listen.has_ended());
            // Each byte is six in JSON.
            let size = if options.contains("64k") { 64 << 10 } else { 1 << 20 };
            let message = [vec![1; size], b"\n".to_vec()].concat();
            let sending = [(); 4].map(|()| {
                let (path, message) = (top.path().join("in.sock"), message.clone());
                std::thread::spawn(move || {
                    let mut stream = std::os::unix::net::UnixStream::connect(path)?;
                    (0..4).try_for_each(|_| std::io::Write::write_all(&mut stream, &message))
                })
            });
            let sent = sending.map(|thread| thread.join().unwrap().is_ok());
            listen.signal(Signal::TERM);
            let said = (listen.wait(), stderr.rest().join("\n"));
            assert_eq!((said.0, sent), (Some(0), [true; 4]), "{what}: {}", said.1);
            assert!(said.1.contains("\"delivered\":16,") || said.1.contains(", delivered 16,"), "{what}: {}", said.1);
        } else {
            let said = (listen.wait(), stderr.rest().join("\n"));
            assert_eq!(said.0, Some(1), "{what}: {}", said.1);
            assert!(said.1.starts_with("mpsr: cannot listen: memory is limited to"), "{what}: {}", said.1);
        }
        let names: Vec<_> = fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["out"], "{what}: something is left behind");
    }
}
