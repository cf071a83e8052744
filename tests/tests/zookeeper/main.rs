//! zk-client against a real Apache ZooKeeper.

mod ensemble;
mod operations;
mod reconnects;
mod sessions;
mod tool;

use std::time::Duration;

use test_kit::soon::in_time as soon;
use tributary_tests::zookeeper::ZooKeeper;
use zk_client::{Acl, Client, CreateMode, Ending, Error, ErrorCode, Expiry, Payload, SessionId, Version};

const PERSISTENT: CreateMode = CreateMode::Persistent;

async fn connect(server: &ZooKeeper) -> Client {
    let options = Client::builder().session_timeout(Duration::from_secs(4));
    soon(options.connect(&server.address())).await.expect("a session")
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> Option<ErrorCode> {
    result.expect_err("the server rejects it").code()
}

#[tokio::test]
async fn the_life_of_a_node() {
    let Some(server) = ZooKeeper::start_or_skip("the_life_of_a_node") else { return };
    let zk = connect(&server).await;
    assert_ne!(zk.session(), SessionId::NONE);
    assert_eq!(zk.session_timeout(), Duration::from_secs(4));

    // Created, found, read.
    assert_eq!(soon(zk.exists("/a")).await.unwrap(), None);
    assert_eq!(soon(zk.create("/a", "one", PERSISTENT, Acl::OPEN)).await.unwrap().path, "/a");
    let stat = soon(zk.exists("/a")).await.unwrap().expect("it exists");
    assert_eq!((stat.version, stat.data_length, stat.num_children), (0, 3, 0));
    assert_eq!(stat.ephemeral_owner, SessionId::NONE);
    let node = soon(zk.get("/a")).await.unwrap();
    assert_eq!((node.bytes(), node.stat), (&b"one"[..], stat));
    assert_eq!(code(soon(zk.create("/a", "", PERSISTENT, Acl::OPEN)).await), Some(ErrorCode::NodeExists));

    // Changed, version by version.
    assert_eq!(soon(zk.set("/a", "two", Version::Is(0))).await.unwrap().version, 1);
    assert_eq!(code(soon(zk.set("/a", "late", Version::Is(0))).await), Some(ErrorCode::BadVersion));
    let changed = soon(zk.set("/a", "three", Version::Any)).await.unwrap();
    assert_eq!((changed.version, changed.czxid), (2, stat.czxid));
    assert!(changed.mzxid > stat.mzxid);

    // Null and empty are kept apart.
    soon(zk.set("/a", Payload::NULL, Version::Any)).await.unwrap();
    assert_eq!(soon(zk.get("/a")).await.unwrap().data, None);
    soon(zk.set("/a", b"", Version::Any)).await.unwrap();
    assert_eq!(soon(zk.get("/a")).await.unwrap().data.as_deref(), Some(&b""[..]));
    soon(zk.create("/null", Payload::NULL, PERSISTENT, Acl::OPEN)).await.unwrap();
    assert_eq!(soon(zk.get("/null")).await.unwrap().data, None);

    // Children.
    for name in ["/a/x", "/a/y", "/a/ü"] {
        soon(zk.create(name, "", PERSISTENT, Acl::OPEN)).await.unwrap();
    }
    let names = soon(zk.children("/a")).await.unwrap();
    assert_eq!(names.sorted(), ["x", "y", "ü"]);
    assert_eq!(soon(zk.exists("/a")).await.unwrap().expect("it exists").num_children, 3);
    assert_eq!(code(soon(zk.delete("/a", Version::Any)).await), Some(ErrorCode::NotEmpty));
    assert_eq!(code(soon(zk.create("/no/parent", "", PERSISTENT, Acl::OPEN)).await), Some(ErrorCode::NoNode));

    // Ephemeral and sequential.
    let first = soon(zk.create("/a/n-", "", CreateMode::EphemeralSequential, Acl::OPEN)).await.unwrap().path;
    let second = soon(zk.create("/a/n-", "", CreateMode::EphemeralSequential, Acl::OPEN)).await.unwrap().path;
    assert_eq!((first.as_str(), second.as_str()), ("/a/n-0000000003", "/a/n-0000000004"));
    assert_eq!(soon(zk.exists(&first)).await.unwrap().expect("it exists").ephemeral_owner, zk.session());
    let below = soon(zk.create(&format!("{first}/child"), "", PERSISTENT, Acl::OPEN)).await;
    assert_eq!(code(below), Some(ErrorCode::NoChildrenForEphemerals));
    let number = soon(zk.create("/a/", "", CreateMode::PersistentSequential, Acl::OPEN)).await.unwrap().path;
    assert_eq!(number, "/a/0000000005");
    assert_eq!(code(soon(zk.create("/acl", "", PERSISTENT, &[])).await), Some(ErrorCode::InvalidAcl));

    // Deleted.
    assert_eq!(code(soon(zk.delete("/a/x", Version::Is(7))).await), Some(ErrorCode::BadVersion));
    for name in ["/a/x", "/a/y", "/a/ü", &first, &second, &number, "/a"] {
        soon(zk.delete(name, Version::Any)).await.unwrap();
    }
    assert_eq!(code(soon(zk.get("/a")).await), Some(ErrorCode::NoNode));
    assert_eq!(code(soon(zk.delete("/a", Version::Any)).await), Some(ErrorCode::NoNode));
    assert_eq!(code(soon(zk.children("/a")).await), Some(ErrorCode::NoNode));
    assert_eq!(soon(zk.close()).await.ending, Ending::Closed);
}

#[tokio::test]
async fn a_node_may_be_as_large_as_a_request_and_not_larger() {
    let Some(server) = ZooKeeper::start_or_skip("a_node_may_be_as_large_as_a_request_and_not_larger") else { return };
    let zk = connect(&server).await;
    soon(zk.create("/big", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    // Header 8, path 4 + 4, length 4, version 4: what is left of 0xfffff bytes.
    let largest = 0xf_ffff - 24;
    let data: Vec<u8> = (0..=largest).map(|n| (n % 251) as u8).collect();
    let error = soon(zk.set("/big", &data, Version::Any)).await.unwrap_err();
    assert!(matches!(error, Error::RequestTooLarge { len: 0x10_0000, max: 0xf_ffff }), "{error:?}");
    soon(zk.set("/big", &data[..largest], Version::Any)).await.unwrap();
    // The answer is larger than any request may be.
    assert_eq!(soon(zk.get("/big")).await.unwrap().bytes(), &data[..largest]);

    // A client that is told to send more learns why the limit is there: the server hangs up.
    let careless = Client::builder().max_request(2 << 20);
    let careless = soon(careless.connect(&server.address())).await.unwrap();
    let error = soon(careless.set("/big", &data, Version::Any)).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { maybe_executed: true, .. }), "{error:?}");
    // And it comes back, with the same session.
    assert_eq!(soon(careless.exists("/big")).await.unwrap().expect("it exists").version, 1);
    assert_eq!(soon(zk.exists("/big")).await.unwrap().expect("it exists").version, 1, "others are not disturbed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_under_way_keep_their_order() {
    let Some(server) = ZooKeeper::start_or_skip("a_thousand_requests_under_way_keep_their_order") else { return };
    let zk = connect(&server).await;
    soon(zk.create("/n", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    // Each write expects the version that the one before it leaves behind, so one out of order fails all that follow.
    let writes: Vec<_> = (0..1000).map(|n| zk.set("/n", &n.to_string(), Version::Is(n))).collect();
    let read = zk.get("/n");
    for (n, write) in writes.into_iter().enumerate().rev() {
        assert_eq!(soon(write).await.unwrap().version, n as i32 + 1);
    }
    let node = soon(read).await.unwrap();
    assert_eq!((node.bytes(), node.stat.version), (&b"999"[..], 1000));

    // From many tasks on one connection, some of which drop their futures.
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let zk = zk.clone();
            tokio::spawn(async move {
                for n in 0..50 {
                    let path = format!("/t{task}-{n}");
                    drop(zk.create(&path, &path, CreateMode::Ephemeral, Acl::OPEN));
                    assert_eq!(zk.get(&path).await.unwrap().bytes(), path.as_bytes());
                }
            })
        })
        .collect();
    for task in tasks {
        soon(task).await.unwrap();
    }
    let report = soon(zk.close()).await;
    // The handshake, the create, 1000 writes, the read, 1000 reads, the close; pings come on top.
    assert!(report.requests.answered >= 2004, "{report:?}");
    assert_eq!(report.requests.late + report.requests.answered, report.requests.made, "{report:?}");
}

#[tokio::test]
async fn a_session_ends_when_it_is_closed_and_not_when_it_is_idle() {
    let Some(server) = ZooKeeper::start_or_skip("a_session_ends_when_it_is_closed_and_not_when_it_is_idle") else {
        return;
    };
    // Long enough that a server on a busy machine is not silent for two thirds of it.
    let timeout = Duration::from_secs(3);
    let options = Client::builder().session_timeout(timeout);
    let idle = soon(options.connect(&server.address())).await.unwrap();
    assert_eq!(idle.session_timeout(), timeout);
    let other = connect(&server).await;
    soon(idle.create("/mine", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();

    // The time itself is what is tested: more than two session timeouts in which nothing is asked.
    tokio::time::sleep(timeout * 5 / 2).await;
    let stat = soon(other.exists("/mine")).await.unwrap().expect("the session lives");
    assert_eq!(stat.ephemeral_owner, idle.session());

    let report = soon(idle.close()).await;
    assert_eq!((report.ending, report.session), (Ending::Closed, stat.ephemeral_owner));
    assert!(report.requests.answered > 5, "there were pings: {:?}", report.requests);
    // Closing was confirmed, so the node is gone now and not some time later.
    assert_eq!(soon(other.exists("/mine")).await.unwrap(), None);
    assert!(matches!(soon(idle.get("/mine")).await, Err(Error::Closed)));

    // A client that is merely dropped closes its session, too.
    let dropped = connect(&server).await;
    soon(dropped.create("/theirs", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();
    let closed = dropped.closed();
    drop(dropped);
    assert_eq!(soon(closed).await.ending, Ending::Closed);
    assert_eq!(soon(other.exists("/theirs")).await.unwrap(), None);
}

#[tokio::test]
async fn a_server_that_dies_is_noticed_and_one_that_is_not_there_is_named() {
    let Some(server) = ZooKeeper::start_or_skip("a_server_that_dies_is_noticed") else { return };
    let zk = connect(&server).await;
    soon(zk.create("/kept", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    let closed = zk.closed();
    server.kill().unwrap();
    let ending = soon(closed).await.ending;
    assert!(matches!(ending, Ending::Expired(Expiry::Unreachable { .. })), "{ending:?}");
    let error = soon(zk.get("/kept")).await.unwrap_err();
    assert!(matches!(error, Error::SessionExpired(Expiry::Unreachable { .. })), "{error:?}");

    let error = soon(Client::connect(&server.address())).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&server.address()) && text.contains("is a server running there?"), "{text}");
}
