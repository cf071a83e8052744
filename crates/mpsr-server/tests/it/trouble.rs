//! What a funnel tells when something is missing or fails: shortages, limitations, listeners that break.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    process::Command,
    time::Duration,
};

use frame_codec::Delimited;
use mpsr_server::{Error, Event, Funnel, Place};
use rustix::{
    io::Errno,
    net::{Shutdown, shutdown},
    process::{PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, getpid, getrlimit, pidfd_getfd, pidfd_open, setrlimit},
};
use test_kit::soon::{LONG, soon};
use uds_actor::{Address, Admit, Bind};

/// Lets this process open no further file, until it is dropped. Each test has its own process (nextest).
struct NoDescriptors(Rlimit);

impl NoDescriptors {
    fn take() -> Self {
        let limit = getrlimit(Resource::Nofile);
        // The descriptors that are open stay open.
        setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        Self(limit)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

async fn listening(path: &Path) -> Funnel {
    Funnel::builder(Delimited::lines()).listen(Bind::path(path)).start().await.unwrap()
}

fn client(path: &Path) -> StdStream {
    let mut client = StdStream::connect(path).unwrap();
    client.write_all(b"a line\n").unwrap();
    client
}

/// The trouble that comes next, at this listener.
async fn trouble(funnel: &mut Funnel, path: &Path) -> Error {
    let event = soon("the trouble", funnel.next()).await.unwrap();
    let Event::Trouble { place, error } = event else { panic!("{event:?}") };
    assert_eq!(place, Place::Socket(Address::Path(path.to_owned())));
    error
}

fn errno(source: &std::io::Error) -> Option<Errno> {
    Errno::from_io_error(source)
}

#[tokio::test]
async fn a_shortage_is_told_once_each_time_it_begins_and_nothing_is_lost() {
    test_kit::alone!();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let mut funnel = listening(&path).await;
    for round in 1..=2_u64 {
        let waiting = client(&path);
        let shortage = NoDescriptors::take();
        let error = trouble(&mut funnel, &path).await;
        assert!(error.is_retryable());
        let Error::Shortage { address, source } = error else { panic!("{error:?}") };
        assert_eq!((address, errno(&source)), (Address::Path(path.clone()), Some(Errno::MFILE)));
        // It tries again after 10, 20, 40 … ms, and fails.
        let again = tokio::time::timeout(Duration::from_millis(300), funnel.next()).await;
        assert!(again.is_err(), "{again:?}");
        drop(shortage);
        let event = soon("the connection", funnel.next()).await.unwrap();
        assert!(matches!(event, Event::Joined(_)), "{event:?}");
        assert_eq!(soon("the line", funnel.recv()).await.unwrap().batch().get(0), Some(&b"a line"[..]));
        drop(waiting);
        let event = soon("the end", funnel.next()).await.unwrap();
        assert!(matches!(event, Event::Left(_)), "{round}: {event:?}");
    }
    funnel.handle().shutdown(LONG);
    assert!(soon("the end", funnel.next()).await.is_none());
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.producers, report.delivered.frames, report.failed_sources), (2, 2, 0), "{report}");
}

#[tokio::test]
async fn a_queue_that_cannot_be_emptied_before_the_end_is_told_and_counted() {
    test_kit::alone!();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let mut funnel = listening(&path).await;
    let _waiting = client(&path);
    let shortage = NoDescriptors::take();
    assert!(matches!(trouble(&mut funnel, &path).await, Error::Shortage { .. }));
    funnel.handle().shutdown(Duration::from_millis(200));
    let error = trouble(&mut funnel, &path).await;
    assert!(!error.is_retryable());
    let Error::Undrained { address, source } = error else { panic!("{error:?}") };
    assert_eq!((address, errno(&source)), (Address::Path(path), Some(Errno::MFILE)));
    assert!(soon("the end", funnel.next()).await.is_none());
    let report = soon("the report", funnel.finished()).await;
    drop(shortage);
    assert_eq!((report.producers, report.unread, report.failed_sources), (0, 0, 1), "{report}");
}

