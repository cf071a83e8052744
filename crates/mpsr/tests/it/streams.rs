//! Standard output and standard error that are full, stuck, limited, closed or shared with a process that sets flags.

use std::{
    fs::{self, File},
    io::{PipeReader, PipeWriter, Read as _, Write as _, pipe},
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::Signal,
};
use serde_json::Value;
use test_kit::stopwatch::Stopwatch;

use crate::{
    listen::{directory, unix},
    running::{Running, all, eventually, finish, has_room, listened_on, mpsr},
};

/// Lines of different lengths that say where they belong.
fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|line| format!("{line:07} {}\n", "x".repeat(line % 50)).into_bytes()).collect()
}

/// A pipe that has no room left.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'\n'; 512]).is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

/// Our process sends these bytes and closes.
fn feed(path: &std::path::Path, bytes: Vec<u8>) -> thread::JoinHandle<()> {
    let mut stream = UnixStream::connect(path).unwrap();
    thread::spawn(move || drop(stream.write_all(&bytes)))
}

#[test]
fn a_pipe_that_a_neighbour_made_non_blocking_loses_nothing_and_keeps_its_flag() {
    let all = lines(60_000);
    for flag in [OFlags::NONBLOCK, OFlags::empty()] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let (mut reader, writer) = pipe().unwrap();
        fcntl_setfl(&writer, flag).unwrap();
        let mut listen = Running::start(
            mpsr(["listen", &unix(&path)])
                .stdin(Stdio::null())
                .stdout(writer.try_clone().unwrap())
                .stderr(Stdio::piped()),
        );
        let stderr = listen.stderr();
        stderr.next();
        let feeding = feed(&path, all.clone());
        eventually("the pipe is full", || !has_room(&writer));
        assert_eq!(fcntl_getfl(&writer).unwrap() & OFlags::NONBLOCK, flag);
        drop(writer);
        let mut got = vec![0; all.len()];
        reader.read_exact(&mut got).unwrap();
        assert!(got == all, "some lines were lost or out of order");
        feeding.join().unwrap();
        listen.signal(Signal::TERM);
        assert_eq!(listen.wait(), Some(0), "{:?}", stderr.rest());
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn one_signal_ends_it_in_time_although_nobody_reads_standard_output() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let (mut reader, writer) = pipe().unwrap();
    let mut command = mpsr(["listen", &unix(&path), "--drain", "500ms"]);
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(Stdio::piped());
    let mut listen = Running::start(&mut command);
    drop(command);
    let stderr = listen.stderr();
    stderr.next();
    let feeding = feed(&path, lines(100_000));
    eventually("the pipe is full", || !has_room(&writer));
    drop(writer);
    let asked = Stopwatch::start();
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(1));
    asked.assert_within(Duration::from_millis(1500), "its end");
    feeding.join().unwrap();
    let mut got = String::new();
    reader.read_to_string(&mut got).unwrap();
    let whole = got.matches('\n').count();
    let said = stderr.rest();
    let report =
        said.iter().find(|line| line.starts_with("received ")).unwrap_or_else(|| panic!("no report: {said:?}"));
    assert!(report.contains(&format!(", delivered {whole}, ")) && !report.contains("lost 0"), "{whole}: {report}");
    assert!(said.iter().any(|line| line == "mpsr: standard output was not read"), "{said:?}");
    assert!(!path.exists());
}

