//! Transactions, and several reads in one request.
//!
//! ```text
//!   request   header(operation, false, −1) record … header(−1, true, −1)
//!   reply     header(type, false, err)     result … header(−1, true, −1)
//! ```

use bytes::BufMut;

use crate::{
    error::Error,
    jute::{Reader, Record, put_boolean, put_int},
    opcode::OpCode,
    reply::{Children, Created, CreatedStat, Data, ErrorResponse},
    request::{Check, Create, Create2, CreateContainer, CreateTtl, Delete, GetChildren, GetData, SetData},
    stat::Stat,
};

/// The type in the header of a failed operation, and in the header after the last one.
const ERROR: i32 = -1;

struct Header {
    kind: i32,
    done: bool,
    err: i32,
}

impl Header {
    const END: Self = Self { kind: ERROR, done: true, err: ERROR };

    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.kind);
        put_boolean(out, self.done);
        put_int(out, self.err);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self { kind: reader.int("type")?, done: reader.boolean("done")?, err: reader.int("err")? })
    }
}

/// Defines which operations a [`Multi`] or a [`MultiRead`] can contain.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($record:ty) = $op:ident;)+) => {
        /// One operation of several.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum MultiOp<'a> {
            $($(#[$doc])* $name($record),)+
        }

        impl<'a> MultiOp<'a> {
            /// Which operation this is.
            #[must_use]
            pub const fn op(&self) -> OpCode {
                match self {
                    $(Self::$name(_) => OpCode::$op,)+
                }
            }

            fn encode(&self, out: &mut impl BufMut) {
                Header { kind: self.op().code(), done: false, err: ERROR }.encode(out);
                match self {
                    $(Self::$name(record) => record.encode(out),)+
                }
            }

            fn decode(kind: i32, reader: &mut Reader<'a>) -> Result<Self, Error> {
                match OpCode::from_code(kind) {
                    $(Some(OpCode::$op) => Record::decode(reader).map(Self::$name),)+
                    _ => Err(Error::Operation { code: kind }),
                }
            }
        }

        $(impl<'a> From<$record> for MultiOp<'a> {
            fn from(record: $record) -> Self {
                Self::$name(record)
            }
        })+
    };
}

