//! The table of operations: everything about each of them, in one place.
//!
//! It generates [`OpCode`](crate::OpCode), the records of both directions by operation ([`Request`](crate::Request),
//! [`Response`](crate::Response)), and the [operation](crate::Operation) of each record.

/// Passes the rows of the table to the named macro.
macro_rules! operations {
    ($make:ident) => {
        $make! {
            // name = number, first release, does it change anything, which xid, request => reply
            /// Create a node.
            Create = 1, (3, 0, 0), changes, next, Create<'a> => Created<'a>;
            /// Delete a node.
            Delete = 2, (3, 0, 0), changes, next, Delete<'a> => Nothing;
            /// Check whether a node exists.
            Exists = 3, (3, 0, 0), reads, next, Exists<'a> => Stat;
            /// Read a node.
            GetData = 4, (3, 0, 0), reads, next, GetData<'a> => Data<'a>;
            /// Write a node.
            SetData = 5, (3, 0, 0), changes, next, SetData<'a> => Stat;
            /// Read a node's access control list.
            GetAcl = 6, (3, 0, 0), reads, next, GetAcl<'a> => AclStat<'a>;
            /// Write a node's access control list.
            SetAcl = 7, (3, 0, 0), changes, next, SetAcl<'a> => Stat;
            /// List a node's children.
            GetChildren = 8, (3, 0, 0), reads, next, GetChildren<'a> => Children;
            /// Catch up with the leader.
            Sync = 9, (3, 0, 0), reads, next, Sync<'a> => Synced<'a>;
            /// Do nothing except keep the session alive.
            Ping = 11, (3, 0, 0), reads, ping, Ping => Nothing;
            /// List a node's children, with the node's history.
            GetChildren2 = 12, (3, 3, 0), reads, next, GetChildren2<'a> => ChildrenStat;
            /// Fail unless a node has a version. Only in a transaction; on its own, servers close the connection.
            Check = 13, (3, 4, 0), reads, next, Check<'a> => Nothing;
            /// Change several nodes at once, or none.
            Multi = 14, (3, 4, 0), changes, next, Multi<'a> => MultiReply<'a>;
            /// Create a node, and return its history.
            Create2 = 15, (3, 5, 0), changes, next, Create2<'a> => CreatedStat<'a>;
            /// Change the members of the ensemble.
            Reconfig = 16, (3, 5, 0), changes, next, Reconfig<'a> => Data<'a>;
            /// Check whether there is a watch.
            CheckWatches = 17, (3, 5, 0), reads, next, CheckWatches<'a> => Nothing;
            /// Remove watches.
            RemoveWatches = 18, (3, 5, 0), reads, next, RemoveWatches<'a> => Nothing;
            /// Create a container.
            CreateContainer = 19, (3, 5, 1), changes, next, CreateContainer<'a> => CreatedStat<'a>;
            /// Create a node with a time to live.
            CreateTtl = 21, (3, 5, 3), changes, next, CreateTtl<'a> => CreatedStat<'a>;
            /// Read several nodes.
            MultiRead = 22, (3, 6, 0), reads, next, MultiRead<'a> => MultiReply<'a>;
            /// Add an identity to the connection.
            Auth = 100, (3, 0, 0), changes, auth, Auth<'a> => Nothing;
            /// Restore the watches of an earlier connection.
            SetWatches = 101, (3, 0, 0), reads, set_watches, SetWatches<'a> => Nothing;
            /// One step of a SASL authentication.
            Sasl = 102, (3, 4, 0), changes, next, Sasl<'a> => SaslToken<'a>;
            /// List the session's ephemeral nodes.
            GetEphemerals = 103, (3, 6, 0), reads, next, GetEphemerals<'a> => Children;
            /// Count the nodes below a node.
            GetAllChildrenNumber = 104, (3, 6, 0), reads, next, GetAllChildrenNumber<'a> => TotalNumber;
            /// Restore the watches of an earlier connection, including persistent ones.
            SetWatches2 = 105, (3, 6, 0), reads, set_watches, SetWatches2<'a> => Nothing;
            /// Watch a node or a tree until further notice.
            AddWatch = 106, (3, 6, 0), reads, next, AddWatch<'a> => ErrorResponse;
            /// List the identities of the connection.
            WhoAmI = 107, (3, 7, 0), reads, next, WhoAmI => Identities<'a>;
            /// End the session.
            CloseSession = -11, (3, 0, 0), changes, next, CloseSession => Nothing;
        }
    };
}

pub(crate) use operations;
