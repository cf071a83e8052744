//! A client session's side of a connection: what is sent, whom an answer is for, what it says.
//!
//! ```text
//!   Connecting ──answer with a timeout──► Established
//!        └───────answer without one─────► Refused       nothing may follow
//! ```

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Class, ClassOf, Matched, Protocol, Route, Skip, Ticket, TicketOf};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    fn encode<'a>(&mut self, op: OpCode, record: &impl Record<'a>, frame: &mut BytesMut) -> TicketOf<Self> {
        let (lane, xid) = match op {
            OpCode::Ping => (Lane::Ping, Xid::PING),
            _ => (Lane::Ordered, self.xids.take()),
        };
        RequestHeader { xid, op: op.code() }.encode(frame);
        record.encode(frame);
        Ticket { route: Route::Lane { lane, tag: Some(xid) }, context: Context::Operation(op) }
    }
}

impl Protocol for Session {
    type Lane = Lane;
    /// The answer to the connect request carries no number.
    type Tag = Option<Xid>;
    type Context = Context;
    type Event = WatcherEvent<'static>;
    type Error = Error;

    /// Some servers allow nodes of 256 MiB.
    const SKIP: Option<Skip> = Some(Skip { head: ReplyHeader::LEN, max: 256 << 20 });

    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Error> {
        match self.phase {
            Phase::Connecting => return Ok(Class::Reply(Route::Lane { lane: Lane::Handshake, tag: None })),
            Phase::Established => {}
            Phase::Refused => return Err(Error::AfterRefusal { len: frame.len() }),
        }
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::decode(&mut reader)?;
        if header.xid == Xid::NOTIFICATION {
            return Ok(Class::Event(WatcherEvent::decode(&mut reader)?.into_owned()));
        }
        let lane = if header.xid == Xid::PING { Lane::Ping } else { Lane::Ordered };
        Ok(Class::Reply(Route::Lane { lane, tag: Some(header.xid) }))
    }

    fn settle(&mut self, context: &mut Context, reply: Matched<'_>) -> Result<(), Error> {
        match context {
            Context::Connect => {
                let granted = ConnectResponse::from_bytes(reply.bytes())?.grant().is_some();
                self.phase = if granted { Phase::Established } else { Phase::Refused };
            }
            Context::Operation(_) => {
                self.last_zxid = self.last_zxid.max(ReplyHeader::from_bytes(reply.bytes())?.zxid);
            }
        }
        Ok(())
    }
}

impl Call for ConnectRequest<'_> {
    type Protocol = Session;
    /// `None`: there is no such session any more.
    type Reply = Option<Grant>;

    fn encode(&self, _session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        Record::encode(self, frame);
        Ok(Ticket { route: Route::Lane { lane: Lane::Handshake, tag: None }, context: Context::Connect })
    }

    fn decode(_context: Context, frame: Bytes) -> Result<Option<Grant>, Error> {
        Ok(ConnectResponse::from_bytes(&frame)?.grant())
    }
}

/// Reads the header of a reply, and its body where the server did not refuse.
fn read<T>(
    frame: &Bytes,
    body: impl FnOnce(&mut Reader<'_>) -> Result<T, Error>,
) -> Result<Result<T, ErrorCode>, Error> {
    let mut reader = Reader::new(frame);
    match ErrorCode::from_code(ReplyHeader::decode(&mut reader)?.err) {
        Some(code) => Ok(Err(code)),
        None => body(&mut reader).map(Ok),
    }
}

/// Ties a request record to its operation, to the check of its path, and to what its reply says.
macro_rules! calls {
    ($($request:ty, $op:ident, |$this:ident| $check:expr, $reply:ty, |$reader:ident| $value:expr;)+) => {$(
        impl Call for $request {
            type Protocol = Session;
            type Reply = Result<$reply, ErrorCode>;

            fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
                let $this = self;
                $check?;
                Ok(session.encode(OpCode::$op, self, frame))
            }

            fn decode(_context: Context, frame: Bytes) -> Result<Self::Reply, Error> {
                read(&frame, |$reader| $value)
            }
        }
    )+};
}

calls! {
    Create<'_>, Create, |this| this.validate(), String, |reader| Ok(Created::decode(reader)?.path.into_owned());
    Delete<'_>, Delete, |this| path::validate(&this.path), (), |_reader| Ok(());
    GetData<'_>, GetData, |this| path::validate(&this.path), Node, |reader| Node::decode(reader);
    SetData<'_>, SetData, |this| path::validate(&this.path), Stat, |reader| Stat::decode(reader);
    GetChildren<'_>, GetChildren, |this| path::validate(&this.path), Vec<String>,
        |reader| Ok(Children::decode(reader)?.names.into_iter().map(Into::into).collect());
    Ping, Ping, |_this| Ok::<_, Error>(()), (), |_reader| Ok(());
    CloseSession, CloseSession, |_this| Ok::<_, Error>(()), (), |_reader| Ok(());
}

impl Call for Exists<'_> {
    type Protocol = Session;
    /// That a node does not exist is an answer, not an error.
    type Reply = Result<Option<Stat>, ErrorCode>;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        path::validate(&self.path)?;
        Ok(session.encode(OpCode::Exists, self, frame))
    }

    fn decode(_context: Context, frame: Bytes) -> Result<Self::Reply, Error> {
        Ok(match read(&frame, stat)? {
            Ok(stat) => Ok(Some(stat)),
            Err(ErrorCode::NoNode) => Ok(None),
            Err(code) => Err(code),
        })
    }
}

fn stat(reader: &mut Reader<'_>) -> Result<Stat, Error> {
    Stat::decode(reader)
}

impl Node {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let Data { data, stat } = Data::decode(reader)?;
        Ok(Self { data: data.map(Bytes::copy_from_slice), stat })
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
