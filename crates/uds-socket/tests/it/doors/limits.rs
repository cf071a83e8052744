//! Limits on connections: in total they make others wait, for one user they close.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Duration, timeout};
use uds_socket::{
    Bind, Connect, NameLoss,
    serve::{ConnectionLimits, Incoming},
};

use super::LONG;

#[tokio::test]
async fn at_the_limit_the_next_waits_until_one_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let limits = ConnectionLimits { total: 2, ..Default::default() };
    let mut incoming = Incoming::new(Bind::path(&path).listen().unwrap(), limits);
    let connect = Connect::path(&path);
    let _clients =
        [connect.connect().await.unwrap(), connect.connect().await.unwrap(), connect.connect().await.unwrap()];
    let first = incoming.accept().await.unwrap();
    let _second = incoming.accept().await.unwrap();
    assert_eq!(incoming.drain_handle().stats().open, 2);
    // Nothing can be seen of waiting but that it goes on.
    timeout(Duration::from_millis(100), incoming.accept()).await.unwrap_err();
    drop(first);
    let _third = timeout(LONG, incoming.accept()).await.unwrap().unwrap();
    let stats = incoming.drain_handle().stats();
    assert_eq!((stats.open, stats.over_limit, stats.listener.accepted), (2, 0, 3));
}

#[tokio::test]
async fn the_loss_of_the_name_is_told_at_the_limit_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let limits = ConnectionLimits { total: 1, ..Default::default() };
    let mut incoming = Incoming::new(Bind::path(&path).listen().unwrap(), limits);
    let handle = incoming.drain_handle();
    let _client = Connect::path(&path).connect().await.unwrap();
    let only = incoming.accept().await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let accepting = tokio::spawn(async move { incoming.accept().await.is_some() });
    assert_eq!(timeout(LONG, handle.name_lost()).await.unwrap(), NameLoss::Removed);
    assert_eq!(handle.stats().name_lost, Some(NameLoss::Removed));
    assert!(!accepting.is_finished());
    drop(only);
    accepting.abort();
}

#[tokio::test]
async fn a_user_with_too_many_is_closed_on_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let limits = ConnectionLimits { per_uid: 1, ..Default::default() };
    let mut incoming = Incoming::new(Bind::path(&path).listen().unwrap(), limits);
    let handle = incoming.drain_handle();
    let mut first = Connect::path(&path).connect().await.unwrap();
    let mut second = Connect::path(&path).connect().await.unwrap();
    let mut connection = incoming.accept().await.unwrap();
    let accepting = tokio::spawn(async move {
        let next = incoming.accept().await;
        (incoming, next)
    });
    assert_eq!(timeout(LONG, second.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "closed at once");
    let own = rustix::process::geteuid().as_raw();
    let stats = handle.stats();
    assert_eq!((stats.open, stats.over_limit, stats.last_over_limit.unwrap().uid()), (1, 1, own));
    // The first is not disturbed, and its end makes room.
    first.write_all(b"x").await.unwrap();
    assert_eq!(connection.read(&mut [0; 2]).await.unwrap(), 1);
    drop(connection);
    let _third = Connect::path(&path).connect().await.unwrap();
    assert!(timeout(LONG, accepting).await.unwrap().unwrap().1.is_some());
    assert_eq!(handle.stats().over_limit, 1);
}

#[tokio::test]
async fn draining_is_not_held_up_by_connections_that_end_only_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let limits = ConnectionLimits { total: 1, ..Default::default() };
    let mut incoming = Incoming::new(Bind::path(&path).listen().unwrap(), limits);
    let _clients = [Connect::path(&path).connect().await.unwrap(), Connect::path(&path).connect().await.unwrap()];
    let _idle = incoming.accept().await.unwrap();
    incoming.drain_handle().drain();
    let _waited = timeout(LONG, incoming.accept()).await.unwrap().unwrap();
    assert!(timeout(LONG, incoming.accept()).await.unwrap().is_none());
    assert!(!path.exists());
}
