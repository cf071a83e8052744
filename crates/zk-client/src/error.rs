//! What can go wrong, whose fault it is, and what may be done about it.

use std::{fmt, io, sync::Arc, time::Duration};

use zk_proto::{ErrorCode, session::Expiry};

use crate::ending::Ending;

/// What every fallible function here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request, or a connection, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connect string makes no sense.
    #[error("the connect string {given:?} is not valid: {reason}")]
    ConnectString {
        /// As given.
        given: String,
        /// What is wrong with it.
        reason: zk_proto::ConnectStringError,
    },
    /// No server of the list granted a session.
    #[error("no ZooKeeper server granted a session: {}", Attempts(.attempts))]
    NoServer {
        /// What was tried, in order.
        attempts: Vec<Attempt>,
    },
    /// The session is over, so the request was not sent. Connect again for a new session.
    #[error("the session has expired: {0}; connect again for a new one")]
    SessionExpired(Expiry),
    /// A server did not accept an authentication. The session is over for this client, and the request was not sent.
    #[error("a server did not accept the authentication")]
    AuthFailed,
    /// The server rejected the request.
    #[error("{operation} {path:?}: {}", explained(.operation, *.code))]
    Rejected {
        /// What was asked.
        operation: &'static str,
        /// Of which node.
        path: Box<str>,
        /// Why not.
        code: ErrorCode,
    },
    /// An operation of a transaction failed, so nothing of it was executed.
    #[error("operation {index} of the transaction, on {path:?}: {code}")]
    Transaction {
        /// Which one, counted from 0.
        index: usize,
        /// On which node.
        path: Box<str>,
        /// Why not.
        code: ErrorCode,
    },
    /// The node that this client takes for the root does not exist. `create("/")` makes it, or
    /// [`Builder::create_chroot`](crate::Builder::create_chroot).
    #[error("the chroot {path:?} does not exist")]
    ChrootMissing {
        /// Its path.
        path: Box<str>,
    },
    /// The connection was lost. The client looks for another one, for the same session.
    #[error(
        "the connection is lost ({why}) and the request {}",
        if *.maybe_executed { "may have been executed: look before you repeat it" } else { "was not sent" }
    )]
    ConnectionLost {
        /// Whether the server can have executed the request.
        maybe_executed: bool,
        /// How the connection ended.
        why: Arc<str>,
    },
    /// The request took longer than it may.
    #[error(
        "the request took longer than it may and {}",
        if *.maybe_executed { "may have been executed: look before you repeat it" } else { "was not sent" }
    )]
    TimedOut {
        /// Whether the server can have executed the request.
        maybe_executed: bool,
    },
    /// The client was closed, or has left the session; the request was not sent.
    #[error("the client is closed")]
    Closed,
    /// The path is not one a server would take; the request was not sent.
    #[error("the request is not valid")]
    Invalid(#[source] zk_proto::Error),
    /// The request is larger than servers take; it was not sent.
    #[error("the request has {len} bytes and servers take at most {max} (jute.maxbuffer); store less in one node")]
    RequestTooLarge {
        /// Bytes of the request.
        len: usize,
        /// The limit, [`Options::max_request`](crate::Builder::max_request).
        max: usize,
    },
    /// Requests are made faster than the connection takes them; this one was not sent.
    #[error("{queued} bytes of requests wait to be sent, the limit is {max}; await earlier requests")]
    OutboxFull {
        /// Bytes waiting.
        queued: usize,
        /// The limit, [`Options::max_outbox`](crate::Builder::max_outbox).
        max: usize,
    },
    /// Requests are made faster than the server answers them; this one was not sent.
    #[error("{max} requests wait for their answers, which is the limit; await earlier requests")]
    TooManyRequests {
        /// The limit, [`Options::max_requests`](crate::Builder::max_requests).
        max: usize,
    },
    /// The answer is larger than this client takes. It was skipped as it arrived; the request was executed, and other
    /// requests are not disturbed.
    #[error("the answer to {operation} {path:?} has {len} bytes, and the limit is {max}; raise Builder::max_reply")]
    ReplyTooLarge {
        /// What was asked.
        operation: &'static str,
        /// Of which node.
        path: Box<str>,
        /// Bytes of the answer.
        len: u64,
        /// The limit, [`Options::max_reply`](crate::Builder::max_reply).
        max: usize,
    },
    /// The server answered nonsense. Other requests are not disturbed.
    #[error("the answer to {operation} {path:?} cannot be read")]
    Malformed {
        /// What was asked.
        operation: &'static str,
        /// Of which node.
        path: Box<str>,
        /// What is wrong.
        #[source]
        source: zk_proto::Error,
    },
}

