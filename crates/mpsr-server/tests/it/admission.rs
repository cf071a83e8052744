//! Which connections become producers, and what becomes of the others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream as StdStream,
    path::{Path, PathBuf},
    time::Duration,
};

use frame_codec::Delimited;
use futures_util::stream;
use mpsr_server::{Endpoint, Event, Funnel, Limits, Membership, Place, Report};
use test_kit::soon::{LONG, soon};
use tokio::net::UnixListener;
use uds_actor::{Address, Admit, Bind};

/// What a funnel told until it ended.
#[derive(Debug, Default)]
struct Told {
    lines: Vec<String>,
    unread: Vec<(PathBuf, u64)>,
    rejected: usize,
    over_limit: usize,
    joined: usize,
}

impl Told {
    fn note(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => {
                self.lines.extend(delivery.into_iter().map(|line| String::from_utf8(line.to_vec()).unwrap()));
            }
            Event::Unread { place: Place::Socket(Address::Path(path)), connections } => {
                self.unread.push((path, connections));
            }
            Event::Rejected { .. } => self.rejected += 1,
            Event::OverLimit { .. } => self.over_limit += 1,
            Event::Joined(_) => self.joined += 1,
            Event::Left(_) | Event::Synced(_) => {}
            other => panic!("{other:?}"),
        }
    }

    async fn until(&mut self, funnel: &mut Funnel, what: &str, is_there: impl Fn(&Self) -> bool) {
        while !is_there(self) {
            let event = soon(what, funnel.next()).await.unwrap_or_else(|| panic!("the end before {what}: {self:?}"));
            self.note(event);
        }
    }

    async fn until_end(mut self, mut funnel: Funnel) -> (Self, Report) {
        while let Some(event) = soon("the end", funnel.next()).await {
            self.note(event);
        }
        (self, soon("the report", funnel.finished()).await)
    }
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn only(admissions: u64) -> Limits {
    limits(|limits| limits.admissions = Some(admissions))
}

fn connect(path: &Path, text: &str) -> StdStream {
    let mut stream = StdStream::connect(path).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// How a connection ends if its data was not read: with a reset, not an end that looks orderly.
fn assert_reset(mut stream: StdStream) {
    stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_full_funnel_reads_from_no_further_producer_tells_of_those_that_wait_and_ends() {
    for admissions in 1..=3_u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.sock");
        let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(only(admissions));
        let mut funnel = builder.start().await.unwrap();
        let mut producers: Vec<_> = (0..6).map(|n| connect(&path, &format!("{n}\n"))).collect();
        let late = producers.split_off(usize::try_from(admissions).unwrap());
        let mut told = Told::default();
        told.until(&mut funnel, "the lines", |told| told.lines.len() as u64 == admissions).await;
        told.until(&mut funnel, "the news of the others", |told| !told.unread.is_empty()).await;
        // It is over for them before those that were admitted have left.
        late.into_iter().for_each(assert_reset);
        assert_eq!(StdStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        for mut producer in producers {
            producer.write_all(b"more\n").unwrap();
        }
        let (told, report) = told.until_end(funnel).await;
        assert_eq!(told.unread, [(path, 6 - admissions)]);
        assert_eq!((told.lines.len() as u64, told.joined as u64), (2 * admissions, admissions));
        assert_eq!((report.producers, report.received.frames), (admissions, 2 * admissions), "{report}");
        assert_eq!((report.unread, report.lost.frames, report.failed_sources), (6 - admissions, 0, 0), "{report}");
    }
}

#[tokio::test]
async fn two_listeners_share_one_admission() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.sock", "b.sock"].map(|name| dir.path().join(name));
    let builder = Funnel::builder(Delimited::lines()).limits(only(1));
    let builder = paths.iter().fold(builder, |builder, path| builder.listen(Bind::path(path)));
    let funnel = builder.start().await.unwrap();
    let producers = paths.each_ref().map(|path| connect(path, "mine\n"));
    let ending = tokio::spawn(Told::default().until_end(funnel));
    // Either may be the one; the other is reset, and the funnel ends once the one has left.
    let ends = tokio::task::spawn_blocking(|| {
        producers.map(|mut producer| {
            producer.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            producer.read(&mut [0]).unwrap_err().kind()
        })
    });
    let mut ends = soon("both ends", ends).await.unwrap();
    ends.sort();
    assert_eq!(ends, [ErrorKind::ConnectionReset, ErrorKind::WouldBlock]);
    let (told, report) = soon("the end", ending).await.unwrap();
    assert_eq!((told.lines.len(), told.unread.len()), (1, 1), "{told:?}");
    assert_eq!((report.producers, report.unread), (1, 1), "{report}");
}

#[tokio::test]
async fn probes_and_peers_that_are_rejected_use_up_no_admission() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let bind = |admit| Bind::path(&path).admit(admit);
    let builder = Funnel::builder(Delimited::lines()).listen(bind(Admit::own())).limits(only(1));
    let funnel = builder.start().await.unwrap();
    for _ in 0..5 {
        drop(StdStream::connect(&path).unwrap());
    }
    drop(connect(&path, "the one\n"));
    let (told, report) = Told::default().until_end(funnel).await;
    assert_eq!((told.lines, told.joined), (vec!["the one".to_owned()], 6));
    assert_eq!((report.producers, report.received.frames, report.unread), (6, 1, 0), "{report}");

    let builder = Funnel::builder(Delimited::lines()).listen(bind(Admit::none())).limits(only(1));
    let mut funnel = builder.start().await.unwrap();
    let mut told = Told::default();
    for rejected in 1..=3 {
        drop(StdStream::connect(&path).unwrap());
        told.until(&mut funnel, "the rejection", |told| told.rejected == rejected).await;
    }
    funnel.handle().shutdown(LONG);
    let (_, report) = told.until_end(funnel).await;
    assert_eq!((report.rejected, report.producers, report.unread), (3, 0, 0), "{report}");
}

