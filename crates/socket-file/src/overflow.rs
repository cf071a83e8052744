//! The ids with which the kernel represents every user and group that has no id in our user namespace.
//!
//! If a namespace does not map all ids, as in most containers, such an id identifies no single user: many users may
//! have it, and our own process may be one of them. It does not prove that a file or a process is ours.

use std::fs;
use std::sync::OnceLock;

/// The kernel's default, unless an administrator changed it.
const DEFAULT: u32 = 65_534;

/// The id of users without an id in this namespace (`/proc/sys/kernel/overflowuid`).
#[must_use]
pub fn uid() -> u32 {
    static UID: OnceLock<u32> = OnceLock::new();
    *UID.get_or_init(|| setting("/proc/sys/kernel/overflowuid"))
}

/// The id of groups without an id in this namespace (`/proc/sys/kernel/overflowgid`).
#[must_use]
pub fn gid() -> u32 {
    static GID: OnceLock<u32> = OnceLock::new();
    *GID.get_or_init(|| setting("/proc/sys/kernel/overflowgid"))
}

/// Whether this id may stand for many users.
#[must_use]
pub fn is_many_users(id: u32) -> bool {
    id == uid() && !maps_all("/proc/self/uid_map")
}

/// Whether this id may stand for many groups.
#[must_use]
pub fn is_many_groups(id: u32) -> bool {
    id == gid() && !maps_all("/proc/self/gid_map")
}

fn setting(path: &str) -> u32 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT)
}

/// If it cannot be read, because `/proc` is not mounted, we assume that the namespace does not map all ids.
fn maps_all(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|map| has_all(&map))
}

/// Lines of "inside, outside, count" (`user_namespaces(7)`) with ids that do not overlap. The highest number is not an
/// id.
fn has_all(map: &str) -> bool {
    let count = |line: &str| line.split_ascii_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok());
    map.lines().filter_map(count).sum::<u64>() >= u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_of_all_ids_leaves_none_without_one() {
        for (map, expected) in [
            ("         0          0 4294967295\n", true),
            ("0 0 1000\n1000 100000 4294966295\n", true),
            ("         0       1000          1\n", false),
            ("0 100000 65536\n", false),
            ("65534 60001 1\n", false),
            ("", false),
        ] {
            assert_eq!(has_all(map), expected, "{map:?}");
        }
    }

    #[test]
    fn other_ids_are_those_of_one_user() {
        assert!(!is_many_users(0) && !is_many_groups(0));
        assert!(!is_many_users(uid() - 1));
        // As in the initial namespace, in which most tests run.
        assert_eq!(is_many_users(uid()), !maps_all("/proc/self/uid_map"));
    }
}
