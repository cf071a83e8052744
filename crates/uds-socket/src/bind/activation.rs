//! Sockets that the service manager opened for us, passed by number and name (`sd_listen_fds(3)`).

use std::env;
use std::os::fd::{OwnedFd, RawFd};

use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};

use crate::address::{SocketKind, to_system};
use crate::error::BindError;
use crate::sys::duplicate_inherited;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// The name of a descriptor that was passed without one.
const UNNAMED: &str = "unknown";

/// A descriptor of the Unix socket with this name and kind, which listens if its kind can. The environment is not
/// changed: that is unsafe while other threads run, and every part of the program should be able to ask for its own
/// name.
pub(super) fn take(name: &str, wanted: SocketKind) -> Result<OwnedFd, BindError> {
    open(name, passed().named(name)?, wanted)
}

/// Descriptors of all Unix sockets with that name. Each must be of that kind.
pub(crate) fn take_all(name: &str, wanted: SocketKind) -> Result<Vec<OwnedFd>, BindError> {
    passed().all_named(name)?.into_iter().map(|fd| open(name, fd, wanted)).collect()
}

fn passed() -> Passed {
    let text = |key| env::var(key).ok();
    Passed::from(text("LISTEN_PID"), text("LISTEN_FDS"), text("LISTEN_FDNAMES"), std::process::id())
}

fn open(name: &str, fd: RawFd, wanted: SocketKind) -> Result<OwnedFd, BindError> {
    let not_a_listener = || BindError::NotAListener { name: name.to_owned(), fd, wanted };
    let socket = duplicate_inherited(fd).map_err(|_| not_a_listener())?;
    let is_it = socket_domain(&socket) == Ok(AddressFamily::UNIX)
        && socket_type(&socket) == Ok(to_system(wanted))
        && (wanted == SocketKind::Datagram || socket_acceptconn(&socket) == Ok(true));
    if is_it { Ok(socket) } else { Err(not_a_listener()) }
}

/// The names of the descriptors that are meant for us, in order from [`FIRST`].
#[derive(Debug, PartialEq, Eq)]
struct Passed {
    names: Vec<String>,
}

impl Passed {
    /// Nothing is passed unless the pid shows that it is meant for this process, and not for its parent.
    fn from(pid: Option<String>, count: Option<String>, names: Option<String>, own: u32) -> Self {
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
        let count = match (number(pid), number(count)) {
            (Some(pid), Some(count)) if pid == own => usize::try_from(count).unwrap_or(usize::MAX),
            _ => 0,
        };
        let names = names.unwrap_or_default();
        let given = names.split(':').filter(|_| !names.is_empty());
        // No process has more descriptors than this, whatever the environment says.
        let names = given.chain(std::iter::repeat(UNNAMED)).take(count.min(1 << 16)).map(str::to_owned).collect();
        Self { names }
    }

    fn named(&self, name: &str) -> Result<RawFd, BindError> {
        match self.all_named(name)?[..] {
            [fd] => Ok(fd),
            ref several => Err(BindError::PassedTwice { name: name.to_owned(), count: several.len() }),
        }
    }

    /// The descriptors with this name; at least one.
    fn all_named(&self, name: &str) -> Result<Vec<RawFd>, BindError> {
        let numbers: Vec<_> =
            (FIRST..).zip(&self.names).filter(|(_, given)| *given == name).map(|(fd, _)| fd).collect();
        if numbers.is_empty() {
            return Err(BindError::NotPassed { name: name.to_owned(), passed: self.names.clone() });
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(pid: &str, count: &str, names: Option<&str>) -> Vec<String> {
        Passed::from(Some(pid.into()), Some(count.into()), names.map(str::to_owned), 42).names
    }

    #[test]
    fn names_belong_to_descriptors_in_order() {
        assert_eq!(passed("42", "3", Some("in:admin:in")), ["in", "admin", "in"]);
        assert_eq!(passed("42", "2", Some("in")), ["in", "unknown"]);
        assert_eq!(passed("42", "1", None), ["unknown"]);
        assert_eq!(passed("42", "1", Some("")), ["unknown"]);
        assert_eq!(passed("42", "1", Some("in:extra")), ["in"]);
    }

    #[test]
    fn what_is_meant_for_another_process_or_garbled_is_not_passed() {
        for (pid, count) in [("41", "1"), ("", "1"), ("42", ""), ("42", "-1"), ("42", "1x"), ("42", "99999999999")] {
            assert_eq!(passed(pid, count, Some("in")), [""; 0], "{pid:?} {count:?}");
        }
        assert_eq!(Passed::from(None, Some("1".into()), None, 42).names, [""; 0]);
        assert_eq!(passed("42", "4294967295", None).len(), 1 << 16);
    }

    #[test]
    fn a_name_must_mean_one_descriptor() {
        let passed = Passed { names: ["in", "admin", "in"].map(str::to_owned).into() };
        assert_eq!(passed.named("admin").unwrap(), 4);
        assert!(matches!(passed.named("in"), Err(BindError::PassedTwice { count: 2, .. })));
        assert_eq!(passed.all_named("in").unwrap(), [3, 5]);
        let error = passed.named("out").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"no socket named "out" was passed by the service manager (passed: ["in", "admin", "in"])"#
        );
    }
}
