//! A session over several connections: a server that dies, that stands still, another process that goes on with it.

use std::time::Duration;

use tributary_tests::zookeeper::ZooKeeper;
use zk_client::{
    Acl, Change, Client, CreateMode, Ending, Error, ErrorCode, Expiry, NodeEvent, SessionEvent, SessionEvents, Version,
    Watch, WatchEvent, WatchMode, Watches,
};

use super::{PERSISTENT, code, soon};

/// Long enough for a server on a busy machine to start again.
const LONG: Duration = Duration::from_secs(30);

async fn connect(server: &ZooKeeper) -> Client {
    soon(Client::builder().session_timeout(LONG).connect(&server.address())).await.expect("a session")
}

async fn next(events: &mut SessionEvents) -> SessionEvent {
    soon(events.next()).await.expect("the session goes on")
}

/// One watch of each kind, on nodes of their own.
struct Five {
    data: Watch,
    exist: Watch,
    child: Watch,
    node: Watches,
    tree: Watches,
}

impl Five {
    async fn set(zk: &Client) -> Self {
        for path in ["/d", "/c", "/n", "/t"] {
            match soon(zk.create(path, "", PERSISTENT, Acl::OPEN)).await {
                Err(error) if error.code() == Some(ErrorCode::NodeExists) => {}
                other => drop(other.expect("it is created")),
            }
        }
        let (_, data) = soon(zk.get_and_watch("/d")).await.expect("a watch");
        let (missing, exist) = soon(zk.exists_and_watch("/e")).await.expect("a watch");
        assert_eq!(missing, None);
        let (_, child) = soon(zk.children_and_watch("/c")).await.expect("a watch");
        let node = soon(zk.watch("/n", WatchMode::Node)).await.expect("a watch");
        let tree = soon(zk.watch("/t", WatchMode::Tree)).await.expect("a watch");
        Self { data, exist, child, node, tree }
    }

    /// Fires each of them.
    async fn fire(zk: &Client) {
        soon(zk.set("/d", "new", Version::Any)).await.expect("it is written");
        for path in ["/e", "/c/x", "/n/x", "/t/x", "/t/x/y"] {
            soon(zk.create(path, "", PERSISTENT, Acl::OPEN)).await.expect("it is created");
        }
    }

    /// Takes the event of each, and says how often the persistent ones said `Resync` before.
    async fn check(mut self) -> (usize, usize) {
        let event = |change, path: &str| (change, path.to_owned());
        let told = |event: NodeEvent| (event.change, event.path);
        assert_eq!(told(soon(self.data).await.expect("an event")), event(Change::Data, "/d"));
        assert_eq!(told(soon(self.exist).await.expect("an event")), event(Change::Created, "/e"));
        assert_eq!(told(soon(self.child).await.expect("an event")), event(Change::Children, "/c"));
        let (resyncs, node) = after_resyncs(&mut self.node).await;
        assert_eq!(told(node), event(Change::Children, "/n"));
        let (more, tree) = after_resyncs(&mut self.tree).await;
        assert_eq!(told(tree), event(Change::Created, "/t/x"));
        let (none, tree) = after_resyncs(&mut self.tree).await;
        assert_eq!((none, told(tree)), (0, event(Change::Created, "/t/x/y")));
        (resyncs, more)
    }
}

async fn after_resyncs(watches: &mut Watches) -> (usize, NodeEvent) {
    for resyncs in 0.. {
        match soon(watches.next()).await.expect("the session goes on") {
            WatchEvent::Resync => {}
            WatchEvent::Node(event) => return (resyncs, event),
            other => panic!("{other:?}"),
        }
    }
    unreachable!("some event comes")
}

#[tokio::test]
async fn a_session_its_identity_and_its_watches_survive_the_death_of_the_server() {
    let Some(mut server) = ZooKeeper::start_or_skip("a_session_survives_the_death_of_the_server") else { return };
    let zk = connect(&server).await;
    let mut events = zk.events();
    soon(zk.add_auth("digest", b"user:password")).await.unwrap();
    soon(zk.create("/mine", "secret", CreateMode::Ephemeral, Acl::CREATOR_ALL)).await.unwrap();
    let five = Five::set(&zk).await;

    server.kill().unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    assert!(!zk.is_connected());
    // It waits for the next connection, and it goes out behind what that needs.
    let waiting = zk.get("/mine");
    server.restart().unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Resumed);
    let mine = soon(waiting).await.unwrap();
    assert_eq!((mine.bytes(), mine.stat.ephemeral_owner), (&b"secret"[..], zk.session()));

    let other = connect(&server).await;
    assert_eq!(code(soon(other.get("/mine")).await), Some(ErrorCode::NoAuth));
    Five::fire(&other).await;
    assert_eq!(five.check().await, (1, 1));
    assert_eq!(soon(zk.close()).await.ending, Ending::Closed);
    assert_eq!(next(&mut events).await, SessionEvent::Ended(Ending::Closed));
    assert_eq!(soon(events.next()).await, None);
    assert_eq!(soon(other.exists("/mine")).await.unwrap(), None);
}

