//! The operations as calls: each request is tied to the type of its answer.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, TicketOf};

use crate::{
    acl::Acl,
    code::ErrorCode,
    error::Error,
    header::ReplyHeader,
    jute::{Reader, Record},
    multi::{Multi, MultiRead, MultiReply, MultiResult},
    names::Names,
    node::{Node, payload},
    opcode::OpCode,
    path,
    reply::{
        AclStat, Children, ChildrenStat, ClientInfo, Created, CreatedStat, Data, ErrorResponse, Identities, SaslToken,
        Synced, TotalNumber,
    },
    request::{
        AddWatch, Auth, CheckWatches, CloseSession, Create, Create2, CreateContainer, CreateTtl, Delete, Exists,
        GetAcl, GetAllChildrenNumber, GetChildren, GetChildren2, GetData, GetEphemerals, Nothing, Ping, Reconfig,
        RemoveWatches, Sasl, SetAcl, SetData, SetWatches, SetWatches2, Sync, WhoAmI,
    },
    session::{Context, Session},
    stat::Stat,
};

/// The result of one operation of a [`Multi`] or [`MultiRead`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A node was created at this path. Servers up to 3.8 do not send the [`Stat`].
    Created(String, Option<Stat>),
    /// A node was deleted.
    Deleted,
    /// A node was written.
    Set(Stat),
    /// The node has the version that the request named.
    Checked,
    /// A node was read.
    Node(Node),
    /// A node's children were listed.
    Children(Names),
    /// The operation was not executed, because another operation of the transaction failed.
    NotExecuted,
    /// The operation failed.
    Failed(ErrorCode),
}

impl Outcome {
    fn new(result: MultiResult<'_>, frame: &Bytes) -> Self {
        match result {
            MultiResult::Created(Created { path }) => Self::Created(path.into_owned(), None),
            MultiResult::CreatedStat(CreatedStat { path, stat }) => Self::Created(path.into_owned(), Some(stat)),
            MultiResult::Deleted => Self::Deleted,
            MultiResult::Set(stat) => Self::Set(stat),
            MultiResult::Checked => Self::Checked,
            MultiResult::Data(data) => Self::Node(Node::new(&data, frame)),
            MultiResult::Children(Children { names }) => Self::Children(names.unwrap_or_default()),
            MultiResult::Error(err) => match ErrorCode::from_code(err) {
                None | Some(ErrorCode::RuntimeInconsistency) => Self::NotExecuted,
                Some(code) => Self::Failed(code),
            },
        }
    }
}

fn outcomes(reply: MultiReply<'_>, frame: &Bytes) -> Vec<Outcome> {
    reply.results.into_iter().map(|result| Outcome::new(result, frame)).collect()
}

/// Ties a request to its operation, to the check of what a server would reject, and to the value that its reply
/// carries.
macro_rules! calls {
    ($($request:ty, $op:ident, |$this:ident| $check:expr, $wire:ty as $reply:ty, |$said:ident, $frame:ident| $value:expr;)+) => {$(
        impl Call for $request {
            type Protocol = Session;
            type Reply = Result<$reply, ErrorCode>;

            fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
                let $this = self;
                $check?;
                Ok(session.encode(OpCode::$op, self, frame))
            }

            fn decode(_context: Context, frame: Bytes) -> Result<Self::Reply, Error> {
                let mut reader = Reader::new(&frame);
                let $said = match ErrorCode::from_code(ReplyHeader::decode(&mut reader)?.err) {
                    Some(code) => Err(code),
                    None => Ok(<$wire as Record<'_>>::decode(&mut reader)?),
                };
                let $frame = &frame;
                let _ = $frame;
                Ok($value)
            }
        }
    )+};
}

/// Nothing to check.
const fn any() -> Result<(), Error> {
    Ok(())
}

