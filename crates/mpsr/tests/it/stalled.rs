//! Standard output that is not read, a pipe or a terminal, as when a window hangs or the session was stopped: it stalls no
//! report.

use std::{
    fs::{self, File, Permissions},
    io::{Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _},
    },
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{Mode, OFlags, chown, fcntl_getfl, fcntl_setfl, open},
    io::ioctl_fionread,
    process::{Signal, Uid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

use test_kit::{process::public_directory, stopwatch::Stopwatch};

use crate::{
    cells::{Cell, Kind},
    clients::skip_forbidden,
    listen::{directory, unix},
    running::{Running, eventually, listened_on, mpsr},
};

/// A terminal's two ends.
fn terminal() -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (master, slave)
}

/// Floods a receiver while its terminal is not read, asks it once to end, and checks its report.
fn assert_reports(mut command: Command, path: &Path) {
    let (master, slave) = terminal();
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(Stdio::piped());
    let mut listen = Running::start(&mut command);
    drop(command);
    let stderr = listen.stderr();
    listened_on(path);
    let mut flood = UnixStream::connect(path).unwrap();
    let flooding = thread::spawn(move || while flood.write_all(&b"more and more\n".repeat(100)).is_ok() {});
    let mut before = None;
    eventually("the terminal is full", || {
        thread::sleep(Duration::from_millis(50));
        let now = ioctl_fionread(&master).unwrap();
        now > 0 && before.replace(now) == Some(now)
    });
    assert_eq!(fcntl_getfl(&slave).unwrap() & OFlags::NONBLOCK, OFlags::empty(), "the flag that others share");
    let asked = Stopwatch::start();
    listen.signal(Signal::TERM);
    assert_eq!(listen.wait(), Some(1));
    asked.assert_within(Duration::from_millis(1500), "its end");
    flooding.join().unwrap();
    let said = stderr.rest();
    let report =
        said.iter().find(|line| line.starts_with("received ")).unwrap_or_else(|| panic!("no report: {said:?}"));
    let (_, delivered) = report.split_once(", delivered ").unwrap();
    let delivered: usize = delivered.split(',').next().unwrap().parse().unwrap();
    assert!(delivered > 0 && !report.contains("lost 0"), "{report}");
    assert!(said.iter().any(|line| line == "mpsr: standard output was not read"), "{said:?}");
    // What counts as delivered is on the terminal.
    drop(slave);
    let (mut screen, mut piece) = (Vec::new(), [0; 4096]);
    let mut master = File::from(master);
    while let Ok(read @ 1..) = master.read(&mut piece) {
        screen.extend_from_slice(&piece[..read]);
    }
    let shown = String::from_utf8(screen).unwrap().matches("| more and more\r\n").count();
    assert!(shown >= delivered, "{shown} of {delivered}");
}

#[test]
fn one_signal_ends_it_with_its_report_although_nobody_reads_its_terminal() {
    // The place at which it fills up depends on timing.
    for _ in 0..5 {
        let directory = directory();
        let path = directory.path().join("in.sock");
        assert_reports(mpsr(["listen", &unix(&path), "--drain", "500ms"]), &path);
    }
}

#[test]
fn a_terminal_that_belongs_to_another_user_holds_up_no_report() {
    const TEST: &str = "a_terminal_that_belongs_to_another_user_holds_up_no_report";
    /// A user who does not own the terminal.
    const OTHER: u32 = 54_322;
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can run a program as another user");
    }
    let top = public_directory();
    let program = top.path().join("mpsr");
    fs::copy(env!("CARGO_BIN_EXE_mpsr"), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let own = top.path().join("own");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(Uid::from_raw(OTHER)), None).unwrap();
    for _ in 0..3 {
        let path = own.join("in.sock");
        let mut command = Command::new(&program);
        command.args(["listen", &unix(&path), "--drain", "500ms", "--allow-any", "--mode", "666"]);
        command.uid(OTHER).gid(OTHER);
        assert_reports(command, &path);
    }
}

#[test]
fn one_signal_ends_it_with_its_report_although_no_process_reads_its_pipe_whatever_the_address() {
    const DRAIN: Duration = Duration::from_millis(300);
    for kind in Kind::documented() {
        for is_non_blocking in [false, true] {
            let what = format!("{kind:?}, non-blocking: {is_non_blocking}");
            let Cell { directory: _directory, mut command, producer } = Cell::new(kind, &["--drain", "300ms"]);
            let (mut reader, writer) = std::io::pipe().unwrap();
            if is_non_blocking {
                fcntl_setfl(&writer, fcntl_getfl(&writer).unwrap() | OFlags::NONBLOCK).unwrap();
            }
            let mut listen = Running::start(command.stdout(writer.try_clone().unwrap()));
            drop(command);
            let stderr = listen.stderr();
            let mut flood = producer.connect(&mut listen).unwrap();
            let flooding = thread::spawn(move || while flood.write_all(&b"more and more\n".repeat(100)).is_ok() {});
            eventually("the pipe is full", || {
                let mut ends = [PollFd::new(&writer, PollFlags::OUT)];
                poll(&mut ends, Some(&Timespec::default())).unwrap() == 0
            });
            let asked = Stopwatch::start();
            listen.signal(Signal::TERM);
            assert_eq!(listen.wait(), Some(1), "{what}");
            asked.assert_within(DRAIN + Duration::from_secs(1), &what);
            flooding.join().unwrap();
            let flags = fcntl_getfl(&writer).unwrap();
            assert_eq!(flags.contains(OFlags::NONBLOCK), is_non_blocking, "{what}: the flag that others share");
            drop(writer);
            let mut printed = String::new();
            reader.read_to_string(&mut printed).unwrap();
            let whole = printed.matches("more and more\n").count();
            let said = stderr.rest();
            let report = said.iter().find(|line| line.starts_with("received "));
            let report = report.unwrap_or_else(|| panic!("{what}: no report: {said:?}"));
            assert!(report.contains(&format!(", delivered {whole}, ")), "{what}: {whole} printed, {report}");
            assert!(whole > 0 && !report.contains("lost 0"), "{what}: {report}");
            assert_eq!(said.last().map(String::as_str), Some("mpsr: standard output was not read"), "{what}");
        }
    }
}