#[test]
fn standard_error_that_nobody_reads_holds_up_no_message() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let (mut errors, writer) = full_pipe();
    let mut command = mpsr(["listen", &unix(&path)]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
    let mut listen = Running::start(&mut command);
    drop(command);
    let stdout = listen.stdout();
    listened_on(&path);
    let mut quiet = UnixStream::connect(&path).unwrap();
    quiet.write_all(b"before\n").unwrap();
    assert_eq!(stdout.next().as_deref(), Some("before"));
    // Each has two notes, together more than may wait.
    for client in 0..2000 {
        UnixStream::connect(&path).unwrap().write_all(format!("{client}\n").as_bytes()).unwrap();
        stdout.next();
    }
    quiet.write_all(b"after\n").unwrap();
    assert_eq!(stdout.next().as_deref(), Some("after"));
    // When it is read again, what was dropped is told, while it goes on.
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains(" notes were dropped: standard error was not read\n") {
        let mut piece = [0; 4096];
        let read = errors.read(&mut piece).unwrap();
        assert_ne!(read, 0, "it ended");
        told.extend_from_slice(&piece[..read]);
    }
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("received 2002 messages from 2001 producers, delivered 2002"), "{rest}");
}

/// Runs a receiver of a thousand lines whose standard output is this file, with this limit on files.
fn into_limited_file(limit: &str, out: File, arguments: &str) -> (Option<i32>, Value, String) {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let script = format!("ulimit {limit}; exec {} listen {} {arguments}", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut command = Command::new("sh");
    let mut listen = Running::start(command.args(["-c", &script]).stdout(out).stderr(Stdio::piped()));
    let stderr = listen.stderr();
    listened_on(&path);
    feed(&path, lines(1000)).join().unwrap();
    let code = listen.wait();
    assert!(!path.exists(), "its name is left behind");
    let said = stderr.rest();
    let report = said.iter().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no report: {said:?}"));
    (code, serde_json::from_str(report).unwrap(), said.join("\n"))
}

#[test]
fn delivered_is_what_was_written_and_the_rest_is_lost() {
    let directory = directory();
    let out = directory.path().join("out");
    // Blocks of 512 bytes: the file ends in the middle of a line.
    let (code, report, said) = into_limited_file("-f 20", File::create(&out).unwrap(), "--json");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot write to standard output") && said.contains("File too large"), "{said}");
    let written = fs::read_to_string(&out).unwrap();
    let whole = written.lines().filter(|line| line.ends_with('}') && line.contains(r#""event":"message""#));
    let whole: u64 = whole.count().try_into().unwrap();
    assert!(0 < whole && whole < 1000, "{whole}");
    let number = |field: &str| report[field].as_u64().unwrap();
    assert_eq!(number("delivered"), whole, "{report}");
    assert_eq!(number("received"), number("delivered") + number("lost"), "{report}");
    assert!(number("lost") > 0);
}

/// Of the commands that have no report, too.
#[test]
fn a_file_that_may_not_grow_is_an_error_with_words_whatever_the_command() {
    let directory = directory();
    let place = directory.path().display();
    drop(std::os::unix::net::UnixListener::bind(directory.path().join("a.sock")).unwrap());
    for arguments in ["ls .", "ls --json .", "sweep --dry-run .", "watch .", "--help", "listen --help"] {
        let script = format!("cd {place}; ulimit -f 0; exec {} {arguments} > out", env!("CARGO_BIN_EXE_mpsr"));
        let ended = finish(Command::new("sh").args(["-c", &script]), b"");
        assert_eq!(ended.code, Some(1), "{arguments}: {}", ended.stderr);
        let is_help = arguments.contains("help");
        assert!(is_help || ended.stderr.contains("File too large"), "{arguments}: {}", ended.stderr);
    }
}

#[test]
fn standard_error_that_is_closed_does_no_harm() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let script = format!("exec {} listen {} 2>&-", env!("CARGO_BIN_EXE_mpsr"), unix(&path));
    let mut command = Command::new("sh");
    let mut listen = Running::start(command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()));
    let stdout = listen.stdout();
    listened_on(&path);
    assert_eq!(finish(&mut mpsr(["send", &unix(&path), "through"]), b"").code, Some(0));
    assert_eq!(stdout.next().as_deref(), Some("through"));
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(0));
}

