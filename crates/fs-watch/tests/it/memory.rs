//! What a watcher holds for each socket, counted by the allocator.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use fs_watch::Watcher;
use heap_kit::in_process;

/// What the documentation of the watcher states.
const BYTES_PER_SOCKET: isize = 512;

const SOCKETS: usize = 20_000;

#[tokio::test]
async fn a_watcher_at_rest_holds_half_a_kilobyte_for_each_socket() {
    test_kit::alone!();
    let dir = tempfile::tempdir().expect("a directory");
    let path = |number: usize| dir.path().join(format!("some-plugin-{number}.sock"));
    let _listener = UnixListener::bind(path(0)).expect("the name is free");
    for number in 1..SOCKETS {
        // A hard link to a socket is a socket.
        fs::hard_link(path(0), path(number)).expect("the name is free");
    }
    let before = in_process();
    // No complete scan except the requested one: each holds a listing while it lasts.
    let rest = Duration::from_secs(86_400);
    let mut watcher = Watcher::builder(dir.path()).safety_interval(rest).start().await.expect("it can be watched");
    watcher.sync().await.expect("it can be read");
    let mut events = 0;
    while watcher.try_next().is_some() {
        events += 1;
    }
    // Announced, and ready.
    assert_eq!(events, 2 * SOCKETS + 2);
    let held = (in_process() - before) / SOCKETS as isize;
    assert!((64..=BYTES_PER_SOCKET).contains(&held), "{held} bytes for each socket");
    watcher.shutdown().await;
    let left = in_process() - before;
    assert!(left < 64 << 10, "{left} bytes are left");
}
