//! The table of operations: all that is to be known of each, once.
//!
//! From it come [`OpCode`], the records of both directions by operation ([`Request`], [`Response`]), and the
//! [calls](crate::Session) of a client.

use crate::{
    error::Error,
    ids::Xid,
    jute::{Reader, Record},
    multi::{Multi, MultiRead, MultiReply},
    reply::{
        AclStat, Children, ChildrenStat, Created, CreatedStat, Data, ErrorResponse, Identities, SaslToken, Synced,
        TotalNumber,
    },
    request::{
        AddWatch, Auth, Check, CheckWatches, CloseSession, Create, Create2, CreateContainer, CreateTtl, Delete, Exists,
        GetAcl, GetAllChildrenNumber, GetChildren, GetChildren2, GetData, GetEphemerals, Nothing, Ping, Reconfig,
        RemoveWatches, Sasl, SetAcl, SetData, SetWatches, SetWatches2, Sync, WhoAmI,
    },
    stat::Stat,
};

/// Which number a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XidRule {
    /// The next one.
    Next,
    /// Always this one.
    Fixed(Xid),
}

/// A release of ZooKeeper: the first that knows an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// 3 in 3.5.1.
    pub major: u8,
    /// 5 in 3.5.1.
    pub minor: u8,
    /// 1 in 3.5.1.
    pub patch: u8,
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Whether an operation changes the tree.
macro_rules! changes {
    (reads) => {
        false
    };
    (changes) => {
        true
    };
}

macro_rules! xid {
    (next) => {
        XidRule::Next
    };
    (ping) => {
        XidRule::Fixed(Xid::PING)
    };
    (auth) => {
        XidRule::Fixed(Xid::AUTH)
    };
    (set_watches) => {
        XidRule::Fixed(Xid::SET_WATCHES)
    };
}

macro_rules! operations {
    ($($(#[$doc:meta])* $op:ident = $code:literal, ($major:literal, $minor:literal, $patch:literal), $changes:ident, $xid:ident,
        $request:ty => $reply:ty;)+) => {
        /// What is asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum OpCode {
            $($(#[$doc])* $op,)+
        }

        impl OpCode {
            /// Every operation.
            pub const ALL: &'static [Self] = &[$(Self::$op,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i32 {
                match self {
                    $(Self::$op => $code,)+
                }
            }

            /// The operation with this number, if it is one of these.
            #[must_use]
            pub const fn from_code(code: i32) -> Option<Self> {
                Some(match code {
                    $($code => Self::$op,)+
                    _ => return None,
                })
            }

            /// Its name, as this crate writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$op => stringify!($op),)+
                }
            }

            /// Whether it changes the tree or the session, so that repeating it may make a difference.
            #[must_use]
            pub const fn changes(self) -> bool {
                match self {
                    $(Self::$op => changes!($changes),)+
                }
            }

            /// The first release that knows it. Others answer `Unimplemented` and close the connection.
            #[must_use]
            pub const fn since(self) -> Release {
                match self {
                    $(Self::$op => Release { major: $major, minor: $minor, patch: $patch },)+
                }
            }

            /// Which number a request carries.
            #[must_use]
            pub const fn xid(self) -> XidRule {
                match self {
                    $(Self::$op => xid!($xid),)+
                }
            }
        }

        /// Any request, without its header: for servers, and for what listens in.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Request<'a> {
            $($(#[$doc])* $op($request),)+
        }

        impl<'a> Request<'a> {
            /// What it asks for.
            #[must_use]
            pub const fn op(&self) -> OpCode {
                match self {
                    $(Self::$op(_) => OpCode::$op,)+
                }
            }

            /// Appends the record.
            pub fn encode(&self, out: &mut impl bytes::BufMut) {
                match self {
                    $(Self::$op(record) => record.encode(out),)+
                }
            }

            /// Reads the record of this operation.
            ///
            /// # Errors
            ///
            /// As for [`Record::decode`].
            pub fn decode(op: OpCode, reader: &mut Reader<'a>) -> Result<Self, Error> {
                match op {
                    $(OpCode::$op => Record::decode(reader).map(Self::$op),)+
                }
            }
        }

        /// The reply to any request that did not fail, without its header: for servers, and for what listens in.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Response<'a> {
            $($(#[$doc])* $op($reply),)+
        }

        impl<'a> Response<'a> {
            /// What was asked for.
            #[must_use]
            pub const fn op(&self) -> OpCode {
                match self {
                    $(Self::$op(_) => OpCode::$op,)+
                }
            }

            /// Appends the record.
            pub fn encode(&self, out: &mut impl bytes::BufMut) {
                match self {
                    $(Self::$op(record) => record.encode(out),)+
                }
            }

            /// Reads the record of the reply to this operation.
            ///
            /// # Errors
            ///
            /// As for [`Record::decode`].
            pub fn decode(op: OpCode, reader: &mut Reader<'a>) -> Result<Self, Error> {
                match op {
                    $(OpCode::$op => Record::decode(reader).map(Self::$op),)+
                }
            }
        }

        $(impl<'a> Operation for $request {
            const OP: OpCode = OpCode::$op;
        })+
    };
}

