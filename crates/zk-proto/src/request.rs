//! The requests, without their header.

use std::borrow::Cow;

use crate::{acl::Acl, error::Error, ids::Zxid, jute::records, path};

/// The version number that matches any version.
pub const ANY_VERSION: i32 = -1;

/// The configuration version that matches any, for [`Reconfig`].
pub const ANY_CONFIG: i64 = -1;

/// The kind of node to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CreateMode {
    /// The node stays until it is deleted.
    Persistent,
    /// The node is deleted when the session that created it ends.
    Ephemeral,
    /// The node stays until it is deleted. The server appends a ten-digit number to the name; the number increases with
    /// each node.
    PersistentSequential,
    /// The node is deleted when the session that created it ends. The server appends a ten-digit number to the name;
    /// the number increases with each node.
    EphemeralSequential,
    /// The server deletes the node some time after its last child is gone (3.5.1). Use it with [`CreateContainer`]: in
    /// any other request, the flag creates a persistent node.
    Container,
    /// The server deletes the node when it has no children and was not written for a given time (3.5.3, if enabled).
    /// Use it with [`CreateTtl`].
    PersistentWithTtl,
    /// The same as [`PersistentWithTtl`](Self::PersistentWithTtl), with ten digits appended to the name.
    PersistentSequentialWithTtl,
}

impl CreateMode {
    /// The flags on the wire.
    #[must_use]
    pub const fn flags(self) -> i32 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral => 1,
            Self::PersistentSequential => 2,
            Self::EphemeralSequential => 3,
            Self::Container => 4,
            Self::PersistentWithTtl => 5,
            Self::PersistentSequentialWithTtl => 6,
        }
    }

    /// The mode with these flags, if there is one.
    #[must_use]
    pub const fn from_flags(flags: i32) -> Option<Self> {
        Some(match flags {
            0 => Self::Persistent,
            1 => Self::Ephemeral,
            2 => Self::PersistentSequential,
            3 => Self::EphemeralSequential,
            4 => Self::Container,
            5 => Self::PersistentWithTtl,
            6 => Self::PersistentSequentialWithTtl,
            _ => return None,
        })
    }

    /// Whether the server appends a number to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        match self {
            Self::PersistentSequential | Self::EphemeralSequential | Self::PersistentSequentialWithTtl => true,
            Self::Persistent | Self::Ephemeral | Self::Container | Self::PersistentWithTtl => false,
        }
    }

    /// Whether the node is deleted when its session ends.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        match self {
            Self::Ephemeral | Self::EphemeralSequential => true,
            Self::Persistent
            | Self::PersistentSequential
            | Self::Container
            | Self::PersistentWithTtl
            | Self::PersistentSequentialWithTtl => false,
        }
    }
}

/// A list of paths, or null, which servers do not accept.
pub type Paths<'a> = Option<Cow<'a, [Cow<'a, str>]>>;

/// Records with the same fields: a node to create.
macro_rules! creates {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// The path. The server appends a number to the path of a sequential node.
                path: Cow<'a, str> = "path",
                /// The node's data. Null and empty differ.
                data: Option<&'a [u8]> = "data",
                /// The access control list. Servers accept neither null nor an empty list.
                acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
                /// The flags of a [`CreateMode`].
                flags: i32 = "flags",
            }
        )+}

        $(impl $name<'_> {
            pub(crate) fn check(&self) -> Result<(), Error> {
                check_new(&self.path, self.flags)
            }
        })+
    };
}

creates! {
    /// Creates a node. The reply has its path.
    Create;
    /// Creates a node. The reply has its path and its [`Stat`](crate::Stat) (3.5).
    Create2;
    /// Creates a [container](CreateMode::Container), regardless of the flags (3.5.1).
    CreateContainer;
}

/// Checks that a server would accept the path of a new node. The server judges flags that this crate has no name for.
fn check_new(path: &str, flags: i32) -> Result<(), Error> {
    match CreateMode::from_flags(flags) {
        Some(mode) if mode.is_sequential() => path::validate_sequential(path),
        _ => path::validate(path),
    }
}

impl CreateTtl<'_> {
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_new(&self.path, self.flags)
    }
}

/// Records with the same fields: a node to read, and whether to leave a watch on it.
macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// The path.
                path: Cow<'a, str> = "path",
                /// Whether to leave a watch, which reports the next change.
                watch: bool = "watch",
            }
        )+}
    };
}

reads! {
    /// Asks whether a node exists.
    Exists;
    /// Reads a node's data.
    GetData;
    /// Lists the names of a node's children.
    GetChildren;
    /// Lists the names of a node's children, and gives its own [`Stat`](crate::Stat) (3.3).
    GetChildren2;
}

/// Records with the same field: a path.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// The path.
                path: Cow<'a, str> = "path",
            }
        )+}
    };
}

paths! {
    /// Reads a node's access control list.
    GetAcl;
    /// Counts the nodes below a node, itself excluded (3.6).
    GetAllChildrenNumber;
}

/// Records without a field.
macro_rules! empty {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name;

        impl<'a> crate::jute::Record<'a> for $name {
            fn encode(&self, _out: &mut impl bytes::BufMut) {}

            fn decode(_reader: &mut crate::jute::Reader<'a>) -> Result<Self, Error> {
                Ok(Self)
            }
        }
    )+};
}

empty! {
    /// Tells the server that the client is alive. It has no fields.
    Ping;
    /// Ends the session. It has no fields.
    CloseSession;
    /// Asks for the identities that the server knows for this connection (3.7). It has no fields.
    WhoAmI;
    /// The reply to an operation that returns nothing.
    Nothing;
}