/// What a code means for an operation.
fn explained(operation: &str, code: ErrorCode) -> String {
    match code {
        ErrorCode::NoNode if operation.starts_with("create") => "the parent node does not exist".to_owned(),
        other => other.to_string(),
    }
}

impl Error {
    /// Why no request can be made any more.
    pub(crate) fn ended(ending: Ending) -> Self {
        match ending {
            Ending::Closed | Ending::Detached => Self::Closed,
            Ending::Expired(expiry) => Self::SessionExpired(expiry),
            Ending::AuthFailed => Self::AuthFailed,
            Ending::Lost(why) => Self::ConnectionLost { maybe_executed: false, why },
        }
    }

    /// Why the server rejected the request, if that is what happened.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Rejected { code, .. } | Self::Transaction { code, .. } => Some(*code),
            Self::ChrootMissing { .. } => Some(ErrorCode::NoNode),
            Self::ConnectString { .. }
            | Self::NoServer { .. }
            | Self::SessionExpired(_)
            | Self::AuthFailed
            | Self::TimedOut { .. }
            | Self::ConnectionLost { .. }
            | Self::Closed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Malformed { .. } => None,
        }
    }

    /// Whether the server may have executed the request although there is no answer to it.
    #[must_use]
    pub const fn maybe_executed(&self) -> bool {
        match self {
            Self::ConnectionLost { maybe_executed, .. } | Self::TimedOut { maybe_executed } => *maybe_executed,
            Self::Malformed { .. } | Self::ReplyTooLarge { .. } => true,
            Self::ConnectString { .. }
            | Self::NoServer { .. }
            | Self::SessionExpired(_)
            | Self::AuthFailed
            | Self::Rejected { .. }
            | Self::Transaction { .. }
            | Self::ChrootMissing { .. }
            | Self::Closed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. } => false,
        }
    }

    /// Whether the same request may succeed later — on a new client, if this one is not
    /// [usable](Self::client_usable) — and was certainly not executed now.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoServer { .. }
            | Self::SessionExpired(_)
            | Self::Closed
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. } => true,
            Self::ConnectionLost { maybe_executed, .. } | Self::TimedOut { maybe_executed } => !*maybe_executed,
            Self::Rejected { code, .. } | Self::Transaction { code, .. } => code.is_retryable(),
            Self::ConnectString { .. }
            | Self::ChrootMissing { .. }
            | Self::AuthFailed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether the server broke the protocol.
    #[must_use]
    pub const fn is_peer_fault(&self) -> bool {
        match self {
            Self::Malformed { .. } => true,
            Self::ConnectString { .. }
            | Self::NoServer { .. }
            | Self::SessionExpired(_)
            | Self::AuthFailed
            | Self::TimedOut { .. }
            | Self::Rejected { .. }
            | Self::Transaction { .. }
            | Self::ChrootMissing { .. }
            | Self::ConnectionLost { .. }
            | Self::Closed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. }
            | Self::ReplyTooLarge { .. } => false,
        }
    }

    /// Whether this client can go on making requests.
    #[must_use]
    pub const fn client_usable(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::ChrootMissing { .. }
            | Self::ConnectionLost { .. }
            | Self::TimedOut { .. }
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Malformed { .. } => true,
            // The session ends with these. After some other codes the server closes the connection, and there is another one.
            Self::Rejected { code, .. } | Self::Transaction { code, .. } => !matches!(
                code,
                ErrorCode::SessionClosedRequireSaslAuth | ErrorCode::AuthFailed | ErrorCode::SessionExpired
            ),
            Self::ConnectString { .. }
            | Self::NoServer { .. }
            | Self::SessionExpired(_)
            | Self::AuthFailed
            | Self::Closed => false,
        }
    }
}

/// One server that was tried.
#[derive(Debug)]
pub struct Attempt {
    /// Its address.
    pub server: String,
    /// Why it did not work.
    pub failure: Failure,
}

/// Why one server granted no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The name could not be resolved.
    #[error("the name cannot be resolved: {0}")]
    Resolve(io::Error),
    /// No stream could be opened.
    #[error("{}{}", .0, hint(.0))]
    Connect(io::Error),
    /// The server rejected the connection, with this code: it is read-only, say.
    #[error("the server rejected the connection: {0}")]
    Rejected(ErrorCode),
    /// The time for one address, or for all of them, was up.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// A stream was opened and broke before the session was granted.
    #[error("{0}")]
    Lost(String),
    /// The time for all servers was up before it was tried.
    #[error("not tried, the time was up")]
    NotTried,
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => " (is a server running there?)",
        io::ErrorKind::NotFound => " (is the path right?)",
        _ => "",
    }
}

struct Attempts<'a>(&'a [Attempt]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no server was named");
        }
        for (n, attempt) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{}: {}", attempt.server.escape_debug(), attempt.failure)?;
        }
        Ok(())
    }
}
