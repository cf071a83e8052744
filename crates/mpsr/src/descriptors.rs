//! How many files this process may have open, and so how many connections.

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};

/// What a listener needs: the socket, its lock, a spare, and a directory while it is bound.
const PER_SOCKET: usize = 4;
/// What a watched directory needs: the watch, the loop that serves it, and listings.
const PER_DIRECTORY: usize = 8;
/// What comes and goes: a connection that is being made, a file that is looked at.
const SLACK: usize = 3;

/// Raises the limit as far as it may be raised, and returns for how many connections it suffices, at least one.
///
/// Further connections wait in the accept queue, where nothing is lost. Without descriptors to accept with, connections would
/// have to be closed in the end.
pub(crate) fn connections(sockets: usize, directories: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // Every process may raise it to the maximum, unless a sandbox forbids it.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    let Some(limit) = limit.current else { return usize::MAX };
    let open = fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    let needed = open + sockets * PER_SOCKET + directories * PER_DIRECTORY + SLACK;
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(needed).max(1)
}
