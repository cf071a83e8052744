//! The replies and notifications, without their header.

use std::borrow::Cow;

use crate::{acl::Acl, jute::records, names::Names, stat::Stat};

records! {
    /// The reply to [`Create`](crate::Create).
    Created<'a> {
        /// The node's path, including the number if it is sequential.
        path: Cow<'a, str> = "path",
    }

    /// The reply to [`Create2`](crate::Create2), [`CreateContainer`](crate::CreateContainer) and
    /// [`CreateTtl`](crate::CreateTtl).
    CreatedStat<'a> {
        /// The node's path, including the number if it is sequential.
        path: Cow<'a, str> = "path",
        /// The node's history.
        stat: Stat = "stat",
    }

    /// The reply to [`GetData`](crate::GetData) and [`Reconfig`](crate::Reconfig). The reply to
    /// [`Exists`](crate::Exists), [`SetData`](crate::SetData) and [`SetAcl`](crate::SetAcl) is a plain [`Stat`].
    Data<'a> {
        /// The node's data. Null and empty differ.
        data: Option<&'a [u8]> = "data",
        /// The node's history.
        stat: Stat = "stat",
    }

    /// The reply to [`GetChildren`](crate::GetChildren) and [`GetEphemerals`](crate::GetEphemerals).
    Children {
        /// The names, or paths, in no particular order.
        names: Option<Names> = "children",
    }

    /// The reply to [`GetChildren2`](crate::GetChildren2).
    ChildrenStat {
        /// The names, in no particular order.
        names: Option<Names> = "children",
        /// The history of the node itself.
        stat: Stat = "stat",
    }

    /// The reply to [`GetAcl`](crate::GetAcl).
    AclStat<'a> {
        /// The node's access control list.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// The node's history.
        stat: Stat = "stat",
    }

    /// The reply to [`Sync`](crate::Sync).
    Synced<'a> {
        /// The path of the request.
        path: Option<Cow<'a, str>> = "path",
    }

    /// The reply to [`Sasl`](crate::Sasl).
    SaslToken<'a> {
        /// The server's token; null if SASL is not configured.
        token: Option<&'a [u8]> = "token",
    }

    /// The reply to [`GetAllChildrenNumber`](crate::GetAllChildrenNumber).
    TotalNumber {
        /// The number of nodes below the one that was named.
        total: i32 = "totalNumber",
    }

    /// The reply to [`AddWatch`](crate::AddWatch), and the result of a failed operation of a transaction.
    ErrorResponse {
        /// 0, or the number of an [`ErrorCode`](crate::ErrorCode).
        err: i32 = "err",
    }

    /// An identity of a connection.
    ClientInfo<'a> {
        /// The scheme that authenticated it.
        scheme: Cow<'a, str> = "authScheme",
        /// The user, in the notation of the scheme.
        user: Cow<'a, str> = "user",
    }

    /// The reply to [`WhoAmI`](crate::WhoAmI).
    Identities<'a> {
        /// The identities.
        identities: Option<Cow<'a, [ClientInfo<'a>]>> = "clientInfo",
    }

    /// A notification: something happened to a watched node.
    WatcherEvent<'a> {
        /// The number of an [`EventType`](crate::EventType).
        kind: i32 = "type",
        /// The number of a [`KeeperState`](crate::KeeperState); servers send 3.
        state: i32 = "state",
        /// The node's path.
        path: Cow<'a, str> = "path",
    }
}

crate::jute::record_field!(ClientInfo<'a>, 8);

impl ClientInfo<'_> {
    /// The same identity, with its own copies.
    #[must_use]
    pub fn into_owned(self) -> ClientInfo<'static> {
        ClientInfo { scheme: Cow::Owned(self.scheme.into_owned()), user: Cow::Owned(self.user.into_owned()) }
    }
}

impl WatcherEvent<'_> {
    /// The same event, with its own copy of the path.
    #[must_use]
    pub fn into_owned(self) -> WatcherEvent<'static> {
        WatcherEvent { kind: self.kind, state: self.state, path: Cow::Owned(self.path.into_owned()) }
    }
}
