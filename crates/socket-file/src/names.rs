//! The names beside a socket: that of its lock, and that to which it is moved before it is removed.
//!
//! They begin with a dot, so that listings skip them. For a socket `NAME`:
//!
//! | name | what it is |
//! |---|---|
//! | `.NAME.lock` | the lock: its holder may remove and replace the name |
//! | `.NAME.old` | the name to which the holder moves a stale socket before it removes it. It is derived from the name, so that after a crash a restarted server finds it |
//! | `.NAME.older` | the same, while `.NAME.old` is another socket, which may be live |
//! | `.fs-watch.swept-…` | the same for a process without the lock; no other process uses the same name |

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The name aside contains names up to this length in full, and this much of longer ones.
const READABLE: usize = 40;
/// After that much of a long name: `~` and a hash in hexadecimal.
const HASH: usize = 17;
const SPARE: &str = ".fs-watch.swept-";

/// `.NAME.lock`
pub fn lock_name(name: &OsStr) -> OsString {
    dotted(name.as_bytes(), b"lock")
}

/// `.NAME.old`. For a long name, it consists of the beginning and a hash, because it must fit into a socket address.
pub fn aside_name(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    match name.get(READABLE..) {
        None | Some([]) => dotted(name, b"old"),
        Some(_) => {
            let mut hash = Fnv::default();
            hash.write(name);
            let readable = name.get(..READABLE).unwrap_or(name);
            dotted(&[readable, format!("~{:016x}", hash.finish()).as_bytes()].concat(), b"old")
        }
    }
}

/// `.NAME.older`, shortened in the same way: the name to which a stale socket is moved while another socket has the
/// [first name aside](aside_name).
pub fn second_aside_name(name: &OsStr) -> OsString {
    let mut second = aside_name(name);
    second.push("er");
    second
}

/// A name aside that no other file has. It does not use the pid, which in a container is the same after every start.
pub fn spare_name() -> OsString {
    format!("{SPARE}{}-{:016x}", std::process::id(), RandomState::new().build_hasher().finish()).into()
}

/// Whether this name comes from [`spare_name`].
pub fn is_spare_name(name: &OsStr) -> bool {
    name.as_bytes().starts_with(SPARE.as_bytes())
}

/// The socket's name, if this is the name of its lock.
pub fn locked_name(lock: &OsStr) -> Option<&OsStr> {
    undotted(lock, b".lock")
}

/// Whether this name has the form of [`aside_name`] or [`second_aside_name`].
pub fn is_aside_name(name: &OsStr) -> bool {
    undotted_aside(name).is_some_and(|name| name.len() <= READABLE || is_shortened(name))
}

/// Whether `aside` is the first or second name aside of `name`.
pub fn is_aside_of(aside: &OsStr, name: &OsStr) -> bool {
    aside == aside_name(name) || aside == second_aside_name(name)
}

/// The socket's name, if this is one of its names aside and contains it. A shortened name does not: use
/// [`is_aside_of`].
pub fn name_of_aside(aside: &OsStr) -> Option<&OsStr> {
    undotted_aside(aside).filter(|name| name.len() <= READABLE)
}

fn undotted_aside(aside: &OsStr) -> Option<&OsStr> {
    undotted(aside, b".old").or_else(|| undotted(aside, b".older"))
}

fn is_shortened(name: &OsStr) -> bool {
    let hash = name.as_bytes().get(READABLE..).and_then(|hash| hash.strip_prefix(b"~"));
    name.len() == READABLE + HASH && hash.is_some_and(|hash| hash.iter().all(u8::is_ascii_hexdigit))
}

fn dotted(name: &[u8], suffix: &[u8]) -> OsString {
    OsString::from_vec([b".", name, b".", suffix].concat())
}

fn undotted<'a>(name: &'a OsStr, suffix: &[u8]) -> Option<&'a OsStr> {
    let name = name.as_bytes().strip_prefix(b".")?.strip_suffix(suffix)?;
    (!name.is_empty()).then(|| OsStr::from_bytes(name))
}

/// FNV-1a: the name must be the same in every build of this program, which the standard hasher does not guarantee.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aside_are_short_and_differ_where_names_do() {
        let aside = |name: String| aside_name(OsStr::new(&name));
        assert_eq!(aside("n".repeat(40)).to_str(), Some(&*format!(".{}.old", "n".repeat(40))));
        let long = aside("n".repeat(249));
        assert!("/proc/self/fd/2147483647/".len() + long.len() <= 107, "{long:?}");
        assert_ne!(long, aside("n".repeat(248)));
        // The name on disk must not change from one build to the next.
        assert_eq!(aside("n".repeat(41)), OsStr::new(".nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn~76f984c0f2a1bf11.old"));
    }

    #[test]
    fn names_are_recognised_and_others_are_not() {
        for name in ["a", "x.sock", &"n".repeat(40), &"n".repeat(41), &"n".repeat(249)].map(OsStr::new) {
            let lock = lock_name(name);
            assert_eq!(locked_name(&lock), Some(name));
            for aside in [aside_name(name), second_aside_name(name)] {
                assert!(is_aside_name(&aside) && is_aside_of(&aside, name), "{aside:?}");
                assert!(!is_aside_of(&aside, OsStr::new("other")), "{aside:?}");
                assert_eq!(name_of_aside(&aside), (name.len() <= 40).then_some(name));
                assert!(!is_spare_name(&lock) && !is_spare_name(&aside) && !is_aside_name(&lock));
            }
            assert_ne!(aside_name(name), second_aside_name(name));
        }
        for other in ["", ".old", "..old", "a.old", ".a.lck", &format!(".{}.old", "n".repeat(41))].map(OsStr::new) {
            assert!(!is_aside_name(other) && locked_name(other).is_none(), "{other:?}");
        }
        assert!(is_spare_name(&spare_name()) && !is_aside_name(&spare_name()));
        assert_ne!(spare_name(), spare_name());
    }
}
