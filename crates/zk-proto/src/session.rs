//! A client session's side of a connection: what is sent, whom an answer is for, what it says.
//!
//! ```text
//!   Connecting ──answer with a timeout──► Established
//!        └───────answer without one─────► Refused       nothing may follow
//! ```

use bytes::Bytes;
use packetizer::{Call, Class, Protocol, Ticket};

use crate::{
    code::ErrorCode,
    connect::{ConnectRequest, ConnectResponse, Grant},
    error::Error,
    header::{OpCode, ReplyHeader, RequestHeader},
    ids::{Xid, Xids, Zxid},
    jute::{Reader, Record},
    path,
    reply::{Children, Created, Data, WatcherEvent},
    request::{CloseSession, Create, CreateMode, Delete, Exists, GetChildren, GetData, Ping, SetData},
    stat::Stat,
};

/// The protocol of a client session, for a [`Mux`](packetizer::Mux). One value serves one connection.
///
/// The first call must be a [`ConnectRequest`]; others may follow at once, without waiting for its answer.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    xids: Xids,
    last_zxid: Zxid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Established,
    Refused,
}

/// The queues in which a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The answer to the connect request, which has no header.
    Handshake,
    /// Answers to numbered requests, in order.
    Ordered,
    /// Answers to pings. Some servers answer them ahead of what they still have to do.
    Ping,
}

/// What must be remembered of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// It was the connect request.
    Connect,
    /// It was this operation.
    Operation(OpCode),
}

/// A reply: what was asked for, or why not.
pub type Reply = Result<Body, ErrorCode>;

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// To a connect request: the session, or that there is none (any more).
    Connected(Option<Grant>),
    /// To a create: the path.
    Path(String),
    /// To exists and set.
    Stat(Stat),
    /// To a get.
    Node(Node),
    /// To a list.
    Children(Vec<String>),
    /// To a delete, a ping, a close.
    Nothing,
}

/// A node that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it holds; `None` is null, which is not the same as empty.
    pub data: Option<Bytes>,
    /// Its history.
    pub stat: Stat,
}

impl Node {
    /// What it holds, for those to whom null and empty are the same.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new(Xids::default(), Zxid(0))
    }
}

impl Session {
    /// A connection of a session that has seen transactions up to `last_zxid` on earlier ones; 0 if there were none.
    #[must_use]
    pub const fn new(xids: Xids, last_zxid: Zxid) -> Self {
        Self { phase: Phase::Connecting, xids, last_zxid }
    }

    /// The highest transaction that a *reply* told of. Notifications do not count: one transaction may cause several,
    /// and some servers send them with −1.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// Appends a header and a record. The number is taken last: nothing can fail any more.
    fn encode<'a>(
        &mut self,
        op: OpCode,
        record: &impl Record<'a>,
        frame: &mut Vec<u8>,
    ) -> Result<Ticket<Lane, Option<Xid>, Context>, Error> {
        let (lane, xid) = match op {
            OpCode::Ping => (Lane::Ping, Xid::PING),
            _ => (Lane::Ordered, self.xids.take()),
        };
        RequestHeader { xid, op: op.code() }.encode(frame);
        record.encode(frame);
        Ok(Ticket { lane, tag: Some(xid), context: Context::Operation(op) })
    }
}

impl Protocol for Session {
    type Lane = Lane;
    /// The answer to the connect request carries no number.
    type Tag = Option<Xid>;
    type Context = Context;
    type Reply = Reply;
    type Event = WatcherEvent<'static>;
    type Error = Error;