calls! {
    Create<'_>, Create, |this| this.check(), Created<'_> as String, |said, _frame| said.map(|new| new.path.into_owned());
    Create2<'_>, Create2, |this| this.check(), CreatedStat<'_> as (String, Stat),
        |said, _frame| said.map(|new| (new.path.into_owned(), new.stat));
    CreateContainer<'_>, CreateContainer, |this| this.check(), CreatedStat<'_> as (String, Stat),
        |said, _frame| said.map(|new| (new.path.into_owned(), new.stat));
    CreateTtl<'_>, CreateTtl, |this| this.check(), CreatedStat<'_> as (String, Stat),
        |said, _frame| said.map(|new| (new.path.into_owned(), new.stat));
    Delete<'_>, Delete, |this| path::validate(&this.path), Nothing as (), |said, _frame| said.map(|Nothing| ());
    // A node that does not exist is an answer, not an error.
    Exists<'_>, Exists, |this| path::validate(&this.path), Stat as Option<Stat>, |said, _frame| match said {
        Ok(stat) => Ok(Some(stat)),
        Err(ErrorCode::NoNode) => Ok(None),
        Err(code) => Err(code),
    };
    GetData<'_>, GetData, |this| path::validate(&this.path), Data<'_> as Node,
        |said, frame| said.map(|data| Node::new(&data, frame));
    SetData<'_>, SetData, |this| path::validate(&this.path), Stat as Stat, |said, _frame| said;
    GetAcl<'_>, GetAcl, |this| path::validate(&this.path), AclStat<'_> as (Vec<Acl<'static>>, Stat),
        |said, _frame| said.map(|AclStat { acl, stat }| (owned(acl, Acl::into_owned), stat));
    SetAcl<'_>, SetAcl, |this| path::validate(&this.path), Stat as Stat, |said, _frame| said;
    GetChildren<'_>, GetChildren, |this| path::validate(&this.path), Children as Names,
        |said, _frame| said.map(|children| children.names.unwrap_or_default());
    GetChildren2<'_>, GetChildren2, |this| path::validate(&this.path), ChildrenStat as (Names, Stat),
        |said, _frame| said.map(|children| (children.names.unwrap_or_default(), children.stat));
    Sync<'_>, Sync, |_this| any(), Synced<'_> as (), |said, _frame| said.map(drop);
    Ping, Ping, |_this| any(), Nothing as (), |said, _frame| said.map(|Nothing| ());
    Multi<'_>, Multi, |this| this.check(), MultiReply<'_> as Vec<Outcome>,
        |said, frame| said.map(|reply| outcomes(reply, frame));
    MultiRead<'_>, MultiRead, |this| this.check(), MultiReply<'_> as Vec<Outcome>,
        |said, frame| said.map(|reply| outcomes(reply, frame));
    Reconfig<'_>, Reconfig, |_this| any(), Data<'_> as Node, |said, frame| said.map(|data| Node::new(&data, frame));
    // A watch that does not exist is an answer, not an error.
    CheckWatches<'_>, CheckWatches, |this| path::validate(&this.path), Nothing as bool, |said, _frame| match said {
        Ok(Nothing) => Ok(true),
        Err(ErrorCode::NoWatcher) => Ok(false),
        Err(code) => Err(code),
    };
    RemoveWatches<'_>, RemoveWatches, |this| path::validate(&this.path), Nothing as bool, |said, _frame| match said {
        Ok(Nothing) => Ok(true),
        Err(ErrorCode::NoWatcher) => Ok(false),
        Err(code) => Err(code),
    };
    Auth<'_>, Auth, |_this| any(), Nothing as (), |said, _frame| said.map(|Nothing| ());
    SetWatches<'_>, SetWatches, |_this| any(), Nothing as (), |said, _frame| said.map(|Nothing| ());
    SetWatches2<'_>, SetWatches2, |_this| any(), Nothing as (), |said, _frame| said.map(|Nothing| ());
    Sasl<'_>, Sasl, |_this| any(), SaslToken<'_> as Option<Bytes>,
        |said, frame| said.map(|said| said.token.map(|token| payload(token, frame)));
    GetEphemerals<'_>, GetEphemerals, |_this| any(), Children as Names,
        |said, _frame| said.map(|children| children.names.unwrap_or_default());
    GetAllChildrenNumber<'_>, GetAllChildrenNumber, |this| path::validate(&this.path), TotalNumber as i32,
        |said, _frame| said.map(|number| number.total);
    AddWatch<'_>, AddWatch, |this| path::validate(&this.path), ErrorResponse as (), |said, _frame| match said {
        Ok(ErrorResponse { err }) => ErrorCode::from_code(err).map_or(Ok(()), Err),
        Err(code) => Err(code),
    };
    WhoAmI, WhoAmI, |_this| any(), Identities<'_> as Vec<ClientInfo<'static>>,
        |said, _frame| said.map(|who| owned(who.identities, ClientInfo::into_owned));
    CloseSession, CloseSession, |_this| any(), Nothing as (), |said, _frame| said.map(|Nothing| ());
}

/// A list with its own copies. The caller does not distinguish null from empty.
fn owned<T: Clone, U>(list: Option<Cow<'_, [T]>>, own: impl Fn(T) -> U) -> Vec<U> {
    list.map(Cow::into_owned).unwrap_or_default().into_iter().map(own).collect()
}