records! {
    /// Creates a node that the server deletes when it has no children and was not written for a given time (3.5.3).
    CreateTtl<'a> {
        /// The path. The server appends a number to the path of a sequential node.
        path: Cow<'a, str> = "path",
        /// The node's data. Null and empty differ.
        data: Option<&'a [u8]> = "data",
        /// The access control list. Servers accept neither null nor an empty list.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// The flags of [`CreateMode::PersistentWithTtl`] or [`CreateMode::PersistentSequentialWithTtl`].
        flags: i32 = "flags",
        /// The time to live in milliseconds: 1 to 2⁴⁰ − 1.
        ttl: i64 = "ttl",
    }

    /// Deletes a node that has no children.
    Delete<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The version that the node must have, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Fails unless a node exists and has this version. Allowed only in a transaction (3.4).
    Check<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The version that the node must have, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Writes a node's data.
    SetData<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The new data. Null and empty differ.
        data: Option<&'a [u8]> = "data",
        /// The version that the node must have, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Writes a node's access control list.
    SetAcl<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The new access control list.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// The version that the list must have ([`Stat::aversion`](crate::Stat::aversion)), or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Waits until the server has applied everything that the leader had executed when it handled this request.
    Sync<'a> {
        /// A path, which servers ignore and echo, even if it is null.
        path: Option<Cow<'a, str>> = "path",
    }

    /// Changes the members of the ensemble (3.5).
    Reconfig<'a> {
        /// Servers to add, or null.
        joining: Option<Cow<'a, str>> = "joiningServers",
        /// Ids of servers to remove, or null.
        leaving: Option<Cow<'a, str>> = "leavingServers",
        /// The complete new list of members, instead of the two fields above, or null.
        members: Option<Cow<'a, str>> = "newMembers",
        /// The version that the configuration must have, or [`ANY_CONFIG`].
        from_config: i64 = "curConfigId",
    }

    /// Asks whether this connection has a watch (3.5).
    CheckWatches<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The number of a [`WatcherType`](crate::WatcherType).
        kind: i32 = "type",
    }

    /// Removes this connection's watches of one kind on a node (3.5).
    RemoveWatches<'a> {
        /// The path.
        path: Cow<'a, str> = "path",
        /// The number of a [`WatcherType`](crate::WatcherType).
        kind: i32 = "type",
    }

    /// Adds a persistent watch to a node or a tree (3.6).
    AddWatch<'a> {
        /// The path. The node need not exist.
        path: Cow<'a, str> = "path",
        /// The number of an [`AddWatchMode`](crate::AddWatchMode).
        mode: i32 = "mode",
    }

    /// Registers the watches of an earlier connection again. For each path that has changed since `relative_zxid`, the
    /// server sends an event instead.
    SetWatches<'a> {
        /// The last transaction this client knows of.
        relative_zxid: Zxid = "relativeZxid",
        /// Nodes that existed and whose data was watched.
        data: Paths<'a> = "dataWatches",
        /// Nodes that did not exist and whose creation was watched.
        exist: Paths<'a> = "existWatches",
        /// Nodes whose children were watched.
        child: Paths<'a> = "childWatches",
    }

    /// The same as [`SetWatches`], with persistent watches, too (3.6). The server does not report what persistent
    /// watches missed in between.
    SetWatches2<'a> {
        /// The last transaction this client knows of.
        relative_zxid: Zxid = "relativeZxid",
        /// Nodes that existed and whose data was watched.
        data: Paths<'a> = "dataWatches",
        /// Nodes that did not exist and whose creation was watched.
        exist: Paths<'a> = "existWatches",
        /// Nodes whose children were watched.
        child: Paths<'a> = "childWatches",
        /// Nodes with a persistent watch.
        persistent: Paths<'a> = "persistentWatches",
        /// Trees with a persistent recursive watch.
        persistent_recursive: Paths<'a> = "persistentRecursiveWatches",
    }

    /// Lists this session's ephemeral nodes (3.6).
    GetEphemerals<'a> {
        /// Lists only paths that begin with this text. Null and `/` list all.
        prefix: Option<Cow<'a, str>> = "prefixPath",
    }

    /// One step of a SASL authentication (3.4).
    Sasl<'a> {
        /// The token, as the mechanism defines it.
        token: Option<&'a [u8]> = "token",
    }
}

/// Adds an identity to the connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth<'a> {
    /// 0.
    pub kind: i32,
    /// The scheme: `digest`, or any that the server has a plug-in for.
    pub scheme: Cow<'a, str>,
    /// The proof. It is a secret and is never printed.
    pub proof: Option<&'a [u8]>,
}

impl<'a> crate::jute::Record<'a> for Auth<'a> {
    fn encode(&self, out: &mut impl bytes::BufMut) {
        crate::jute::put_int(out, self.kind);
        crate::jute::put_text(out, &self.scheme);
        crate::jute::put_buffer(out, self.proof);
    }

    fn decode(reader: &mut crate::jute::Reader<'a>) -> Result<Self, Error> {
        Ok(Self { kind: reader.int("type")?, scheme: reader.text("scheme")?, proof: reader.buffer("auth")? })
    }
}

impl std::fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let len = self.proof.map_or(0, <[u8]>::len);
        f.debug_struct("Auth").field("scheme", &self.scheme).field("proof", &format_args!("{len} bytes")).finish()
    }
}
