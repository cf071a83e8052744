//! The replies and notifications, without their header.

use std::borrow::Cow;

use crate::{acl::Acl, jute::records, names::Names, stat::Stat};

records! {
    /// The answer to [`Create`](crate::Create).
    Created<'a> {
        /// The node's path, with its number if it is sequential.
        path: Cow<'a, str> = "path",
    }

    /// The answer to [`Create2`](crate::Create2), [`CreateContainer`](crate::CreateContainer) and
    /// [`CreateTtl`](crate::CreateTtl).
    CreatedStat<'a> {
        /// The node's path, with its number if it is sequential.
        path: Cow<'a, str> = "path",
        /// Its history.
        stat: Stat = "stat",
    }

    /// The answer to [`GetData`](crate::GetData) and [`Reconfig`](crate::Reconfig). [`Exists`](crate::Exists),
    /// [`SetData`](crate::SetData) and [`SetAcl`](crate::SetAcl) are answered with a plain [`Stat`].
    Data<'a> {
        /// What the node holds; null and empty are not the same.
        data: Option<&'a [u8]> = "data",
        /// Its history.
        stat: Stat = "stat",
    }

    /// The answer to [`GetChildren`](crate::GetChildren) and [`GetEphemerals`](crate::GetEphemerals).
    Children {
        /// The names, or paths, in no particular order.
        names: Option<Names> = "children",
    }

    /// The answer to [`GetChildren2`](crate::GetChildren2).
    ChildrenStat {
        /// The names, in no particular order.
        names: Option<Names> = "children",
        /// The history of the node itself.
        stat: Stat = "stat",
    }

    /// The answer to [`GetAcl`](crate::GetAcl).
    AclStat<'a> {
        /// Who may do what with it.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// Its history.
        stat: Stat = "stat",
    }

    /// The answer to [`Sync`](crate::Sync).
    Synced<'a> {
        /// The path of the request.
        path: Option<Cow<'a, str>> = "path",
    }

    /// The answer to [`Sasl`](crate::Sasl).
    SaslToken<'a> {
        /// The server's step; null where no SASL is configured.
        token: Option<&'a [u8]> = "token",
    }

    /// The answer to [`GetAllChildrenNumber`](crate::GetAllChildrenNumber).
    TotalNumber {
        /// How many nodes there are below it.
        total: i32 = "totalNumber",
    }

    /// The answer to [`AddWatch`](crate::AddWatch), and what stands for a failed operation of a transaction.
    ErrorResponse {
        /// 0, or the number of an [`ErrorCode`](crate::ErrorCode).
        err: i32 = "err",
    }

    /// An identity of a connection.
    ClientInfo<'a> {
        /// How it was proved.
        scheme: Cow<'a, str> = "authScheme",
        /// The user, in the words of the scheme.
        user: Cow<'a, str> = "user",
    }

    /// The answer to [`WhoAmI`](crate::WhoAmI).
    Identities<'a> {
        /// The identities.
        identities: Option<Cow<'a, [ClientInfo<'a>]>> = "clientInfo",
    }

    /// What a server says unasked: something happened to a node that is watched.
    WatcherEvent<'a> {
        /// The number of an [`EventType`](crate::EventType).
        kind: i32 = "type",
        /// The number of a [`KeeperState`](crate::KeeperState); servers send 3.
        state: i32 = "state",
        /// Which node.
        path: Cow<'a, str> = "path",
    }
}

crate::jute::record_field!(ClientInfo<'a>, 8);

impl ClientInfo<'_> {
    /// The same identity, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> ClientInfo<'static> {
        ClientInfo { scheme: Cow::Owned(self.scheme.into_owned()), user: Cow::Owned(self.user.into_owned()) }
    }
}

impl WatcherEvent<'_> {
    /// The same event, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> WatcherEvent<'static> {
        WatcherEvent { kind: self.kind, state: self.state, path: Cow::Owned(self.path.into_owned()) }
    }
}
