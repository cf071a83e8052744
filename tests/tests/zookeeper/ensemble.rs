//! zk-client and an ensemble of three whose servers die and come back.

use std::{future::Future, time::Duration};

use test_kit::soon::within;
use tributary_tests::zookeeper::Ensemble;
use zk_client::{
    Acl, Change, Client, CreateMode, Ending, Error, ErrorCode, Expiry, SessionEvent, Version, WatchEvent, WatchMode,
};

use crate::PERSISTENT;

/// An election, and the start of a server, on a machine with much to do.
const LIMIT: Duration = Duration::from_secs(120);

#[track_caller]
fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    within(LIMIT, future)
}

/// Writes until a write is confirmed. The new version, and how many writes before it may have been executed.
async fn write(zk: &Client) -> (i32, i32) {
    let mut unknown = 0;
    loop {
        match soon(zk.set("/n", "x", Version::Any)).await {
            Ok(stat) => return (stat.version, unknown),
            Err(error) => {
                assert!(error.client_usable(), "{error}");
                unknown += i32::from(error.maybe_executed());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_survives_the_death_of_the_leader_and_a_restart_of_each_server() {
    let test = "a_session_survives_the_death_of_the_leader_and_a_restart_of_each_server";
    let Some(mut ensemble) = Ensemble::start_or_skip(test) else { return };
    let builder = Client::builder().session_timeout(Duration::from_secs(40)).connect_timeout(LIMIT);
    let zk = soon(builder.connect(&ensemble.addresses())).await.unwrap();
    let (session, mut events) = (zk.session(), zk.events());
    soon(zk.create("/held", "", CreateMode::Ephemeral, Acl::OPEN)).await.unwrap();
    soon(zk.create("/n", "", PERSISTENT, Acl::OPEN)).await.unwrap();
    let mut watch = soon(zk.watch("/n", WatchMode::Node)).await.unwrap();

    let leader = ensemble.leader().expect("an ensemble that serves has a leader");
    let mut version = 0;
    for member in [leader, 0, 1, 2] {
        ensemble.members[member].kill().unwrap();
        // Two of three go on.
        let (written, unknown) = write(&zk).await;
        assert!((version + 1..=version + 1 + unknown).contains(&written), "{version}, {unknown} unknown, {written}");
        ensemble.members[member].restart().unwrap();
        let (rewritten, unknown) = write(&zk).await;
        assert!((written + 1..=written + 1 + unknown).contains(&rewritten), "{written}, {unknown} unknown");
        version = rewritten;
    }
    assert_eq!(zk.session(), session);
    // What the others have, this server has, too.
    soon(zk.sync("/")).await.unwrap();
    let held = soon(zk.exists("/held")).await.unwrap().expect("the session is the same");
    assert_eq!(held.ephemeral_owner, session);
    assert_eq!(soon(zk.get("/n")).await.unwrap().stat.version, version);

    // The last write is told by the watch that was set before all this.
    let mut told = Vec::new();
    while !matches!(told.last(), Some(WatchEvent::Node(event)) if event.change == Change::Data) || told.len() < 2 {
        told.push(soon(watch.next()).await.expect("the watch outlives connections"));
    }
    // Connections were lost, each of them came back, and nothing else happened to the session.
    drop((zk, watch));
    let mut last = SessionEvent::Resumed;
    while let Some(event) = soon(events.next()).await {
        match (&last, &event) {
            (SessionEvent::Resumed, SessionEvent::Suspended) | (SessionEvent::Suspended, SessionEvent::Resumed) => {}
            (_, SessionEvent::Ended(_)) => break,
            wrong => panic!("{wrong:?}"),
        }
        last = event;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_quorum_serves_reads_to_those_who_accept_that() {
    let test = "a_server_without_a_quorum_serves_reads_to_those_who_accept_that";
    let Some(mut ensemble) = Ensemble::read_only_or_skip(test) else { return };
    let alone = ensemble.members[0].address();
    let builder = Client::builder().session_timeout(Duration::from_secs(40)).connect_timeout(LIMIT);
    let zk = soon(builder.connect(&alone)).await.unwrap();
    soon(zk.create("/n", "data", PERSISTENT, Acl::OPEN)).await.unwrap();
    assert!(!zk.is_read_only());
    soon(zk.close()).await;

    ensemble.members[1].kill().unwrap();
    ensemble.members[2].kill().unwrap();
    // It says so when asked, and not before.
    let is_read_only = async {
        while ensemble.members[0].four_letters("isro").ok().as_deref() != Some("ro") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(is_read_only).await;
    let error = soon(Client::builder().connect(&alone)).await.unwrap_err();
    assert!(matches!(error, Error::NoServer { .. }), "{error:?}");
    let zk = soon(builder.read_only().connect(&alone)).await.unwrap();
    assert!(zk.is_read_only());
    assert_eq!(soon(zk.get("/n")).await.unwrap().bytes(), b"data");
    let rejected = soon(zk.set("/n", "other", Version::Any)).await.unwrap_err();
    assert_eq!(rejected.code(), Some(ErrorCode::NotReadOnly));

    // With a quorum again, the server ends such sessions.
    let closed = zk.closed();
    ensemble.members[1].restart().unwrap();
    assert_eq!(soon(closed).await.ending, Ending::Expired(Expiry::ReadOnly));
    let zk = soon(Client::builder().connect_timeout(LIMIT).connect(&ensemble.addresses())).await.unwrap();
    assert_eq!(soon(zk.set("/n", "other", Version::Any)).await.unwrap().version, 1);
}
