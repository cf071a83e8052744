//! A funnel with real sockets: who comes, what arrives, and what the report says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    os::unix::{fs::MetadataExt as _, net::UnixListener as StdListener},
    path::PathBuf,
    time::Duration,
};

use frame_codec::{Delimited, LengthPrefixed, Raw, UntilEof};
use mpsr_server::{Error, Event, Funnel, Limits, Parting, Place, ProducerReport, Report, Via};
use test_kit::soon::{LONG, soon};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
};
use uds_actor::{Address, Admit, Bind, NameLoss};

struct Spot {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn spot() -> Spot {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    Spot { _dir: dir, path }
}

/// Everything a funnel tells until it ends, sorted by kind.
#[derive(Default)]
struct Told {
    messages: Vec<(u64, String)>,
    reports: Vec<ProducerReport>,
    troubles: Vec<String>,
}

impl Told {
    fn of(&self, producer: u64) -> Vec<&str> {
        self.messages.iter().filter(|(id, _)| *id == producer).map(|(_, text)| text.as_str()).collect()
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Delivery(delivery) => {
                let id = delivery.producer().id.value();
                self.messages.extend(delivery.into_iter().map(|m| (id, String::from_utf8_lossy(&m).into_owned())));
            }
            Event::Left(report) => self.reports.push(report),
            Event::Trouble { place, error } => self.troubles.push(format!("{place}: {error}")),
            _ => {}
        }
    }

    /// Takes events until this many producers have left.
    async fn until_left(&mut self, funnel: &mut Funnel, producers: usize) {
        while self.reports.len() < producers {
            let event = soon("an event", funnel.next()).await.expect("the funnel runs");
            self.note(event);
        }
    }

    async fn until_end(&mut self, mut funnel: Funnel) -> Report {
        while let Some(event) = soon("an event", funnel.next()).await {
            self.note(event);
        }
        soon("the report", funnel.finished()).await
    }
}

#[tokio::test]
async fn five_plain_clients_that_write_and_close_deliver_five_of_five_under_each_framing() {
    async fn five(funnel: Result<Funnel, Error>, path: &std::path::Path) {
        let mut funnel = funnel.unwrap();
        for n in 0..5 {
            let mut client = UnixStream::connect(path).await.unwrap();
            client.write_all(format!("Hello from producer {n}").as_bytes()).await.unwrap();
        }
        let mut told = Told::default();
        told.until_left(&mut funnel, 5).await;
        let mut texts: Vec<_> = told.messages.iter().map(|(_, text)| text.as_str()).collect();
        texts.sort_unstable();
        assert_eq!(texts, (0..5).map(|n| format!("Hello from producer {n}")).collect::<Vec<_>>());
        let report = soon("the report", funnel.finished()).await;
        assert_eq!((report.producers, report.delivered.frames, report.truncated, report.lost.frames), (5, 5, 0, 0));
    }
    let Spot { _dir, path } = spot();
    five(Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await, &path).await;
    five(Funnel::builder(Raw).listen(Bind::path(&path)).start().await, &path).await;
    five(Funnel::builder(UntilEof).listen(Bind::path(&path)).start().await, &path).await;
}

#[tokio::test]
async fn each_producer_keeps_its_order_and_its_name() {
    let Spot { _dir, path } = spot();
    let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let path = path.clone();
            tokio::spawn(async move {
                let mut client = UnixStream::connect(path).await.unwrap();
                for line in 0..5000 {
                    client.write_all(format!("{n} {line}\n").as_bytes()).await.unwrap();
                }
            })
        })
        .collect();
    let mut told = Told::default();
    told.until_left(&mut funnel, 4).await;
    for writer in writers {
        soon("a writer", writer).await.unwrap();
    }
    for report in &told.reports {
        let got = told.of(report.producer.id.value());
        let writer = got[0].split(' ').next().unwrap();
        assert_eq!(got, (0..5000).map(|line| format!("{writer} {line}")).collect::<Vec<_>>());
        assert!(matches!(report.parting, Parting::Closed), "{report}");
        assert_eq!((report.producer.via, report.producer.peer.pid()), (Via::Listener, Some(std::process::id())));
    }
}

