//! A sweep of a directory beside servers that start and end in it.

use std::{
    fs,
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use fs_watch::directory::Sweep;
use uds_socket::Bind;

const STARTS: usize = 200;

/// Runs `work` while two sweeps, of which one only says what it would do, go over `directory` again and again.
fn beside_sweeps(directory: &Path, work: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for dry_run in [true, false] {
            let is_over = &is_over;
            scope.spawn(move || {
                let sweep = Sweep::default().min_age(Duration::ZERO).without_grace().dry_run(dry_run);
                while !is_over.load(Ordering::Relaxed) {
                    sweep.run(directory).expect("a directory that can be swept");
                }
            });
        }
        let over = Over(&is_over);
        work();
        drop(over);
    });
}

/// Ends the sweeps, also if a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a crash leaves: a socket without a server, and a lock that no process holds. A sweep holds that lock for a moment.
#[test]
fn a_server_that_starts_while_its_directory_is_swept_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.sock");
    beside_sweeps(directory.path(), || {
        for start in 0..STARTS {
            fs::write(directory.path().join(".x.sock.lock"), "4711\n").expect("a lock file");
            drop(UnixListener::bind(&path).expect("a free name"));
            let listener = Bind::path(&path).listen_blocking().unwrap_or_else(|error| panic!("start {start}: {error}"));
            // It is served, whatever the sweeps find.
            for _ in 0..5 {
                UnixStream::connect(&path).unwrap_or_else(|error| panic!("start {start}: {error}"));
            }
            drop(listener);
        }
    });
}