    fn classify(&mut self, frame: &[u8]) -> Result<Class<Lane, Option<Xid>, WatcherEvent<'static>>, Error> {
        match self.phase {
            Phase::Connecting => return Ok(Class::Reply { lane: Lane::Handshake, tag: None }),
            Phase::Established => {}
            Phase::Refused => return Err(Error::AfterRefusal { len: frame.len() }),
        }
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::decode(&mut reader)?;
        if header.xid == Xid::NOTIFICATION {
            return Ok(Class::Event(WatcherEvent::decode(&mut reader)?.into_owned()));
        }
        self.last_zxid = self.last_zxid.max(header.zxid);
        let lane = if header.xid == Xid::PING { Lane::Ping } else { Lane::Ordered };
        Ok(Class::Reply { lane, tag: Some(header.xid) })
    }

    fn decode(&mut self, context: Context, frame: &[u8]) -> Result<Reply, Error> {
        let mut reader = Reader::new(frame);
        let op = match context {
            Context::Connect => {
                let grant = ConnectResponse::decode(&mut reader)?.grant();
                self.phase = if grant.is_some() { Phase::Established } else { Phase::Refused };
                return Ok(Ok(Body::Connected(grant)));
            }
            Context::Operation(op) => op,
        };
        let header = ReplyHeader::decode(&mut reader)?;
        if let Some(code) = ErrorCode::from_code(header.err) {
            return Ok(Err(code));
        }
        Ok(Ok(match op {
            OpCode::Create => Body::Path(Created::decode(&mut reader)?.path.into_owned()),
            OpCode::Exists | OpCode::SetData => Body::Stat(Stat::decode(&mut reader)?),
            OpCode::GetData => {
                let Data { data, stat } = Data::decode(&mut reader)?;
                Body::Node(Node { data: data.map(Bytes::copy_from_slice), stat })
            }
            OpCode::GetChildren => {
                let names = Children::decode(&mut reader)?.names;
                Body::Children(names.into_iter().map(Into::into).collect())
            }
            OpCode::Delete | OpCode::Ping | OpCode::CloseSession => Body::Nothing,
        }))
    }
}

/// Why a body cannot be of another kind than the call expects.
const KIND: &str = "a reply is decoded as its own request's context says";

impl Call for ConnectRequest<'_> {
    type Protocol = Session;
    /// `None`: there is no such session any more.
    type Reply = Option<Grant>;

    fn encode(&self, _session: &mut Session, frame: &mut Vec<u8>) -> Result<Ticket<Lane, Option<Xid>, Context>, Error> {
        Record::encode(self, frame);
        Ok(Ticket { lane: Lane::Handshake, tag: None, context: Context::Connect })
    }

    fn reply(reply: Reply) -> Option<Grant> {
        let Ok(Body::Connected(grant)) = reply else { unreachable!("{KIND}") };
        grant
    }
}

/// Ties a request record to its operation, to the check of its path, and to its part of [`Body`].
macro_rules! calls {
    ($($request:ty, $op:ident, |$this:ident| $check:expr, $reply:ty, $body:pat => $value:expr;)+) => {$(
        impl Call for $request {
            type Protocol = Session;
            type Reply = Result<$reply, ErrorCode>;

            fn encode(
                &self,
                session: &mut Session,
                frame: &mut Vec<u8>,
            ) -> Result<Ticket<Lane, Option<Xid>, Context>, Error> {
                let $this = self;
                $check?;
                session.encode(OpCode::$op, self, frame)
            }

            fn reply(reply: Reply) -> Self::Reply {
                match reply? {
                    $body => Ok($value),
                    _ => unreachable!("{KIND}"),
                }
            }
        }
    )+};
}

calls! {
    Create<'_>, Create, |this| this.validate(), String, Body::Path(path) => path;
    Delete<'_>, Delete, |this| path::validate(&this.path), (), Body::Nothing => ();
    GetData<'_>, GetData, |this| path::validate(&this.path), Node, Body::Node(node) => node;
    SetData<'_>, SetData, |this| path::validate(&this.path), Stat, Body::Stat(stat) => stat;
    GetChildren<'_>, GetChildren, |this| path::validate(&this.path), Vec<String>, Body::Children(names) => names;
    Ping, Ping, |_this| Ok::<_, Error>(()), (), Body::Nothing => ();
    CloseSession, CloseSession, |_this| Ok::<_, Error>(()), (), Body::Nothing => ();
}

impl Call for Exists<'_> {
    type Protocol = Session;
    /// That a node does not exist is an answer, not an error.
    type Reply = Result<Option<Stat>, ErrorCode>;

    fn encode(&self, session: &mut Session, frame: &mut Vec<u8>) -> Result<Ticket<Lane, Option<Xid>, Context>, Error> {
        path::validate(&self.path)?;
        session.encode(OpCode::Exists, self, frame)
    }

    fn reply(reply: Reply) -> Self::Reply {
        match reply {
            Ok(Body::Stat(stat)) => Ok(Some(stat)),
            Ok(_) => unreachable!("{KIND}"),
            Err(ErrorCode::NoNode) => Ok(None),
            Err(code) => Err(code),
        }
    }
}

impl Create<'_> {
    /// Checks the path as the server will. Flags this crate has no name for are the server's to judge.
    fn validate(&self) -> Result<(), Error> {
        match CreateMode::from_flags(self.flags) {
            Some(mode) if mode.is_sequential() => path::validate_sequential(&self.path),
            _ => path::validate(&self.path),
        }
    }
}
