//! How replies and events find their requests, and what each does to the session.

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Class, ClassOf, Matched, Protocol, Route, Skip, Ticket, TicketOf};

use super::{AuthId, Ending, Expiry, Notification, Session, State, calls::Own};
use crate::{
    code::ErrorCode,
    connect::{ConnectRequest, ConnectResponse, Grant},
    error::Error,
    header::{ReplyHeader, RequestHeader},
    ids::Xid,
    jute::{Reader, Record},
    numbers::EventType,
    op::{OpCode, XidRule},
    reply::WatcherEvent,
    watches::{Asked, Batch, WatchId},
};

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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Context {
    /// It was the connect request.
    Connect,
    /// It was this operation.
    Operation(OpCode),
    /// It leaves a watch.
    Watch {
        /// Which one.
        asked: Asked,
        /// Of which node.
        path: Box<str>,
        /// For which user.
        user: WatchId,
        /// Whether it asked the server for none, because there is a persistent one.
        covered: bool,
    },
    /// It was an authentication that the session remembers.
    Auth {
        /// Which one.
        id: AuthId,
        /// Whether the connection is not ready without it.
        priming: bool,
    },
    /// It asked for the watches of earlier connections.
    Watches,
    /// It removed all watches at a path.
    Unwatch,
    /// It closes another session that was granted instead of this one.
    CloseOther,
}

impl Session {
    /// Appends a header and a record. The number is taken last: nothing can fail any more.
    pub(crate) fn encode<'a>(&mut self, op: OpCode, record: &impl Record<'a>, frame: &mut BytesMut) -> TicketOf<Self> {
        self.encode_with(op, record, Context::Operation(op), frame)
    }

    pub(super) fn encode_with<'a>(
        &mut self,
        op: OpCode,
        record: &impl Record<'a>,
        context: Context,
        frame: &mut BytesMut,
    ) -> TicketOf<Self> {
        let xid = match op.xid() {
            XidRule::Fixed(xid) => xid,
            XidRule::Next => self.xids.take(),
        };
        RequestHeader { xid, op: op.code() }.encode(frame);
        record.encode(frame);
        Ticket { route: Route::Lane { lane: Lane::of(xid), tag: Some(xid) }, context }
    }

    /// Takes note of one reply.
    fn handle_reply(&mut self, context: &mut Context, header: ReplyHeader) {
        self.last_zxid = self.last_zxid.max(header.zxid);
        let code = ErrorCode::from_code(header.err);
        match context {
            Context::Connect => {}
            Context::Operation(OpCode::Ping) => self.timers.handle_pong(),
            Context::Operation(OpCode::CloseSession) if code.is_none() => self.end(Ending::Closed),
            Context::Operation(_) => {}
            Context::CloseOther => self.end_replaced(),
            Context::Watch { asked, path, user, covered } => match asked.registered(code) {
                Some(kind) if *covered => {
                    if !self.watches.handle_covered(*user, path, kind, *asked) {
                        // Since this reply the node may have changed: the server compares.
                        self.own.push_back(Own::Rewatch { batch: Batch::of(kind, path), since: header.zxid });
                    }
                }
                Some(kind) => {
                    let orphan = self.watches.handle_registered(*user, path, kind);
                    self.remove_watches(orphan);
                }
                None => {
                    let orphan = self.watches.forget(*user);
                    self.remove_watches(orphan);
                }
            },
            Context::Auth { id, priming } => {
                let (id, priming) = (*id, *priming);
                match code {
                    None => self.handle_authenticated(id),
                    Some(ErrorCode::AuthFailed) => self.end(Ending::AuthFailed),
                    Some(_) => {}
                }
                if priming {
                    self.handle_primed();
                }
            }
            Context::Watches => self.handle_primed(),
            Context::Unwatch => self.keeps_watches |= code == Some(ErrorCode::Unimplemented),
        }
        match code {
            Some(ErrorCode::SessionExpired) => self.end(Ending::Expired(Expiry::Server)),
            Some(ErrorCode::SessionClosedRequireSaslAuth) => self.end(Ending::AuthFailed),
            _ => {}
        }
    }
}

impl Protocol for Session {
    type Lane = Lane;
    /// The answer to the connect request carries no number.
    type Tag = Option<Xid>;
    type Context = Context;
    type Event = Notification;
    type Error = Error;

    /// Some servers allow nodes of 256 MiB.
    const SKIP: Option<Skip> = Some(Skip { head: ReplyHeader::LEN, max: 256 << 20 });

    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Error> {
        match self.state {
            State::Idle | State::Connecting => {
                return Ok(Class::Reply(Route::Lane { lane: Lane::Handshake, tag: None }));
            }
            State::Priming | State::Live | State::Replaced(_) => {}
            State::Rejected(_) | State::Over(_) => return Err(Error::AfterRefusal { len: frame.len() }),
        }
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::decode(&mut reader)?;
        if header.xid == Xid::NOTIFICATION {
            let event = WatcherEvent::decode(&mut reader)?.into_owned();
            let (users, orphan) = self.watches.handle_event(EventType::from_number(event.kind), &event.path);
            self.remove_watches(orphan);
            return Ok(Class::Event(Notification { event, zxid: header.zxid, users }));
        }
        Ok(Class::Reply(Route::Lane { lane: Lane::of(header.xid), tag: Some(header.xid) }))
    }

    fn settle(&mut self, context: &mut Context, reply: Matched<'_>) -> Result<(), Error> {
        match context {
            Context::Connect => self.handle_handshake(reply.bytes()),
            _ => {
                self.handle_reply(context, ReplyHeader::from_bytes(reply.bytes())?);
                Ok(())
            }
        }
    }
}

impl Call for ConnectRequest<'_> {
    type Protocol = Session;
    /// `None`: there is no such session any more.
    type Reply = Option<Grant>;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        Record::encode(self, frame);
        session.state = State::Connecting;
        Ok(Ticket { route: Route::Lane { lane: Lane::Handshake, tag: None }, context: Context::Connect })
    }

    fn decode(_context: Context, frame: Bytes) -> Result<Option<Grant>, Error> {
        Ok(ConnectResponse::from_bytes(&frame)?.grant())
    }
}
