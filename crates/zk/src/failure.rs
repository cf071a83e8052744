//! What each failure means for a script: the exit code.

use std::io;

use zk_client::{Error, ErrorCode};

use crate::signals::Interrupted;

/// A class of failures. `--help` and the README list the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No server, a lost connection, output that cannot be written, or a rejection that is none of the below.
    Otherwise,
    /// Nothing reads standard output any more.
    Unread,
    /// What was asked makes no sense.
    Usage,
    /// There is no such node, or no parent for a new one.
    NoNode,
    /// The tree is not in the state that the change requires.
    Conflict,
    /// Access is denied.
    Denied,
    /// It is not known whether the change was made.
    Unknown,
    /// A signal came.
    Interrupted(u8),
}

impl Failed {
    /// The class of an error of a command that does or does not change something.
    pub(crate) fn of(error: &anyhow::Error, changes: bool) -> Self {
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            return Self::Interrupted(interrupted.exit_code());
        }
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return Self::Unread;
        }
        if error.downcast_ref::<Wrong>().is_some() {
            return Self::Usage;
        }
        match error.downcast_ref::<Error>() {
            Some(error) if changes && error.maybe_executed() => Self::Unknown,
            Some(Error::Invalid(_) | Error::ConnectString { .. }) => Self::Usage,
            Some(Error::AuthFailed) => Self::Denied,
            Some(error) => error.code().map_or(Self::Otherwise, Self::of_code),
            None => Self::Otherwise,
        }
    }

    const fn of_code(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NoNode => Self::NoNode,
            ErrorCode::NodeExists
            | ErrorCode::BadVersion
            | ErrorCode::NotEmpty
            | ErrorCode::NoChildrenForEphemerals => Self::Conflict,
            ErrorCode::NoAuth
            | ErrorCode::AuthFailed
            | ErrorCode::InvalidAcl
            | ErrorCode::SessionClosedRequireSaslAuth => Self::Denied,
            _ => Self::Otherwise,
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Otherwise | Self::Unread => 1,
            Self::Usage => 2,
            Self::NoNode => 3,
            Self::Conflict => 4,
            Self::Denied => 5,
            Self::Unknown => 6,
            Self::Interrupted(code) => code,
        }
    }

    /// Whether the user has to be told. A reader that has read enough is no news.
    pub(crate) const fn is_worth_a_note(self) -> bool {
        !matches!(self, Self::Unread)
    }
}

/// Wrong usage that the command line's parser cannot see.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(code: ErrorCode) -> anyhow::Error {
        Error::Rejected { operation: "set", path: "/a".into(), code }.into()
    }

    #[test]
    fn each_failure_has_its_code() {
        for (error, code) in [
            (rejected(ErrorCode::NoNode), 3),
            (rejected(ErrorCode::BadVersion), 4),
            (rejected(ErrorCode::NoAuth), 5),
            (rejected(ErrorCode::Unknown(-9999)), 1),
            (Error::TimedOut { maybe_executed: false }.into(), 1),
            (Wrong("no".to_owned()).into(), 2),
            (anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe)).context("cannot write"), 1),
        ] {
            assert_eq!(Failed::of(&error, true).code(), code, "{error:#}");
        }
    }

    #[test]
    fn only_a_change_can_have_been_made_without_our_knowing() {
        let lost = || Error::TimedOut { maybe_executed: true }.into();
        assert_eq!(Failed::of(&lost(), true), Failed::Unknown);
        assert_eq!(Failed::of(&lost(), false), Failed::Otherwise);
    }
}
