//! What can go wrong, whose fault it is, and what the caller can do about it.

use std::{fmt, io, sync::Arc, time::Duration};

use zk_proto::{ErrorCode, session::Expiry};

use crate::ending::Ending;

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request or a connection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connect string is invalid.
    #[error("the connect string {given:?} is not valid: {reason}")]
    ConnectString {
        /// The connect string as given.
        given: String,
        /// What is wrong with it.
        reason: zk_proto::ConnectStringError,
    },
    /// No server in the list granted a session.
    #[error("no ZooKeeper server granted a session: {}", Attempts(.attempts))]
    NoServer {
        /// The attempts, in order.
        attempts: Vec<Attempt>,
    },
    /// The session is over, so the request was not sent. Connect again to get a new session.
    #[error("the session has expired: {0}; connect again for a new one")]
    SessionExpired(Expiry),
    /// A server did not accept an authentication. The session is over for this client, and the request was not sent.
    #[error("a server did not accept the authentication")]
    AuthFailed,
    /// The server rejected the request.
    #[error("{operation} {path:?}: {}", explained(.operation, *.code))]
    Rejected {
        /// The operation that was requested.
        operation: &'static str,
        /// The path of the node.
        path: Box<str>,
        /// The server's reason.
        code: ErrorCode,
    },
    /// An operation of a transaction failed, so none of it was executed.
    #[error("operation {index} of the transaction, on {path:?}: {code}")]
    Transaction {
        /// The index of the failed operation, counted from 0.
        index: usize,
        /// The path of the node.
        path: Box<str>,
        /// The server's reason.
        code: ErrorCode,
    },
    /// The client's root node does not exist. `create("/")` or
    /// [`Builder::create_chroot`](crate::Builder::create_chroot) creates it.
    #[error("the chroot {path:?} does not exist")]
    ChrootMissing {
        /// The path of the chroot.
        path: Box<str>,
    },
    /// The server does not know the operation, or it is switched off there: an older release, or a node with a time to
    /// live without `extendedTypesEnabled`. Nothing was executed. The server closes the connection, so the client does not
    /// send this operation again for a minute.
    #[error("{operation}: the server does not support it")]
    Unsupported {
        /// The operation.
        operation: &'static str,
    },
    /// The connection was lost. The client is connecting again for the same session.
    #[error(
        "the connection is lost ({why}) and the request {}",
        if *.maybe_executed { "may have been executed: check before you repeat it" } else { "was not sent" }
    )]
    ConnectionLost {
        /// Whether the server may have executed the request.
        maybe_executed: bool,
        /// How the connection ended.
        why: Arc<str>,
    },
    /// The request took longer than its timeout.
    #[error(
        "the request took longer than it may and {}",
        if *.maybe_executed { "may have been executed: check before you repeat it" } else { "was not sent" }
    )]
    TimedOut {
        /// Whether the server may have executed the request.
        maybe_executed: bool,
    },
    /// The client was closed or has left the session. The request was not sent.
    #[error("the client is closed")]
    Closed,
    /// No server would accept the request, for example because of its path. It was not sent.
    #[error("the request is not valid")]
    Invalid(#[source] zk_proto::Error),
    /// The request exceeds the limit for requests. It was not sent.
    #[error("the request has {len} bytes and servers take at most {max} (jute.maxbuffer); store less in one node")]
    RequestTooLarge {
        /// Length of the request in bytes.
        len: usize,
        /// The limit: [`Builder::max_request`](crate::Builder::max_request).
        max: usize,
    },
    /// You make requests faster than the connection can send them. This one was not sent.
    #[error("{queued} bytes of requests wait to be sent, the limit is {max}; await earlier requests")]
    OutboxFull {
        /// Bytes that wait to be sent.
        queued: usize,
        /// The limit: [`Builder::max_outbox`](crate::Builder::max_outbox).
        max: usize,
    },
    /// You make requests faster than the server answers them. This one was not sent.
    #[error("{max} requests wait for their answers, which is the limit; await earlier requests")]
    TooManyRequests {
        /// The limit: [`Builder::max_requests`](crate::Builder::max_requests).
        max: usize,
    },
    /// The reply exceeds the limit for replies. The client skipped it as it arrived. The server executed the request,
    /// and other requests are not affected.
    #[error("the answer to {operation} {path:?} has {len} bytes, and the limit is {max}; raise Builder::max_reply")]
    ReplyTooLarge {
        /// The operation that was requested.
        operation: &'static str,
        /// The path of the node.
        path: Box<str>,
        /// Length of the reply in bytes.
        len: u64,
        /// The limit: [`Builder::max_reply`](crate::Builder::max_reply).
        max: usize,
    },
    /// The server's reply is malformed. Other requests are not affected.
    #[error("the answer to {operation} {path:?} cannot be read")]
    Malformed {
        /// The operation that was requested.
        operation: &'static str,
        /// The path of the node.
        path: Box<str>,
        /// What is wrong with the reply.
        #[source]
        source: zk_proto::Error,
    },
}

