//! What a watcher holds for each socket, counted by the allocator.
//!
//! In a program of its own: it counts every byte that the process has allocated and not freed.
#![expect(unsafe_code, reason = "an allocator that counts; it hands every call on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::time::Duration;

use fs_watch::Watcher;

struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

fn count(change: isize) {
    LIVE.fetch_add(change, Ordering::Relaxed);
}

// SAFETY: every call goes to `System` with the arguments it came with; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What the documentation of the watcher states.
const BYTES_PER_SOCKET: isize = 512;

const SOCKETS: usize = 20_000;

#[tokio::test]
async fn a_watcher_at_rest_holds_half_a_kilobyte_for_each_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |number: usize| dir.path().join(format!("some-plugin-{number}.sock"));
    let _listener = UnixListener::bind(path(0)).expect("the name is free");
    for number in 1..SOCKETS {
        // A hard link to a socket is a socket.
        fs::hard_link(path(0), path(number)).expect("the name is free");
    }
    let before = LIVE.load(Ordering::Relaxed);
    // No look at everything but the one that is asked for: each holds a listing while it lasts.
    let rest = Duration::from_secs(86_400);
    let mut watcher = Watcher::builder(dir.path()).safety_interval(rest).start().await.expect("it can be watched");
    watcher.sync().await.expect("it can be read");
    let mut events = 0;
    while watcher.try_next().is_some() {
        events += 1;
    }
    // Announced, and ready.
    assert_eq!(events, 2 * SOCKETS + 2);
    let held = (LIVE.load(Ordering::Relaxed) - before) / SOCKETS as isize;
    assert!((64..=BYTES_PER_SOCKET).contains(&held), "{held} bytes for each socket");
    watcher.shutdown().await;
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < 64 << 10, "{left} bytes are left");
}
