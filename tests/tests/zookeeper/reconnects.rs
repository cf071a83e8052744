//! All five kinds of watch through a hundred broken connections.

use tributary_tests::{proxy::Proxy, zookeeper::ZooKeeper};
use zk_client::{Acl, Change, Client, CreateMode, Ending, Version, Watch, WatchEvent, WatchMode, Watches};

use super::{PERSISTENT, soon};

/// Connections that break.
const ROUNDS: u32 = 100;

struct Watching {
    data: Watch,
    exist: Watch,
    child: Watch,
}

impl Watching {
    /// The one-shot watches; requests that are lost with their connection are made again, since they only read.
    async fn set(zk: &Client) -> Self {
        let (_, data) = again(|| zk.get_and_watch("/d")).await;
        let (_, exist) = again(|| zk.exists_and_watch("/e")).await;
        let (_, child) = again(|| zk.children_and_watch("/c")).await;
        Self { data, exist, child }
    }
}

async fn again<T, F: Future<Output = zk_client::Result<T>>>(ask: impl Fn() -> F) -> T {
    loop {
        match soon(ask()).await {
            Ok(value) => return value,
            Err(zk_client::Error::ConnectionLost { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Waits until a persistent watch has told of a change, or that something may be missing.
async fn hears(watches: &mut Watches, path: &str) {
    match soon(watches.next()).await.expect("the session goes on") {
        WatchEvent::Node(event) => assert_eq!(event.path, path),
        WatchEvent::Resync => {}
        other => panic!("{other:?}"),
    }
}

/// Waits for this very change, behind whatever else is told.
async fn told(watches: &mut Watches, path: &str) {
    loop {
        let event = soon(watches.next()).await.expect("the session goes on");
        if matches!(&event, WatchEvent::Node(event) if event.path == path) {
            return;
        }
    }
}

#[tokio::test]
async fn five_kinds_of_watch_survive_a_hundred_broken_connections() {
    let Some(server) = ZooKeeper::start_or_skip("five_kinds_of_watch_survive_a_hundred_broken_connections") else {
        return;
    };
    let proxy = Proxy::start(server.address()).await.unwrap();
    let other = super::connect(&server).await;
    for path in ["/d", "/c", "/n", "/t", "/t/x"] {
        soon(other.create(path, "", PERSISTENT, Acl::OPEN)).await.unwrap();
    }
    let builder = Client::builder().session_timeout(std::time::Duration::from_secs(30));
    let zk = soon(builder.connect(&proxy.address())).await.unwrap();
    soon(zk.create("/mine", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();
    let mut node = soon(zk.watch("/n", WatchMode::Node)).await.unwrap();
    let mut tree = soon(zk.watch("/t", WatchMode::Tree)).await.unwrap();
    for round in 0..ROUNDS {
        let watching = Watching::set(&zk).await;
        // At once, or a byte later each time: in the handshake, among the watches, in a reply.
        if round % 2 == 0 {
            proxy.break_all()
        } else {
            proxy.break_after(round * 5)
        }
        let busy = (round % 4 == 3).then(|| zk.set("/mine", "", Version::Any));

        // Another client changes everything that is watched.
        soon(other.set("/d", "", Version::Any)).await.unwrap();
        let exists = round % 2 == 1;
        if exists {
            soon(other.delete("/e", Version::Any)).await.unwrap();
        } else {
            soon(other.create("/e", "", PERSISTENT, Acl::OPEN)).await.unwrap();
        }
        soon(other.create(&format!("/c/{round}"), "", PERSISTENT, Acl::OPEN)).await.unwrap();
        soon(other.set("/n", "", Version::Any)).await.unwrap();
        soon(other.set("/t/x", "", Version::Any)).await.unwrap();

        // Each watch for one event has it once; the others have it, or know that they may have missed it.
        assert_eq!(soon(watching.data).await.unwrap().change, Change::Data, "round {round}");
        let change = if exists { Change::Deleted } else { Change::Created };
        assert_eq!(soon(watching.exist).await.unwrap().change, change, "round {round}");
        assert_eq!(soon(watching.child).await.unwrap().change, Change::Children, "round {round}");
        hears(&mut node, "/n").await;
        hears(&mut tree, "/t/x").await;
        drop(busy);
    }
    again(|| zk.sync("/")).await;
    // They still do.
    soon(other.create("/n/last", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    soon(other.create("/t/last", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    told(&mut node, "/n").await;
    told(&mut tree, "/t/last").await;
    assert!(proxy.accepted() > u64::from(ROUNDS / 2), "{} connections", proxy.accepted());
    let stat = soon(other.exists("/mine")).await.unwrap().expect("it is the same session");
    assert_eq!(stat.ephemeral_owner, zk.session());
    drop((node, tree));
    again(|| zk.sync("/")).await;
    again(|| zk.sync("/")).await;
    assert!(server.four_letters("wchs").unwrap().contains("Total watches:0"), "nothing is left behind");
    assert_eq!(soon(zk.close()).await.ending, Ending::Closed);
}