#[tokio::test]
async fn a_writers_own_events_come_before_the_replies_to_its_writes() {
    use futures_util::FutureExt as _;
    let Some(mut server) = ZooKeeper::start_or_skip("a_writers_own_events_come_before_the_replies") else { return };
    let zk = connect(&server).await;
    let mut events = zk.events();
    let mut five = Five::set(&zk).await;
    server.kill().unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    server.restart().unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Resumed);
    Five::fire(&zk).await;
    // All replies are there, so all events are.
    let now = (&mut five.data).now_or_never().map(|event| event.unwrap().change);
    assert_eq!(now, Some(Change::Data));
    assert_eq!(five.node.next().now_or_never(), Some(Some(WatchEvent::Resync)));
    for path in ["/t/x", "/t/x/y"] {
        let event = loop {
            match five.tree.next().now_or_never() {
                Some(Some(WatchEvent::Resync)) => {}
                other => break other,
            }
        };
        let Some(Some(WatchEvent::Node(event))) = event else { panic!("{event:?}") };
        assert_eq!((event.change, event.path.as_str()), (Change::Created, path));
    }
}

#[tokio::test]
async fn a_server_that_stands_still_is_left_and_the_session_goes_on() {
    let Some(server) = ZooKeeper::start_or_skip("a_server_that_stands_still_is_left") else { return };
    let zk = soon(Client::builder().session_timeout(Duration::from_secs(6)).connect(&server.address())).await.unwrap();
    let mut events = zk.events();
    soon(zk.create("/mine", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();
    server.pause().unwrap();
    let sent = zk.set("/mine", "perhaps", Version::Any);
    assert_eq!(next(&mut events).await, SessionEvent::Suspended);
    let error = soon(sent).await.unwrap_err();
    assert!(matches!(&error, Error::ConnectionLost { maybe_executed: true, why } if why.contains("silent")), "{error}");
    server.resume().unwrap();
    assert_eq!(next(&mut events).await, SessionEvent::Resumed);
    let stat = soon(zk.exists("/mine")).await.unwrap().expect("the session lives");
    assert_eq!(stat.ephemeral_owner, zk.session());
    assert!(stat.version <= 1, "it was sent once at most");
}

#[tokio::test]
async fn another_client_goes_on_with_a_session_and_an_expired_one_is_called_so() {
    let Some(server) = ZooKeeper::start_or_skip("another_client_goes_on_with_a_session") else { return };
    let first = connect(&server).await;
    soon(first.create("/mine", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();
    let mut watches = soon(first.watch("/mine", WatchMode::Node)).await.unwrap();
    let session = soon(first.detach()).await.unwrap();
    assert!(!format!("{session:?}").contains("assword"));
    assert_eq!(soon(watches.next()).await, None);
    assert!(matches!(soon(first.get("/mine")).await, Err(Error::Closed)));

    let builder = Client::builder().resume(session.clone()).session_timeout(Duration::from_millis(400));
    let second = soon(builder.connect(&server.address())).await.unwrap();
    assert_eq!(second.session(), session.session);
    assert_eq!(soon(second.exists("/mine")).await.unwrap().expect("it lives").ephemeral_owner, session.session);
    let session = soon(second.detach()).await.unwrap();

    // Nothing goes on with it, so that it expires.
    let other = connect(&server).await;
    let (_, gone) = soon(other.exists_and_watch("/mine")).await.unwrap();
    assert_eq!(soon(gone).await.unwrap().change, Change::Deleted);
    let builder = Client::builder().resume(session);
    let error = soon(builder.connect(&server.address())).await.unwrap_err();
    assert!(matches!(error, Error::SessionExpired(Expiry::Server)), "{error:?}");
}