#[tokio::test]
async fn a_shutdown_takes_in_those_who_wait_to_be_accepted() {
    let Spot { _dir, path } = spot();
    let funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut clients = Vec::new();
    for n in 0..20 {
        // Written before the funnel could accept a connection.
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        std::io::Write::write_all(&mut &client, format!("early bird {n}\n").as_bytes()).unwrap();
        clients.push(client);
    }
    funnel.handle().shutdown(LONG);
    let mut told = Told::default();
    let report = told.until_end(funnel).await;
    assert_eq!((told.messages.len(), report.delivered.frames, report.lost.frames), (20, 20, 0));
    assert!(told.reports.iter().all(|report| matches!(report.parting, Parting::Shutdown)));
    assert!(!path.exists(), "the name is withdrawn");
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_its_producer_and_nobody_else() {
    let Spot { _dir, path } = spot();
    let mut limits = Limits::default();
    limits.max_frame = 10;
    let builder = Funnel::builder(LengthPrefixed::u32_be()).listen(Bind::path(&path)).limits(limits);
    let mut funnel = builder.start().await.unwrap();
    let mut good = UnixStream::connect(&path).await.unwrap();
    let mut bad = UnixStream::connect(&path).await.unwrap();
    bad.write_all(b"\0\0\0\x02ok\xff\xff\xff\xff").await.unwrap();
    let mut told = Told::default();
    told.until_left(&mut funnel, 1).await;
    assert!(matches!(told.reports[0].parting, Parting::Malformed(_)), "{}", told.reports[0]);
    assert_eq!(told.messages.len(), 1, "the complete frame before it is delivered");
    good.write_all(b"\0\0\0\x04good\0\0\0\x09cut").await.unwrap();
    drop(good);
    told.until_left(&mut funnel, 2).await;
    let report = &told.reports[1];
    assert_eq!((report.delivered.frames, report.truncated(), report.truncated_bytes), (1, 1, 7), "{report}");
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.delivered.frames, report.truncated, report.lost.frames), (2, 2, 0));
}

#[tokio::test]
async fn ending_a_funnel_before_it_is_empty_counts_what_is_lost() {
    let Spot { _dir, path } = spot();
    let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"taken\n").await.unwrap();
    soon("the first line", funnel.recv()).await.unwrap();
    // More than the kernel holds: when it is written, some of it has been read into the process and waits there.
    let lines = [[b'x'; 999].as_slice(), b"\n"].concat().repeat(300);
    soon("room for the lines", client.write_all(&lines)).await.unwrap();
    let report = soon("the report", funnel.finished()).await;
    assert_eq!(report.delivered.frames, 1);
    assert!(report.received.frames > 1, "{report}");
    assert_eq!(report.lost.frames, report.received.frames - 1);
}

#[tokio::test]
async fn at_the_limit_of_connections_the_next_waits_for_one_to_leave() {
    let Spot { _dir, path } = spot();
    let mut limits = Limits::default();
    limits.connections = 1;
    let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
    let mut funnel = builder.start().await.unwrap();
    let mut first = UnixStream::connect(&path).await.unwrap();
    let mut second = UnixStream::connect(&path).await.unwrap();
    second.write_all(b"second\n").await.unwrap();
    drop(second);
    first.write_all(b"first\n").await.unwrap();
    let delivery = soon("a line", funnel.recv()).await.unwrap();
    assert_eq!(delivery.batch().get(0), Some(&b"first"[..]));
    drop(first);
    let delivery = soon("the other line", funnel.recv()).await.unwrap();
    assert_eq!(delivery.batch().get(0), Some(&b"second"[..]));
}