#[tokio::test]
async fn whatever_was_sent_uses_the_admission_up() {
    // Truncated, malformed, and no message at all but an empty one.
    for text in [&b"\0\0\0\x09trunc"[..], b"\xff\xff\xff\xff", b"\0\0\0\0"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.sock");
        let framing = frame_codec::LengthPrefixed::u32_be();
        let builder = Funnel::builder(framing).listen(Bind::path(&path)).limits(only(1));
        let funnel = builder.start().await.unwrap();
        StdStream::connect(&path).unwrap().write_all(text).unwrap();
        let (_, report) = Told::default().until_end(funnel).await;
        assert_eq!((report.producers, report.unread), (1, 0), "{text:?}: {report}");
    }
}

/// A server that sends one line to each client would waste it on a connection that is not read.
#[tokio::test]
async fn a_full_funnel_connects_to_no_further_member() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.sock", "b.sock", "c.sock"].map(|name| dir.path().join(name));
    let servers = paths.each_ref().map(|path| UnixListener::bind(path).unwrap());
    let member = |path: &PathBuf| Endpoint { address: Address::Path(path.clone()), generation: 1 };
    let joined: Vec<_> = paths.iter().map(|path| Membership::Joined(member(path))).collect();
    let members = stream::StreamExt::chain(stream::iter(joined), stream::pending());
    let builder = Funnel::builder(Delimited::lines()).members(members).limits(only(1));
    let funnel = builder.start().await.unwrap();
    let ending = tokio::spawn(Told::default().until_end(funnel));
    let [a, b, c] = &servers;
    let (client, _) = soon("one connection", async {
        tokio::select! { client = a.accept() => client, client = b.accept() => client, client = c.accept() => client }
    })
    .await
    .unwrap();
    assert_eq!(client.try_write(b"mine\n").unwrap(), 5);
    drop(client);
    let (told, report) = soon("the end", ending).await.unwrap();
    assert_eq!((told.lines, told.joined), (vec!["mine".to_owned()], 1));
    assert_eq!((report.producers, report.unread), (1, 0), "{report}");
    for server in servers {
        let server = server.into_std().unwrap();
        assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it was connected to");
    }
}

#[tokio::test]
async fn connections_that_wait_when_the_time_of_a_shutdown_is_over_are_told_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let limits = limits(|limits| (limits.connections, limits.per_connection_bytes) = (1, 1));
    let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
    let mut funnel = builder.start().await.unwrap();
    // Its first batch is kept, and the bound on its memory holds the rest of it back for as long as the drain may take.
    let first = StdStream::connect(&path).unwrap();
    first.set_nonblocking(true).unwrap();
    let _ = (&first).write(&b"0123456789\n".repeat(15_000)).unwrap();
    let kept = soon("the first batch", funnel.recv()).await.unwrap();
    let waiting: Vec<_> = (0..4).map(|n| connect(&path, &format!("waiting {n}\n"))).collect();
    let silent = StdStream::connect(&path).unwrap();
    // Nothing is lost of this one.
    drop(StdStream::connect(&path).unwrap());
    funnel.handle().shutdown(Duration::from_millis(300));
    let (told, report) = Told::default().until_end(funnel).await;
    assert_eq!(told.unread, [(path, 5)], "four with a line, and one that might still have written");
    assert_eq!((report.producers, report.unread, report.failed_sources), (1, 5, 0), "{report}");
    waiting.into_iter().for_each(assert_reset);
    drop((kept, silent));
}

#[tokio::test]
async fn what_a_funnel_that_is_ended_the_hard_way_leaves_in_its_queue_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let limits = limits(|limits| limits.connections = 1);
    let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
    let funnel = builder.start().await.unwrap();
    let clients: Vec<_> = (0..20).map(|n| connect(&path, &format!("{n}\n"))).collect();
    let report = soon("the report", funnel.finished()).await;
    assert_eq!(report.producers + report.unread, clients.len() as u64, "{report}");
    assert!(report.unread >= 19, "{report}");
}

#[tokio::test]
async fn a_user_with_too_many_connections_is_told_and_has_its_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let limits = limits(|limits| limits.per_uid = 2);
    let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
    let mut funnel = builder.start().await.unwrap();
    let mut told = Told::default();
    let first = connect(&path, "1\n");
    let _second = connect(&path, "2\n");
    told.until(&mut funnel, "two lines", |told| told.lines.len() == 2).await;
    let third = connect(&path, "3\n");
    told.until(&mut funnel, "the limit", |told| told.over_limit == 1).await;
    assert_reset(third);
    drop(first);
    let left = |event| matches!(event, Some(Event::Left(_)));
    assert!(left(soon("the first one's end", funnel.next()).await));
    let _fourth = connect(&path, "4\n");
    told.until(&mut funnel, "the fourth line", |told| told.lines.len() == 3).await;
    funnel.handle().shutdown(LONG);
    let (told, report) = told.until_end(funnel).await;
    assert_eq!((told.lines, told.over_limit), (["1", "2", "4"].map(String::from).to_vec(), 1));
    assert_eq!((report.over_limit, report.producers, report.unread), (1, 3, 0), "{report}");
}