/// A request record, with its operation.
pub trait Operation {
    /// What it asks for.
    const OP: OpCode;
}

operations! {
    // name = number, first release, does it change anything, which xid, request => reply
    /// Create a node.
    Create = 1, (3, 0, 0), changes, next, Create<'a> => Created<'a>;
    /// Delete a node.
    Delete = 2, (3, 0, 0), changes, next, Delete<'a> => Nothing;
    /// Does a node exist?
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
    /// Nothing: keep the session alive.
    Ping = 11, (3, 0, 0), reads, ping, Ping => Nothing;
    /// List a node's children, with the node's history.
    GetChildren2 = 12, (3, 3, 0), reads, next, GetChildren2<'a> => ChildrenStat;
    /// Fail unless a node has a version. Only inside a transaction; by itself, servers close the connection.
    Check = 13, (3, 4, 0), reads, next, Check<'a> => Nothing;
    /// Change several nodes at once, or none.
    Multi = 14, (3, 4, 0), changes, next, Multi<'a> => MultiReply<'a>;
    /// Create a node, with its history.
    Create2 = 15, (3, 5, 0), changes, next, Create2<'a> => CreatedStat<'a>;
    /// Change the members of the ensemble.
    Reconfig = 16, (3, 5, 0), changes, next, Reconfig<'a> => Data<'a>;
    /// Is there a watch?
    CheckWatches = 17, (3, 5, 0), reads, next, CheckWatches<'a> => Nothing;
    /// Take watches away.
    RemoveWatches = 18, (3, 5, 0), reads, next, RemoveWatches<'a> => Nothing;
    /// Create a container.
    CreateContainer = 19, (3, 5, 1), changes, next, CreateContainer<'a> => CreatedStat<'a>;
    /// Create a node with a time to live.
    CreateTtl = 21, (3, 5, 3), changes, next, CreateTtl<'a> => CreatedStat<'a>;
    /// Read several nodes.
    MultiRead = 22, (3, 6, 0), reads, next, MultiRead<'a> => MultiReply<'a>;
    /// Add an identity to the connection.
    Auth = 100, (3, 0, 0), changes, auth, Auth<'a> => Nothing;
    /// Watch again what an earlier connection watched.
    SetWatches = 101, (3, 0, 0), reads, set_watches, SetWatches<'a> => Nothing;
    /// One step of an authentication by SASL.
    Sasl = 102, (3, 4, 0), changes, next, Sasl<'a> => SaslToken<'a>;
    /// List the session's ephemeral nodes.
    GetEphemerals = 103, (3, 6, 0), reads, next, GetEphemerals<'a> => Children;
    /// Count the nodes below a node.
    GetAllChildrenNumber = 104, (3, 6, 0), reads, next, GetAllChildrenNumber<'a> => TotalNumber;
    /// Watch again what an earlier connection watched, for good where it was so.
    SetWatches2 = 105, (3, 6, 0), reads, set_watches, SetWatches2<'a> => Nothing;
    /// Watch a node or a tree until further notice.
    AddWatch = 106, (3, 6, 0), reads, next, AddWatch<'a> => ErrorResponse;
    /// Which identities does the connection have?
    WhoAmI = 107, (3, 7, 0), reads, next, WhoAmI => Identities<'a>;
    /// End the session.
    CloseSession = -11, (3, 0, 0), changes, next, CloseSession => Nothing;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_number_of_its_own() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::from_code(op.code()), Some(*op), "{}", op.name());
        }
        // Internal ones (-1, 0, -10, 20), one that was never used (10), those of another product, and nonsense.
        for code in [-1, 0, -10, 10, 20, 500, 997, i32::MIN, i32::MAX] {
            assert_eq!(OpCode::from_code(code), None);
        }
        assert_eq!(OpCode::ALL.len(), 29);
    }

    #[test]
    fn requests_with_numbers_of_their_own_are_those_that_servers_expect() {
        let fixed: Vec<_> = OpCode::ALL
            .iter()
            .filter_map(|op| match op.xid() {
                XidRule::Fixed(xid) => Some((op.name(), xid.0)),
                XidRule::Next => None,
            })
            .collect();
        assert_eq!(fixed, [("Ping", -2), ("Auth", -4), ("SetWatches", -8), ("SetWatches2", -8)]);
    }
}