/// Lets everything else run until nothing can: the clock stands still for as long as anything does.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_producer_waits_for_one_quantum_of_each_of_thirty_loud_ones() {
    const QUANTUM: usize = 64 << 10;
    const WORDS: usize = 100;
    let Spot { _dir, path } = spot();
    let mut funnel = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).start().await.unwrap();
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let mut client = UnixStream::connect(&path).await.unwrap();
        floods.spawn(async move {
            let block = b"l".repeat(31).into_iter().chain([b'\n']).collect::<Vec<_>>().repeat(2048);
            while client.write_all(&block).await.is_ok() {}
        });
    }
    let mut quiet = UnixStream::connect(&path).await.unwrap();
    let mut events = 0;
    // After many rounds, the reads of the loud ones have grown to their full size.
    while events < 30 * 20 {
        soon("the flood", funnel.next()).await.unwrap();
        events += 1;
    }
    for _ in 0..3 {
        // Every word is a batch of its own, and all of them wait in the funnel before it is asked.
        for word in 0..WORDS {
            quiet.write_all(format!("word {word}\n").as_bytes()).await.unwrap();
            settle().await;
        }
        let (mut turns, mut in_round, mut words, mut last) = (0, 0, 0, None);
        while words < WORDS {
            let delivery = soon("the words", funnel.recv()).await.unwrap();
            let id = Some(delivery.producer().id);
            if delivery.batch().get(0).is_some_and(|message| message.starts_with(b"word")) {
                assert_eq!(delivery.batch().get(0), Some(format!("word {words}").as_bytes()));
                words += delivery.batch().len();
            } else {
                assert_eq!(words, 0, "the quiet one continues until it has delivered what it had");
                if id != last {
                    (turns, in_round) = (turns + 1, 0);
                }
                assert!(in_round < QUANTUM, "a producer continues after {in_round} bytes");
                in_round += delivery.batch().memory_len();
            }
            last = id;
        }
        assert!(turns <= 30, "{turns} turns of loud producers came first");
        // Its share of the round ends when it has nothing more queued.
        soon("a loud one", funnel.recv()).await.unwrap();
    }
    drop(funnel);
    soon("the floods' end", floods.join_all()).await;
}

#[tokio::test]
async fn every_peer_that_is_not_admitted_is_told_at_once_and_counted() {
    let Spot { _dir, path } = spot();
    let bind = Bind::path(&path).admit(Admit::none());
    let mut funnel = Funnel::builder(Delimited::lines()).listen(bind).start().await.unwrap();
    for _ in 0..3 {
        let mut client = UnixStream::connect(&path).await.unwrap();
        let event = soon("the rejection", funnel.next()).await.unwrap();
        let Event::Rejected { place, peer } = event else { panic!("{event:?}") };
        assert_eq!(place, Place::Socket(Address::Path(path.clone())));
        assert_eq!(peer.unwrap().pid(), Some(std::process::id()));
        assert_eq!(soon("the close", client.read(&mut [0; 1])).await.unwrap(), 0);
    }
    // One more is in the queue when the funnel stops.
    let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    funnel.handle().shutdown(LONG);
    let event = soon("the rejection", funnel.next()).await.unwrap();
    assert!(matches!(event, Event::Rejected { .. }), "{event:?}");
    assert!(soon("the end", funnel.next()).await.is_none());
    let report = soon("the report", funnel.finished()).await;
    assert_eq!((report.rejected, report.producers), (4, 0), "{report}");
}