/// The meaning of a code for an operation.
fn explained(operation: &str, code: ErrorCode) -> String {
    match code {
        ErrorCode::NoNode if operation.starts_with("create") => "the parent node does not exist".to_owned(),
        other => other.to_string(),
    }
}

impl Error {
    /// The error of all requests after the session has ended.
    pub(crate) fn ended(ending: Ending) -> Self {
        match ending {
            Ending::Closed | Ending::Detached => Self::Closed,
            Ending::Expired(expiry) => Self::SessionExpired(expiry),
            Ending::AuthFailed => Self::AuthFailed,
            Ending::Lost(why) => Self::ConnectionLost { maybe_executed: false, why },
        }
    }

    /// The server's error code, if the server rejected the request.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Rejected { code, .. } | Self::Transaction { code, .. } => Some(*code),
            Self::ChrootMissing { .. } => Some(ErrorCode::NoNode),
            Self::Unsupported { .. } => Some(ErrorCode::Unimplemented),
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

    /// Whether the server may have executed the request although we have no answer to it.
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
            | Self::Unsupported { .. }
            | Self::Closed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. } => false,
        }
    }

    /// Whether the request was certainly not executed, and the same request may succeed later. If the client is not
    /// [usable](Self::client_usable), retry on a new one.
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
            | Self::Unsupported { .. }
            | Self::AuthFailed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether the server violated the protocol.
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
            | Self::Unsupported { .. }
            | Self::ConnectionLost { .. }
            | Self::Closed
            | Self::Invalid(_)
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. }
            | Self::ReplyTooLarge { .. } => false,
        }
    }

    /// Whether you can go on using this client.
    #[must_use]
    pub const fn client_usable(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::ChrootMissing { .. }
            | Self::Unsupported { .. }
            | Self::ConnectionLost { .. }
            | Self::TimedOut { .. }
            | Self::RequestTooLarge { .. }
            | Self::OutboxFull { .. }
            | Self::TooManyRequests { .. }
            | Self::ReplyTooLarge { .. }
            | Self::Malformed { .. } => true,
            // These end the session. After some other codes, the server closes the connection, and the client opens
            // another one.
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

/// An attempt to connect to one server.
#[derive(Debug)]
pub struct Attempt {
    /// The server's address.
    pub server: String,
    /// Why the attempt failed.
    pub failure: Failure,
}

/// Why one server did not grant a session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The name could not be resolved.
    #[error("the name cannot be resolved: {0}")]
    Resolve(io::Error),
    /// No stream could be opened.
    #[error("{}{}", .0, hint(.0))]
    Connect(io::Error),
    /// The server rejected the connection with this code, for example because it is read-only.
    #[error("the server rejected the connection: {0}")]
    Rejected(ErrorCode),
    /// The time for one address, or for all of them, has passed.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// A stream was opened, but broke before the session was granted.
    #[error("{0}")]
    Lost(String),
    /// The time for all servers had passed before this one was tried.
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
