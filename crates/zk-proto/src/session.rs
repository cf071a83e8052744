//! A client session's side of a connection: what is sent, whom an answer is for, what it says.
//!
//! ```text
//!   Connecting ──answer with a timeout──► Established
//!        └───────answer without one─────► Refused       nothing may follow
//! ```

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Class, ClassOf, Matched, Protocol, Route, Skip, Ticket, TicketOf};

use crate::{
    connect::{ConnectRequest, ConnectResponse, Grant},
    error::Error,
    header::{ReplyHeader, RequestHeader},
    ids::{Xid, Xids, Zxid},
    jute::{Reader, Record},
    op::{OpCode, XidRule},
    reply::WatcherEvent,
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
    /// Answers to authentications, which overtake what was asked before.
    Auth,
    /// Answers to the restoring of watches.
    SetWatches,
}

impl Lane {
    const fn of(xid: Xid) -> Self {
        match xid {
            Xid::PING => Self::Ping,
            Xid::AUTH => Self::Auth,
            Xid::SET_WATCHES => Self::SetWatches,
            _ => Self::Ordered,
        }
    }
}

/// What must be remembered of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// It was the connect request.
    Connect,
    /// It was this operation.
    Operation(OpCode),
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
    pub(crate) fn encode<'a>(&mut self, op: OpCode, record: &impl Record<'a>, frame: &mut BytesMut) -> TicketOf<Self> {
        let xid = match op.xid() {
            XidRule::Fixed(xid) => xid,
            XidRule::Next => self.xids.take(),
        };
        RequestHeader { xid, op: op.code() }.encode(frame);
        record.encode(frame);
        Ticket { route: Route::Lane { lane: Lane::of(xid), tag: Some(xid) }, context: Context::Operation(op) }
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
        Ok(Class::Reply(Route::Lane { lane: Lane::of(header.xid), tag: Some(header.xid) }))
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