#[tokio::test]
async fn a_listener_that_loses_its_name_says_so_and_takes_it_again_only_where_that_was_asked_for() {
    for rebind in [true, false] {
        let Spot { _dir, path } = spot();
        let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).rebind(rebind);
        let mut funnel = builder.start().await.unwrap();
        let place = Place::Socket(Address::Path(path.clone()));
        let mut early = UnixStream::connect(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut told = Vec::new();
        while told.len() < 1 + usize::from(rebind) {
            match soon("the news", funnel.next()).await.unwrap() {
                Event::NameLost { place: at, loss } => {
                    assert_eq!((at, loss), (place.clone(), NameLoss::Removed));
                    told.push("lost");
                }
                Event::Rebound(at) => {
                    assert_eq!(at, place);
                    told.push("rebound");
                }
                Event::Joined(_) => {}
                event => panic!("{event:?}"),
            }
        }
        assert_eq!(told, if rebind { &["lost", "rebound"][..] } else { &["lost"] });
        early.write_all(b"early\n").await.unwrap();
        let delivery = soon("the early line", funnel.recv()).await.unwrap();
        assert_eq!(delivery.batch().get(0), Some(&b"early"[..]));
        assert_eq!(UnixStream::connect(&path).await.is_ok(), rebind);
    }
}

#[tokio::test]
async fn a_full_funnel_tells_of_a_lost_name_and_takes_it_again() {
    let Spot { _dir, path } = spot();
    let mut limits = Limits::default();
    limits.connections = 1;
    let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits).rebind(true);
    let mut funnel = builder.start().await.unwrap();
    let mut first = UnixStream::connect(&path).await.unwrap();
    first.write_all(b"first\n").await.unwrap();
    soon("the first line", funnel.recv()).await.unwrap();
    // It waits for a slot: the listener accepts it as soon as it runs.
    let mut second = UnixStream::connect(&path).await.unwrap();
    second.write_all(b"second\n").await.unwrap();
    let before = std::fs::symlink_metadata(&path).unwrap().ino();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    // The number of the file is not to be used again.
    std::fs::hard_link(&path, path.with_file_name(".other")).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(soon("the loss", funnel.next()).await.unwrap(), Event::NameLost { .. }));
    assert!(matches!(soon("the name", funnel.next()).await.unwrap(), Event::Rebound(_)));
    assert_ne!(std::fs::symlink_metadata(&path).unwrap().ino(), before);
    let mut third = UnixStream::connect(&path).await.unwrap();
    third.write_all(b"third\n").await.unwrap();
    drop((second, third));
    drop(first);
    for line in ["second", "third"] {
        let delivery = soon(line, funnel.recv()).await.unwrap();
        assert_eq!(delivery.batch().get(0), Some(line.as_bytes()));
    }
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_an_error_and_leaves_nothing_behind() {
    let Spot { _dir, path } = spot();
    let file = path.with_file_name("file");
    std::fs::write(&file, "precious").unwrap();
    let both = Funnel::builder(Raw).listen(Bind::path(&path)).listen(Bind::path(&file)).start().await;
    assert!(matches!(both, Err(Error::Bind(uds_actor::BindError::NotASocket { .. }))), "{both:?}");
    assert!(!path.exists(), "the listener that could be had is gone again");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    let long = PathBuf::from("/tmp").join("x".repeat(300));
    assert!(Funnel::builder(Raw).listen(Bind::path(long)).start().await.is_err());
    assert!(matches!(Funnel::builder(Raw).start().await, Err(Error::NoSource)));
}

#[cfg(feature = "dir")]
mod dir {
    //! Sockets that appear in a directory and vanish from it, and members that a stream names.

    use futures_util::stream;
    use mpsr_server::{Endpoint, Membership};

    use super::*;

