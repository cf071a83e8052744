//! How much memory this process may have (`ulimit -d`, `ulimit -v`), and how many connections fit into it.
//!
//! A failed allocation ends the process immediately, without a report, and leaves its socket behind. So we accept only
//! as many connections as there is memory for, whatever the producers send.

use anyhow::bail;
use rustix::process::{Resource, getrlimit};

const MIB: u64 = 1 << 20;

/// What the program uses besides connections and messages: data, including the stacks of its threads, and address
/// space, including its code and libraries.
const OWN: [(Resource, &str, u64); 2] =
    [(Resource::Data, "RLIMIT_DATA", 5 * MIB), (Resource::As, "RLIMIT_AS", 18 * MIB)];

/// The stack of a thread. Watching directories takes one thread, and one more for each directory.
const STACK: u64 = 2 * MIB;

/// What a connection uses besides its current message: queued messages, and the blocks that it reads into.
const CONNECTION: u64 = (256 + 3 * 128) << 10;

/// Whether address space is limited, so that we should not reserve any in advance.
pub(crate) fn has_little_room() -> bool {
    getrlimit(Resource::As).current.is_some()
}

/// How many connections there is memory for. `copies` is the room that a message may take in the output, as a multiple
/// of its size.
///
/// # Errors
///
/// There is not enough memory for one connection.
pub(crate) fn connections(max_frame: usize, copies: u64, directories: usize) -> anyhow::Result<usize> {
    let threads = if directories == 0 { 0 } else { directories as u64 + 1 };
    let mut most = u64::MAX;
    for (resource, name, own) in OWN {
        let Some(limit) = getrlimit(resource).current else { continue };
        let needs = Needs::of(own + threads * STACK, max_frame, copies);
        let fits = needs.connections(limit);
        if fits == 0 {
            bail!(
                "cannot listen: memory is limited to {} KiB ({name}), and messages of up to {max_frame} bytes take {} KiB; \
                 raise the limit, or lower --max-frame",
                limit / 1024,
                (needs.own + needs.each) / 1024
            );
        }
        most = most.min(fits);
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

/// Needs, in bytes.
struct Needs {
    /// Independent of the number of connections.
    own: u64,
    /// For each connection.
    each: u64,
}

impl Needs {
    fn of(own: u64, max_frame: usize, copies: u64) -> Self {
        let message = u64::try_from(max_frame).unwrap_or(u64::MAX);
        // A growing buffer is copied into one of twice its size.
        Self {
            own: own.saturating_add(message.saturating_mul(copies)),
            each: CONNECTION.saturating_add(message.saturating_mul(2)),
        }
    }

    const fn connections(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.own) / self.each
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_memory_is_more_connections_and_larger_messages_are_fewer() {
        let fits = |limit, max_frame| Needs::of(5 * MIB, max_frame, 2).connections(limit * MIB);
        assert_eq!([8, 10, 20, 100, 4096].map(|limit| fits(limit, 1 << 20)), [0, 1, 4, 35, 1557]);
        assert_eq!([5, 6, 8].map(|limit| fits(limit, 64 << 10)), [0, 1, 3]);
        assert_eq!(fits(u64::MAX / MIB, usize::MAX), 0);
    }
}