/// Descriptors 0, 1 and 2 may be closed at the start, in any combination. No socket may get one of these numbers, or notes and
/// messages would be written to peers.
#[test]
fn standard_streams_that_are_closed_do_no_harm_whatever_the_address() {
    for closed in ["<&-", "2>&-", "<&- 2>&-", ">&-", "<&- >&- 2>&-"] {
        let directory = directory();
        let sockets = directory.path().join("sockets");
        fs::create_dir(&sockets).unwrap();
        let (path, offered) = (directory.path().join("in.sock"), sockets.join("offered.sock"));
        let name = format!("unix:@mpsr-test-{}", std::process::id());
        // Two that connect, one that is connected to; and the report when all of them have come.
        let program = env!("CARGO_BIN_EXE_mpsr");
        let places = format!("{} {name} dir:{}", unix(&path), sockets.display());
        let script = format!("exec {program} listen {places} --count 3 --timeout 30s --drain 0.1 {closed}");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut listen = Running::start(&mut command);
        let (stdout, stderr) = (all(listen.child().stdout.take()), all(listen.child().stderr.take()));
        listened_on(&path);
        for (send, message) in [
            (format!("{program} send {} by-path", unix(&path)), "by-path"),
            (format!("{program} send {name} by-name"), "by-name"),
            (format!("{program} send --bind {} offered", unix(&offered)), "offered"),
        ] {
            let sent = Command::new("sh").args(["-c", &format!("exec {send} {closed}")]).output().unwrap();
            assert_eq!(sent.status.code(), Some(0), "{closed}: {message}: {sent:?}");
            assert_eq!(sent.stdout, b"", "{closed}: {message}");
        }
        assert_eq!(listen.wait(), Some(0), "{closed}");
        let (stdout, stderr) = (stdout.join().unwrap(), String::from_utf8(stderr.join().unwrap()).unwrap());
        // What is closed counts as /dev/null, which takes everything.
        let printed =
            if closed.contains(" >&-") || closed.starts_with(">&-") { "" } else { "by-path\nby-name\noffered\n" };
        assert_eq!(String::from_utf8_lossy(&stdout), printed, "{closed}");
        let report = "received 3 messages from 3 producers, delivered 3, truncated 0, lost 0 in";
        assert_eq!(stderr.contains(report), !closed.contains("2>&-"), "{closed}: {stderr}");
    }
}

#[test]
fn reports_so_far_that_nobody_reads_are_dropped_and_counted() {
    let directory = directory();
    let path = directory.path().join("in.sock");
    let (errors, writer) = full_pipe();
    let mut command = mpsr(["listen", "--json", &unix(&path)]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
    let mut listen = Running::start(&mut command);
    drop(command);
    let stdout = listen.stdout();
    listened_on(&path);
    let mut producer = UnixStream::connect(&path).unwrap();
    // Each is a quarter of a KiB, and 64 KiB may wait. A signal may be one with the next.
    for line in 0..3000 {
        listen.signal(Signal::USR1);
        writeln!(producer, "{line}").unwrap();
        while !stdout.next().unwrap().contains(&format!(r#""text":"{line}""#)) {}
    }
    drop(producer);
    listen.signal(Signal::TERM);
    let said = String::from_utf8(all(Some(errors)).join().unwrap()).unwrap();
    assert_eq!(listen.wait(), Some(0), "{said}");
    let objects: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let so_far: Vec<_> = objects.iter().filter(|object| object["event"] == "report-so-far").collect();
    let bytes: usize = so_far.iter().map(|object| object.to_string().len()).sum();
    assert!(bytes <= 66 << 10, "{bytes}");
    // What is not known yet is not told as a number.
    assert!(so_far.iter().all(|object| object.get("shed").is_none()), "{:?}", so_far.first());
    let report =
        objects.iter().find(|object| object["event"] == "report").unwrap_or_else(|| panic!("no report: {said}"));
    assert!(report["notes_dropped"].as_u64() > Some(100) && report["shed"] == 0, "{report}");
}
