//! The same five trials for our listener and for tokio's `UnixListener`, both under axum.
//!
//! | trial | ours | tokio's |
//! |---|---|---|
//! | killed with SIGKILL and started again, 200 times | serves every time | serves once: `EADDRINUSE` afterwards |
//! | 64 descriptors, 200 clients at once | all are answered | the same |
//! | a client of another user, socket of mode 666 | closed, counted, named | served |
//! | told to end under load | every request that was sent is answered | those that waited in the queue are reset |
//! | the mode of the file, from its first moment on | as asked | wider, until it is changed |

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use test_kit::process::{Actor, NOBODY, Watchdog, as_nobody, public_directory};
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use uds_socket::{Mode, serve::ConnectionLimits};

use super::child::{app, serve_ours};
use super::{LONG, ask, is_complete};

const CHILD: &str = "doors::child::child_that_serves";

/// How often a server that is killed and started again serves.
fn restarts(kind: &str, path: &Path, times: usize) -> usize {
    let serves = || {
        let mut server = Actor::start(CHILD);
        let serves = server.ask(&format!("{kind} {}", path.display())) == "serving" && is_complete(&ask(path).unwrap());
        server.kill();
        assert!(path.exists(), "SIGKILL leaves the name");
        serves
    };
    (0..times).filter(|_| serves()).count()
}

#[test]
fn a_killed_server_starts_again_two_hundred_times() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(restarts("ours", &directory.path().join("ours.sock"), 200), 200);
    assert_eq!(restarts("tokio", &directory.path().join("tokio.sock"), 3), 1);
}

/// How many of 200 clients at once are answered by a server with 64 descriptors.
fn answered(kind: &str, path: &Path) -> usize {
    let mut server = Actor::start(CHILD);
    assert_eq!(server.ask("descriptors 64"), "done");
    assert_eq!(server.ask(&format!("{kind} {}", path.display())), "serving");
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let path = path.to_owned();
            thread::spawn(move || ask(&path).is_ok_and(|answer| is_complete(&answer)))
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).filter(|answered| *answered).count()
}

#[test]
fn few_descriptors_and_many_clients() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(answered("ours", &directory.path().join("ours.sock")), 200);
    assert_eq!(answered("tokio", &directory.path().join("tokio.sock")), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let directory = public_directory();
    let ours = directory.path().join("ours.sock");
    let handle = serve_ours(ours.clone(), ConnectionLimits::default()).unwrap();
    assert!(is_complete(&tokio::task::block_in_place(|| ask(&ours)).unwrap()));
    let answer = tokio::task::block_in_place(|| as_nobody(|| ask(&ours)));
    assert!(answer.as_ref().map_or(true, String::is_empty), "{answer:?}");
    // It is counted right after the connection is closed, which the client may see first.
    let counted = async {
        while handle.stats().listener.rejected == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, counted).await.expect("it is counted");
    let stats = handle.stats().listener;
    assert_eq!((stats.accepted, stats.rejected), (1, 1));
    assert_eq!(stats.last_rejected.unwrap().uid(), NOBODY);

    let tokios = directory.path().join("tokio.sock");
    let listener = UnixListener::bind(&tokios).unwrap();
    fs::set_permissions(&tokios, PermissionsExt::from_mode(0o666)).unwrap();
    tokio::spawn(async move { axum::serve(listener, app()).await });
    assert!(is_complete(&tokio::task::block_in_place(|| as_nobody(|| ask(&tokios))).unwrap()));
}

/// Clients that ask without pause until the server is gone: how many were answered, and how many had connected and were not.
fn load(path: PathBuf, stop: Arc<AtomicBool>) -> thread::JoinHandle<(usize, usize)> {
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (path, stop) = (path.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                let (mut answered, mut interrupted) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let Ok(stream) = std::os::unix::net::UnixStream::connect(&path) else { continue };
                    match super::ask_on(stream) {
                        Ok(answer) if is_complete(&answer) => answered += 1,
                        _ => interrupted += 1,
                    }
                }
                (answered, interrupted)
            })
        })
        .collect();
    thread::spawn(move || {
        clients.into_iter().map(|client| client.join().unwrap()).fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_end_under_load() {
    let _watchdog = Watchdog::start();
    let directory = tempfile::tempdir().unwrap();
    let mut all_of_tokio = 0;
    for round in 0..10 {
        let path = directory.path().join(format!("ours-{round}.sock"));
        let stop = Arc::new(AtomicBool::new(false));
        let handle = serve_ours(path.clone(), ConnectionLimits { total: 8, ..Default::default() }).unwrap();
        let load_on = load(path, Arc::clone(&stop));
        tokio::time::sleep(Duration::from_millis(100)).await;
        handle.drain();
        handle.closed().await;
        stop.store(true, Ordering::Relaxed);
        let (answered, interrupted) = tokio::task::spawn_blocking(|| load_on.join().unwrap()).await.unwrap();
        assert!(answered > 0 && interrupted == 0, "{answered} answered, {interrupted} interrupted");

        let path = directory.path().join(format!("tokio-{round}.sock"));
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = oneshot::channel::<()>();
        let listener = UnixListener::bind(&path).unwrap();
        let server = axum::serve(listener, app()).with_graceful_shutdown(async { drop(ended.await) });
        let server = tokio::spawn(async move { server.await });
        let load_on = load(path, Arc::clone(&stop));
        tokio::time::sleep(Duration::from_millis(100)).await;
        end.send(()).unwrap();
        server.await.unwrap().unwrap();
        stop.store(true, Ordering::Relaxed);
        all_of_tokio += tokio::task::spawn_blocking(|| load_on.join().unwrap()).await.unwrap().1;
    }
    eprintln!("requests interrupted in 10 rounds: ours 0, tokio's {all_of_tokio}");
}

#[tokio::test]
async fn the_mode_of_the_file_from_its_first_moment_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokio.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert!(mode & !0o600 != 0, "{mode:o}: this umask hides the difference");

    for asked in [0o600, 0o660] {
        let path = directory.path().join("ours.sock");
        let stop = AtomicBool::new(false);
        let widest = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut widest = 0;
                while !stop.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(directory.path()).unwrap().map_while(Result::ok) {
                        if entry.file_name() != "tokio.sock" {
                            widest |= entry.metadata().map_or(0, |metadata| metadata.permissions().mode() & 0o777);
                        }
                    }
                }
                widest
            });
            let until = Instant::now() + Duration::from_secs(1);
            while Instant::now() < until {
                drop(uds_socket::Bind::path(&path).mode(Mode::new(asked)).listen().unwrap());
            }
            stop.store(true, Ordering::Relaxed);
            watching.join().unwrap()
        });
        assert_eq!(widest, u32::from(asked), "{widest:o} where {asked:o} was asked for");
    }
}
