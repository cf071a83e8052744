//! The error codes of replies.

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $retryable:literal, $text:literal;)+) => {
        /// The error code of a reply.
        ///
        /// Codes that are not in this list, from a newer server, are kept in [`Unknown`](Self::Unknown).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)+
            /// A code that this crate has no name for.
            Unknown(i32),
        }

        impl ErrorCode {
            /// The error with this number; `None` for 0, which means success.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                Some(match code {
                    0 => return None,
                    $($code => Self::$name,)+
                    other => Self::Unknown(other),
                })
            }

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self {
                    $(Self::$name => $code,)+
                    Self::Unknown(code) => code,
                }
            }

            /// Whether the request was not executed now, and the same request may succeed later.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self {
                    $(Self::$name => $retryable,)+
                    Self::Unknown(_) => false,
                }
            }
        }

        impl std::fmt::Display for ErrorCode {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$name => f.write_str($text),)+
                    Self::Unknown(code) => write!(f, "error {code}, which this client does not know"),
                }
            }
        }

        impl std::error::Error for ErrorCode {}

        /// Every code that has a name.
        #[cfg(test)]
        const NAMED: &[ErrorCode] = &[$(ErrorCode::$name,)+];
    };
}

error_codes! {
    /// The server failed for a reason that no other code describes.
    SystemError = -1, false, "the server failed";
    /// The server's state is inconsistent. In the results of a transaction: the operation was not tried, because an
    /// earlier one failed.
    RuntimeInconsistency = -2, false, "a runtime inconsistency was found";
    /// The server's data is inconsistent.
    DataInconsistency = -3, false, "a data inconsistency was found";
    /// Used by clients, not sent by servers.
    ConnectionLoss = -4, false, "the connection was lost";
    /// The server could not read the request.
    MarshallingError = -5, false, "the server could not read the request";
    /// The server does not know this operation, or it is disabled.
    Unimplemented = -6, false, "the server does not know this operation";
    /// Used by clients, not sent by servers.
    OperationTimeout = -7, false, "the operation took too long";
    /// The server considers the arguments invalid.
    BadArguments = -8, false, "the arguments are not valid";
    /// The server does not know the session.
    UnknownSession = -12, false, "the server does not know the session";
    /// No quorum of the new configuration is connected.
    NewConfigNoQuorum = -13, true, "no quorum of the new configuration is connected";
    /// Another reconfiguration is under way.
    ReconfigInProgress = -14, true, "another reconfiguration is under way";
    /// The first code of the range for requests; not used by itself.
    ApiError = -100, false, "the request failed";
    /// The node does not exist; for a request that creates a node, its parent does not exist.
    NoNode = -101, false, "the node does not exist";
    /// The node's access control list does not allow it.
    NoAuth = -102, false, "permission is denied by the node's ACL";
    /// The version of the node is not the one that the request named.
    BadVersion = -103, false, "the node has another version";
    /// Ephemeral nodes have no children.
    NoChildrenForEphemerals = -108, false, "the parent is ephemeral and cannot have children";
    /// The node exists already.
    NodeExists = -110, false, "the node exists already";
    /// The node has children.
    NotEmpty = -111, false, "the node has children";
    /// The session has expired.
    SessionExpired = -112, false, "the session has expired";
    /// Used by clients, not sent by servers.
    InvalidCallback = -113, false, "the callback is not valid";
    /// The access control list is empty, or names an unknown scheme or identity.
    InvalidAcl = -114, false, "the ACL is not valid";
    /// Authentication failed.
    AuthFailed = -115, false, "authentication failed";
    /// Another server serves the session now.
    SessionMoved = -118, false, "the session has moved to another server";
    /// The server is read-only.
    NotReadOnly = -119, true, "the server is read-only at present";
    /// A local session cannot have ephemeral nodes.
    EphemeralOnLocalSession = -120, false, "a local session cannot have ephemeral nodes";
    /// No such watch is set.
    NoWatcher = -121, false, "there is no such watch";
    /// Used by clients, not sent by servers.
    RequestTimeout = -122, false, "the request took too long";
    /// Reconfiguration is disabled.
    ReconfigDisabled = -123, false, "reconfiguration is switched off";
    /// The server requires SASL authentication.
    SessionClosedRequireSaslAuth = -124, false, "the server demands authentication by SASL";
    /// The request would exceed the quota of the node or of one above it (3.7).
    QuotaExceeded = -125, false, "a quota would be exceeded";
    /// The server is overloaded (3.7).
    ThrottledOp = -127, true, "the server has too much to do";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in NAMED {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        for code in [7, -9, -116, -126, -128, i32::MIN, i32::MAX] {
            assert_eq!(ErrorCode::from_code(code), Some(ErrorCode::Unknown(code)));
            assert_eq!(ErrorCode::Unknown(code).code(), code);
        }
        assert_eq!(ErrorCode::from_code(0), None);
    }
}
