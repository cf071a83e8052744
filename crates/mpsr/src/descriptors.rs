//! How many descriptors this process may have open, and therefore how many connections.

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};

/// What a listener needs: the socket, its lock, a spare, and a directory while it is bound.
const PER_SOCKET: usize = 4;
/// What a watched directory needs: the watch, the loop that serves it, and listings.
const PER_DIRECTORY: usize = 8;
/// For short-lived descriptors: a connection that is being opened, a file that is being examined.
const SLACK: usize = 3;

/// Raises the limit to its maximum, and returns how many connections fit into it, at least one.
///
/// Further connections wait in the accept queue, where nothing is lost. If we ran out of descriptors while accepting,
/// we would have to close connections.
pub(crate) fn connections(sockets: usize, directories: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // Any process may raise it to the maximum, unless a sandbox forbids it.
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { raised } else { limit };
    let Some(limit) = limit.current else { return usize::MAX };
    let open = fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
    let needed = open + sockets * PER_SOCKET + directories * PER_DIRECTORY + SLACK;
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(needed).max(1)
}