/// A second descriptor of the socket that listens here, as another process could have it.
fn listening_socket(path: &Path) -> OwnedFd {
    let table = fs::read("/proc/net/unix").unwrap();
    // Other processes' names need not be UTF-8.
    let table = String::from_utf8_lossy(&table);
    let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let [inode] = &lines
        .filter(|fields| fields.get(3) == Some(&"00010000") && fields.get(7) == path.to_str().as_ref())
        .map(|fields| format!("socket:[{}]", fields[6]))
        .collect::<Vec<_>>()[..]
    else {
        panic!("not one socket listens on {path:?}")
    };
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
    let number = descriptors
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == inode.as_str()))
        .map(|entry| entry.file_name().to_str().unwrap().parse().unwrap())
        .next()
        .expect("it is ours");
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap()
}

#[tokio::test]
async fn a_listener_that_breaks_is_told_and_the_others_go_on_until_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.sock", "b.sock"].map(|name| dir.path().join(name));
    let builder = Funnel::builder(Delimited::lines());
    let builder = paths.iter().fold(builder, |builder, path| builder.listen(Bind::path(path)));
    let mut funnel = builder.start().await.unwrap();
    for path in &paths {
        shutdown(listening_socket(path), Shutdown::Read).unwrap();
        let error = trouble(&mut funnel, path).await;
        assert!(matches!(error, Error::Accept(_)), "{error:?}");
        if path == &paths[0] {
            drop(client(&paths[1]));
            soon("the other one's line", funnel.recv()).await.unwrap();
            let event = soon("the end of the producer", funnel.next()).await.unwrap();
            assert!(matches!(event, Event::Left(_)), "{event:?}");
        }
    }
    assert!(soon("the end of the funnel", funnel.next()).await.is_none());
    assert!(!funnel.handle().is_shutdown());
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.producers, report.failed_sources), (1, 2), "{report}");
}

/// Here the number of inotify instances can be limited without a limit for others.
const INSTANCES: &str = "/proc/sys/user/max_inotify_instances";

#[test]
fn a_listener_that_works_with_a_limitation_says_which() {
    let inside = |arguments: &[&str]| Command::new("unshare").args(["-U", "-r"]).args(arguments).output();
    if !inside(&["true"]).is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: no user namespace may be made here");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let script = format!("echo 0 > {INSTANCES} && exec \"$0\" --exact --ignored --nocapture trouble::role_is_limited");
    let output = inside(&["sh", "-c", &script, test.to_str().unwrap()]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs as the user that every user is who has no id in the user namespace.
#[test]
fn a_directory_in_which_no_socket_can_be_admitted_says_why() {
    let mapped = ["-U", "--map-user=65534", "--map-group=65534"];
    let inside = |arguments: &[&str]| Command::new("unshare").args(mapped).args(arguments).output();
    if !inside(&["true"]).is_ok_and(|made| made.status.success()) {
        eprintln!("SKIPPED: no user namespace may be made here");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let output =
        inside(&[test.to_str().unwrap(), "--exact", "--ignored", "--nocapture", "trouble::role_is_nobody"]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "a role of `a_directory_in_which_no_socket_can_be_admitted_says_why`"]
async fn role_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("a.sock")).unwrap();
    let builder = Funnel::builder(Delimited::lines()).directory(dir.path());
    let mut funnel = builder.start().await.unwrap();
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Event::Rejected { .. })) {
        told.push(soon("the rejection", funnel.next()).await.unwrap());
    }
    let place = Place::Directory(dir.path().to_owned());
    let is_why = |event: &Event| match event {
        Event::Trouble { place: of, error: Error::Limited { why } } => *of == place && why.starts_with("uid 65534"),
        _ => false,
    };
    assert!(is_why(&told[0]), "{told:?}");
    assert_eq!(told.iter().filter(|event| is_why(event)).count(), 1, "{told:?}");
    // Named, it is admitted, and nothing is missing.
    let builder = Funnel::builder(Delimited::lines()).directory(dir.path()).admit(Admit::own().uid(65_534));
    let mut funnel = builder.start().await.unwrap();
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Event::Joined(_))) {
        told.push(soon("the producer", funnel.next()).await.unwrap());
    }
    assert!(!told.iter().any(|event| matches!(event, Event::Trouble { .. })), "{told:?}");
}

#[tokio::test]
#[ignore = "a role of `a_listener_that_works_with_a_limitation_says_which`"]
async fn role_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let mut funnel = listening(&path).await;
    let Error::Limited { why } = trouble(&mut funnel, &path).await else { panic!("it is not limited") };
    assert!(why.starts_with("the socket's file is checked only once a second"), "{why}");
    let _client = client(&path);
    soon("the line", funnel.recv()).await.unwrap();
    assert_eq!(soon("the report", funnel.finished()).await.failed_sources, 0);
}
