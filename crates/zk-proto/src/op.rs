//! Requests and replies of any operation, as enums.

use crate::{
    error::Error,
    jute::{Reader, Record},
    multi::{Multi, MultiRead, MultiReply},
    opcode::OpCode,
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
    table::operations,
};

/// A request record, with its operation.
pub trait Operation {
    /// The operation that it requests.
    const OP: OpCode;
}

macro_rules! records {
    ($($(#[$doc:meta])* $op:ident = $code:literal, ($major:literal, $minor:literal, $patch:literal), $changes:ident, $xid:ident,
        $request:ty => $reply:ty;)+) => {
        /// Any request, without its header. For servers and for tools that decode captured traffic.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Request<'a> {
            $($(#[$doc])* $op($request),)+
        }

        impl<'a> Request<'a> {
            /// The operation that it requests.
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
            /// The same as [`Record::decode`].
            pub fn decode(op: OpCode, reader: &mut Reader<'a>) -> Result<Self, Error> {
                match op {
                    $(OpCode::$op => Record::decode(reader).map(Self::$op),)+
                }
            }
        }

        /// The reply to any request that did not fail, without its header. For servers and for tools that decode
        /// captured traffic.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Response<'a> {
            $($(#[$doc])* $op($reply),)+
        }

        impl<'a> Response<'a> {
            /// The operation that was requested.
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
            /// The same as [`Record::decode`].
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

operations!(records);
