//! A directory of sockets under tower's own balancer.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fs_watch::{Error, Socket, SocketId, Watcher};
use futures_util::{StreamExt as _, future::poll_fn};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::Service;
use tower::balance::p2c::Balance;
use tower::discover::Change;
use tower::load::Load;

const LIMIT: Duration = Duration::from_secs(50);

/// Asks the server at a socket for its name.
#[derive(Clone, Debug)]
struct AskName(PathBuf);

impl Service<()> for AskName {
    type Response = String;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move {
            let mut name = String::new();
            tokio::net::UnixStream::connect(path).await?.read_to_string(&mut name).await?;
            Ok(name)
        })
    }
}

impl Load for AskName {
    type Metric = usize;

    fn load(&self) -> usize {
        0
    }
}

/// A server that sends its name to each client.
fn serve(path: &Path) -> tokio::task::JoinHandle<()> {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(name.as_bytes()).await;
        }
    })
}

#[tokio::test]
async fn a_balancer_finds_servers_as_they_come_and_leaves_those_that_go() {
    let test = async {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let _early = serve(&path("early"));
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let mut balance = Balance::new(watcher.into_discover(|socket: Socket| AskName(socket.path)));
        let mut ask = async || {
            poll_fn(|context| balance.poll_ready(context)).await.unwrap();
            balance.call(()).await
        };
        assert_eq!(ask().await.unwrap(), "early");

        let late = serve(&path("late"));
        while ask().await.unwrap() != "late" {
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(path("early")).unwrap();
        // While the news are under way it may still be asked, in vain.
        let mut in_a_row = 0;
        while in_a_row < 20 {
            in_a_row = if ask().await.is_ok_and(|name| name == "late") { in_a_row + 1 } else { 0 };
            tokio::task::yield_now().await;
        }
        late.abort();
    };
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}

#[tokio::test]
async fn a_key_is_inserted_once_and_removed_before_the_next_at_its_path_is_inserted() {
    let test = async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let mut discover = watcher.into_discover(|socket: Socket| socket.facts.inode);
        let mut there = BTreeMap::<SocketId, u64>::new();
        let mut used = Vec::new();
        let mut listener = None;
        for _ in 0..200 {
            drop(listener.take());
            let _ = std::fs::remove_file(&path);
            listener = Some(UnixListener::bind(&path).unwrap());
            loop {
                match discover.next().await.unwrap().unwrap() {
                    Change::Insert(id, inode) => {
                        assert!(there.is_empty() && !used.contains(&id), "{id:?} in {there:?}");
                        used.push(id.clone());
                        there.insert(id, inode);
                        break;
                    }
                    Change::Remove(id) => drop(there.remove(&id).expect("it was inserted")),
                }
            }
        }
        assert_eq!(used.len(), 200);
    };
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}

#[tokio::test]
async fn a_watcher_that_dies_ends_the_stream_with_an_error() {
    struct Fuse(u32);
    impl fs_watch::Backend for Fuse {
        fn arm(&mut self, _: &fs_watch::Target, _: &fs_watch::Hints) -> Result<(), fs_watch::Why> {
            self.0 += 1;
            assert!(self.0 < 3, "planted");
            Ok(())
        }
        fn disarm(&mut self) {}
        fn scan_interval(&self) -> Option<Duration> {
            Some(Duration::from_millis(5))
        }
    }
    let test = async {
        let dir = tempfile::tempdir().unwrap();
        let watcher = Watcher::builder(dir.path()).backend(Fuse(0)).start().await.unwrap();
        let mut discover = watcher.into_discover(|socket: Socket| socket.path);
        assert!(matches!(discover.next().await, Some(Err(Error::Stopped { .. }))));
        assert!(discover.next().await.is_none());
        assert!(discover.next().await.is_none());
    };
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}