operations! {
    /// Creates a node.
    Create(Create<'a>) = Create;
    /// Creates a node, and asks for its [`Stat`].
    Create2(Create2<'a>) = Create2;
    /// Creates a container.
    CreateContainer(CreateContainer<'a>) = CreateContainer;
    /// Creates a node with a time to live.
    CreateTtl(CreateTtl<'a>) = CreateTtl;
    /// Deletes a node.
    Delete(Delete<'a>) = Delete;
    /// Writes a node's data.
    SetData(SetData<'a>) = SetData;
    /// Fails unless a node has this version.
    Check(Check<'a>) = Check;
    /// Reads a node.
    GetData(GetData<'a>) = GetData;
    /// Lists a node's children.
    GetChildren(GetChildren<'a>) = GetChildren;
}

impl MultiOp<'_> {
    /// Whether this operation reads, and so belongs in a [`MultiRead`] and not in a [`Multi`].
    #[must_use]
    pub const fn is_read(&self) -> bool {
        match self {
            Self::GetData(_) | Self::GetChildren(_) => true,
            Self::Create(_)
            | Self::Create2(_)
            | Self::CreateContainer(_)
            | Self::CreateTtl(_)
            | Self::Delete(_)
            | Self::SetData(_)
            | Self::Check(_) => false,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Create(create) => create.check(),
            Self::Create2(create) => create.check(),
            Self::CreateContainer(create) => create.check(),
            Self::CreateTtl(create) => create.check(),
            Self::Delete(Delete { path, .. })
            | Self::SetData(SetData { path, .. })
            | Self::Check(Check { path, .. })
            | Self::GetData(GetData { path, .. })
            | Self::GetChildren(GetChildren { path, .. }) => crate::path::validate(path),
        }
    }
}

/// Records that are lists of operations.
macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $is_read:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name<'a> {
            /// The operations.
            pub ops: Vec<MultiOp<'a>>,
        }

        impl<'a> Record<'a> for $name<'a> {
            fn encode(&self, out: &mut impl BufMut) {
                self.ops.iter().for_each(|op| op.encode(out));
                Header::END.encode(out);
            }

            fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
                let mut ops = Vec::new();
                loop {
                    let header = Header::decode(reader)?;
                    if header.done {
                        return Ok(Self { ops });
                    }
                    ops.push(MultiOp::decode(header.kind, reader)?);
                }
            }
        }

        impl $name<'_> {
            /// Checks that the paths are ones a server accepts, and that every operation is allowed here.
            pub(crate) fn check(&self) -> Result<(), Error> {
                self.ops.iter().try_for_each(|op| {
                    if op.is_read() != $is_read {
                        return Err(Error::Operation { code: op.op().code() });
                    }
                    op.check()
                })
            }
        }
    )+};
}

lists! {
    /// A transaction: either all of its operations take effect, in order and at once, or none does (3.4).
    Multi: false;
    /// Several reads in one request. Each can fail on its own (3.6).
    MultiRead: true;
}

/// The result of one operation of several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultiResult<'a> {
    /// A node was created. Servers up to 3.8 send this for a [`Create2`], too.
    Created(Created<'a>),
    /// A node was created, and its [`Stat`] follows.
    CreatedStat(CreatedStat<'a>),
    /// A node was deleted.
    Deleted,
    /// A node was written.
    Set(Stat),
    /// The node has the version that the request named.
    Checked,
    /// A node was read.
    Data(Data<'a>),
    /// A node's children were listed.
    Children(Children),
    /// The operation failed, with the number of an [`ErrorCode`](crate::ErrorCode). In a transaction, 0 marks the
    /// operations before the failed one, which were not executed, and −2 marks those after it.
    Error(i32),
}

impl<'a> MultiResult<'a> {
    const fn kind(&self) -> i32 {
        match self {
            Self::Created(_) => OpCode::Create.code(),
            Self::CreatedStat(_) => OpCode::Create2.code(),
            Self::Deleted => OpCode::Delete.code(),
            Self::Set(_) => OpCode::SetData.code(),
            Self::Checked => OpCode::Check.code(),
            Self::Data(_) => OpCode::GetData.code(),
            Self::Children(_) => OpCode::GetChildren.code(),
            Self::Error(_) => ERROR,
        }
    }

    fn encode(&self, out: &mut impl BufMut) {
        let err = if let Self::Error(err) = self { *err } else { 0 };
        Header { kind: self.kind(), done: false, err }.encode(out);
        match self {
            Self::Created(created) => created.encode(out),
            Self::CreatedStat(created) => created.encode(out),
            Self::Deleted | Self::Checked => {}
            Self::Set(stat) => stat.encode(out),
            Self::Data(data) => data.encode(out),
            Self::Children(children) => children.encode(out),
            Self::Error(err) => ErrorResponse { err: *err }.encode(out),
        }
    }

    /// The type in the server's header decides, which is not always the type of the request.
    fn decode(header: &Header, reader: &mut Reader<'a>) -> Result<Self, Error> {
        if header.kind == ERROR {
            return Ok(Self::Error(ErrorResponse::decode(reader)?.err));
        }
        Ok(match OpCode::from_code(header.kind) {
            Some(OpCode::Create) => Self::Created(Record::decode(reader)?),
            Some(OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) => {
                Self::CreatedStat(Record::decode(reader)?)
            }
            Some(OpCode::Delete) => Self::Deleted,
            Some(OpCode::SetData) => Self::Set(Record::decode(reader)?),
            Some(OpCode::Check) => Self::Checked,
            Some(OpCode::GetData) => Self::Data(Record::decode(reader)?),
            Some(OpCode::GetChildren) => Self::Children(Record::decode(reader)?),
            _ => return Err(Error::Operation { code: header.kind }),
        })
    }
}

/// The reply to [`Multi`] and [`MultiRead`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiReply<'a> {
    /// One result for each operation, in order.
    pub results: Vec<MultiResult<'a>>,
}

impl<'a> Record<'a> for MultiReply<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        self.results.iter().for_each(|result| result.encode(out));
        Header::END.encode(out);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut results = Vec::new();
        loop {
            let header = Header::decode(reader)?;
            if header.done {
                return Ok(Self { results });
            }
            results.push(MultiResult::decode(&header, reader)?);
        }
    }
}