    #[tokio::test]
    async fn members_are_connected_to_when_they_join_and_the_report_names_them() {
        let Spot { _dir, path } = spot();
        let server = UnixListener::bind(&path).unwrap();
        let endpoint = Endpoint { address: Address::Path(path.clone()), generation: 1 };
        let members = stream::iter([Membership::Joined(endpoint), Membership::Synced]);
        let mut funnel = Funnel::builder(Delimited::lines()).members(members).start().await.unwrap();
        let serving = tokio::spawn(async move {
            let (mut client, _) = server.accept().await.unwrap();
            client.write_all(b"offered\n").await.unwrap();
            client.shutdown().await.unwrap();
            // We do not half-close before the producer does, so that programs that read as well are not misled.
            client.read(&mut [0; 1]).await.unwrap()
        });
        let mut told = Told::default();
        told.until_left(&mut funnel, 1).await;
        assert_eq!(told.messages, [(1, "offered".to_owned())]);
        assert_eq!(told.reports[0].producer.via, Via::Directory);
        assert_eq!(soon("the server", serving).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_member_nobody_listens_on_is_told_once_and_tried_until_somebody_does() {
        let Spot { _dir, path } = spot();
        // Bound and not listening yet: every connect is refused.
        let socket = rustix_bind(&path);
        let endpoint = Endpoint { address: Address::Path(path.clone()), generation: 1 };
        let members = stream::iter([Membership::Joined(endpoint)]);
        let mut funnel = Funnel::builder(Delimited::lines()).members(members).start().await.unwrap();
        let event = soon("the trouble", funnel.next()).await.unwrap();
        let Event::Trouble { place: Place::Socket(address), error } = event else { panic!("{event:?}") };
        assert_eq!(address, Address::Path(path));
        assert!(error.is_retryable(), "{error}");
        rustix::net::listen(&socket, 1).unwrap();
        let server = UnixListener::from_std(StdListener::from(socket)).unwrap();
        let event = soon("the connection", funnel.next()).await.unwrap();
        assert!(matches!(event, Event::Joined(_)), "{event:?}");
        drop(server);
    }

    #[tokio::test]
    async fn sockets_nobody_listens_on_keep_nobody_out() {
        let Spot { _dir, path } = spot();
        let dead: Vec<_> = (0..5).map(|n| path.with_file_name(format!("dead-{n}.sock"))).collect();
        for path in &dead {
            drop(StdListener::bind(path).unwrap());
        }
        let members =
            dead.into_iter().map(|path| Membership::Joined(Endpoint { address: Address::Path(path), generation: 1 }));
        let mut limits = Limits::default();
        limits.connections = 1;
        let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).limits(limits);
        let mut funnel = builder.members(stream::iter(members)).start().await.unwrap();
        for n in 0..5 {
            let mut client = UnixStream::connect(&path).await.unwrap();
            client.write_all(format!("line {n}\n").as_bytes()).await.unwrap();
            let delivery = soon("the line", funnel.recv()).await.unwrap();
            assert_eq!(delivery.batch().get(0), Some(format!("line {n}").as_bytes()));
        }
    }

    /// A socket that is bound and not listening.
    fn rustix_bind(path: &std::path::Path) -> std::os::fd::OwnedFd {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        socket
    }

    #[tokio::test]
    async fn sockets_are_found_whether_they_were_there_or_appear_later() {
        let dir = tempfile::tempdir().unwrap();
        let serve = |name: &str| {
            let server = UnixListener::bind(dir.path().join(name)).unwrap();
            let name = name.to_owned();
            tokio::spawn(async move {
                let (mut client, _) = server.accept().await.unwrap();
                client.write_all(format!("from {name}\n").as_bytes()).await.unwrap();
            })
        };
        let early = serve("early.sock");
        let mut funnel = Funnel::builder(Delimited::lines()).directory(dir.path()).start().await.unwrap();
        let mut told = Told::default();
        told.until_left(&mut funnel, 1).await;
        let late = serve("late.sock");
        told.until_left(&mut funnel, 2).await;
        assert_eq!(
            told.messages.iter().map(|m| m.1.as_str()).collect::<Vec<_>>(),
            ["from early.sock", "from late.sock"]
        );
        soon("the early server", early).await.unwrap();
        soon("the late server", late).await.unwrap();
    }

    #[tokio::test]
    async fn a_vanished_socket_is_let_go_of_and_what_had_arrived_is_delivered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("brief.sock");
        let server = UnixListener::bind(&path).unwrap();
        let mut limits = Limits::default();
        limits.vanished_grace = Duration::from_millis(20);
        let builder = Funnel::builder(Delimited::lines()).directory(dir.path()).limits(limits);
        let mut funnel = builder.start().await.unwrap();
        let (mut client, _) = soon("the funnel", server.accept()).await.unwrap();
        client.write_all(b"last words\n").await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut told = Told::default();
        told.until_left(&mut funnel, 1).await;
        assert_eq!(told.of(1), ["last words"]);
        assert!(matches!(told.reports[0].parting, Parting::Vanished), "{}", told.reports[0]);
        assert_eq!(soon("our end", client.read(&mut [0; 1])).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_replaced_socket_is_another_producer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("again.sock");
        let mut funnel = Funnel::builder(Delimited::lines()).directory(dir.path()).start().await.unwrap();
        let mut told = Told::default();
        for round in 1..=3 {
            let server = UnixListener::bind(&path).unwrap();
            let serving = async {
                let (mut client, _) = soon("the funnel", server.accept()).await.unwrap();
                client.write_all(format!("round {round}\n").as_bytes()).await.unwrap();
            };
            tokio::join!(serving, told.until_left(&mut funnel, round));
            std::fs::remove_file(&path).unwrap();
        }
        assert_eq!(
            told.messages.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
            ["round 1", "round 2", "round 3"]
        );
    }

    #[tokio::test]
    async fn a_connection_that_ended_is_made_again_only_where_that_was_asked_for() {
        for reconnect in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let server = UnixListener::bind(dir.path().join("p.sock")).unwrap();
            let serving = tokio::spawn(async move {
                for batch in 1..=3 {
                    let (mut client, _) = server.accept().await.unwrap();
                    client.write_all(format!("batch {batch}\n").as_bytes()).await.unwrap();
                }
                // Kept, so that the socket still listens.
                server
            });
            let builder = Funnel::builder(Delimited::lines()).directory(dir.path()).reconnect(reconnect);
            let mut funnel = builder.start().await.unwrap();
            let mut told = Told::default();
            let expected = if reconnect { 3 } else { 1 };
            told.until_left(&mut funnel, expected).await;
            let texts: Vec<_> = told.messages.iter().map(|(id, text)| format!("{id}: {text}")).collect();
            assert_eq!(texts, (1..=expected).map(|n| format!("{n}: batch {n}")).collect::<Vec<_>>());
            if !reconnect {
                // Another second shows that the funnel does not come back: its longest pause.
                assert!(tokio::time::timeout(Duration::from_millis(1100), funnel.next()).await.is_err());
            }
            serving.abort();
        }
    }

    #[tokio::test]
    async fn a_peer_in_a_directory_that_is_not_admitted_is_told_at_once_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.sock");
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.path()).unwrap());
        let _server = UnixListener::bind(&path).unwrap();
        let builder = Funnel::builder(Delimited::lines()).directory(dir.path()).admit(Admit::none());
        let mut funnel = builder.start().await.unwrap();
        let rejected = loop {
            match soon("the rejection", funnel.next()).await.unwrap() {
                Event::Rejected { place, peer } => break (place, peer.unwrap().uid()),
                Event::Joined(producer) => panic!("{producer} was admitted"),
                _ => {}
            }
        };
        assert_eq!(rejected, (Place::Socket(Address::Path(path)), owner));
        let report = soon("the report", funnel.finished()).await;
        assert_eq!((report.rejected, report.producers), (1, 0), "{report}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_an_error_that_names_it() {
        let missing = tempfile::tempdir().unwrap().path().join("nowhere");
        let error = Funnel::builder(Raw).directory(&missing).start().await.unwrap_err();
        assert!(error.to_string().contains("nowhere"), "{error}");
    }
}
