//! The requests, without their header.

use std::borrow::Cow;

use crate::{acl::Acl, error::Error, ids::Zxid, jute::records, path};

/// The version that matches any.
pub const ANY_VERSION: i32 = -1;

/// The configuration that matches any, for [`Reconfig`].
pub const ANY_CONFIG: i64 = -1;

/// What kind of node to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// Ends with the session that created it.
    Ephemeral,
    /// Stays until it is deleted; the server appends ten digits to the name, each time a greater number.
    PersistentSequential,
    /// Ends with the session that created it; the server appends ten digits to the name, each time a greater number.
    EphemeralSequential,
    /// Is deleted by the server some time after its last child is gone (3.5.1). Its operation is
    /// [`CreateContainer`]: by itself the flag makes a persistent node.
    Container,
    /// Is deleted by the server when it has no children and was not written for a time (3.5.3, if switched on). Its operation
    /// is [`CreateTtl`].
    PersistentWithTtl,
    /// As [`PersistentWithTtl`](Self::PersistentWithTtl), with ten digits appended to the name.
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

    /// The mode with these flags, if it is one of these.
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

    /// Whether the node ends with its session.
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

/// A list of paths, or null, which servers do not take.
pub type Paths<'a> = Option<Cow<'a, [Cow<'a, str>]>>;

/// Records of one shape: a node to create.
macro_rules! creates {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// Where; a sequential node's path gets a number appended.
                path: Cow<'a, str> = "path",
                /// What it holds; null and empty are not the same.
                data: Option<&'a [u8]> = "data",
                /// Who may do what with it; servers take neither null nor an empty list.
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
    /// Creates a node; answered with its path.
    Create;
    /// Creates a node; answered with its path and its [`Stat`](crate::Stat) (3.5).
    Create2;
    /// Creates a [container](CreateMode::Container), whatever the flags say (3.5.1).
    CreateContainer;
}

/// Checks the path of a new node as the server will. Flags this crate has no name for are the server's to judge.
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

/// Records of one shape: a node to read, and whether to leave a watch on it.
macro_rules! reads {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// Which.
                path: Cow<'a, str> = "path",
                /// Whether to be told of the next change.
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

/// Records of one shape: a path.
macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        records! {$(
            $(#[$doc])*
            $name<'a> {
                /// Which.
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
    /// Says that the client is alive. It has no fields.
    Ping;
    /// Ends the session. It has no fields.
    CloseSession;
    /// Asks by which identities the server knows this connection (3.7). It has no fields.
    WhoAmI;
    /// The reply to an operation that has nothing to say.
    Nothing;
}

records! {
    /// Creates a node that the server deletes when it has no children and was not written for a time (3.5.3).
    CreateTtl<'a> {
        /// Where; a sequential node's path gets a number appended.
        path: Cow<'a, str> = "path",
        /// What it holds; null and empty are not the same.
        data: Option<&'a [u8]> = "data",
        /// Who may do what with it; servers take neither null nor an empty list.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// The flags of [`CreateMode::PersistentWithTtl`] or [`CreateMode::PersistentSequentialWithTtl`].
        flags: i32 = "flags",
        /// The time in milliseconds: 1 to 2⁴⁰ − 1.
        ttl: i64 = "ttl",
    }

    /// Deletes a node that has no children.
    Delete<'a> {
        /// Which.
        path: Cow<'a, str> = "path",
        /// Its version, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Fails unless a node exists and has this version: only inside a transaction (3.4).
    Check<'a> {
        /// Which.
        path: Cow<'a, str> = "path",
        /// Its version, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Writes a node's data.
    SetData<'a> {
        /// Which.
        path: Cow<'a, str> = "path",
        /// What it shall hold; null and empty are not the same.
        data: Option<&'a [u8]> = "data",
        /// Its version before, or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Writes a node's access control list.
    SetAcl<'a> {
        /// Which.
        path: Cow<'a, str> = "path",
        /// Who may do what with it from then on.
        acl: Option<Cow<'a, [Acl<'a>]>> = "acl",
        /// The version of the list before ([`Stat::aversion`](crate::Stat::aversion)), or [`ANY_VERSION`].
        version: i32 = "version",
    }

    /// Waits until the server has everything that the leader has executed by now.
    Sync<'a> {
        /// Which node it is about; servers ignore it and echo it, null too.
        path: Option<Cow<'a, str>> = "path",
    }

    /// Changes the members of the ensemble (3.5).
    Reconfig<'a> {
        /// Servers to add, or null.
        joining: Option<Cow<'a, str>> = "joiningServers",
        /// Identities of servers to remove, or null.
        leaving: Option<Cow<'a, str>> = "leavingServers",
        /// All members there shall be, instead of the two above, or null.
        members: Option<Cow<'a, str>> = "newMembers",
        /// The version of the configuration before, or [`ANY_CONFIG`].
        from_config: i64 = "curConfigId",
    }

    /// Asks whether this connection has a watch (3.5).
    CheckWatches<'a> {
        /// Of which node.
        path: Cow<'a, str> = "path",
        /// The number of a [`WatcherType`](crate::WatcherType).
        kind: i32 = "type",
    }

    /// Takes watches of this connection away, all of a kind on a node (3.5).
    RemoveWatches<'a> {
        /// Of which node.
        path: Cow<'a, str> = "path",
        /// The number of a [`WatcherType`](crate::WatcherType).
        kind: i32 = "type",
    }

    /// Watches a node, or a tree, until further notice (3.6).
    AddWatch<'a> {
        /// Which; it need not exist.
        path: Cow<'a, str> = "path",
        /// The number of an [`AddWatchMode`](crate::AddWatchMode).
        mode: i32 = "mode",
    }

    /// Watches again, on a new connection, what was watched on an earlier one. Of each path that has changed since
    /// `relative_zxid` there is an event instead.
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

    /// As [`SetWatches`], with watches that last (3.6). What these missed in between is not told.
    SetWatches2<'a> {
        /// The last transaction this client knows of.
        relative_zxid: Zxid = "relativeZxid",
        /// Nodes that existed and whose data was watched.
        data: Paths<'a> = "dataWatches",
        /// Nodes that did not exist and whose creation was watched.
        exist: Paths<'a> = "existWatches",
        /// Nodes whose children were watched.
        child: Paths<'a> = "childWatches",
        /// Nodes that are watched until further notice.
        persistent: Paths<'a> = "persistentWatches",
        /// Trees that are watched until further notice.
        persistent_recursive: Paths<'a> = "persistentRecursiveWatches",
    }

    /// Lists this session's ephemeral nodes (3.6).
    GetEphemerals<'a> {
        /// What their paths begin with, as text; null and `/` are for all.
        prefix: Option<Cow<'a, str>> = "prefixPath",
    }

    /// One step of an authentication by SASL (3.4).
    Sasl<'a> {
        /// The step, in the words of the mechanism.
        token: Option<&'a [u8]> = "token",
    }
}

/// Adds an identity to the connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth<'a> {
    /// 0.
    pub kind: i32,
    /// How the identity is proved: `digest`, or what the server has a plug-in for.
    pub scheme: Cow<'a, str>,
    /// The proof: a secret, which is never printed.
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
