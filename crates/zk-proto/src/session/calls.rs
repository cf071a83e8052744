//! How a session's calls are encoded: those of its users, and its own.

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Route, Ticket, TicketOf};

use super::{
    Session, State,
    auth::{AddAuth, AuthId},
    context::{Context, Lane},
    own::{Own, OwnCall},
};
use crate::{
    connect::{ConnectRequest, ConnectResponse, Grant},
    error::Error,
    header::{ReplyHeader, RequestHeader},
    jute::Record,
    numbers::WatcherType,
    opcode::{OpCode, XidRule},
    request::{CloseSession, Ping, RemoveWatches},
};

impl Session {
    /// The next call to make. Call this until it returns `None`, before you ask the mux for bytes to write.
    pub fn poll_call(&mut self) -> Option<OwnCall> {
        self.own.pop_front().map(OwnCall)
    }

    /// Remembers an authentication for the next connection without sending it now. Adding the same one twice has no
    /// effect.
    pub fn add_auth(&mut self, auth: &AddAuth<'_>) {
        self.auths.add(auth);
    }

    /// Appends a header and a record. The xid is taken last, when nothing can fail any more.
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

    fn encode_auth(&mut self, id: AuthId, priming: bool, frame: &mut BytesMut) -> Result<TicketOf<Self>, Error> {
        // Taken out during encoding, which borrows the whole session.
        let auths = std::mem::take(&mut self.auths);
        let context = Context::Auth { id, priming };
        let ticket = auths.request(id).map(|record| self.encode_with(OpCode::Auth, &record, context, frame));
        self.auths = auths;
        ticket.ok_or(Error::NothingToSend)
    }
}

impl Call for ConnectRequest<'_> {
    type Protocol = Session;
    /// `None`: the session does not exist, or has expired.
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

impl Call for AddAuth<'_> {
    type Protocol = Session;
    type Reply = ();

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        session.add_auth(self);
        session.encode_auth(self.id, false, frame)
    }

    fn decode(_context: Context, frame: Bytes) -> Result<(), Error> {
        ReplyHeader::from_bytes(&frame).map(drop)
    }
}

impl Call for OwnCall {
    type Protocol = Session;
    /// The session has already acted on the reply.
    type Reply = ();

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        match &self.0 {
            Own::Connect => Call::encode(&session.connect_request(), session, frame),
            Own::Auth { id } => session.encode_auth(*id, true, frame),
            Own::SetWatches(batch) => {
                let (zxid, context) = (session.last_zxid, Context::Watches);
                Ok(if batch.is_persistent() {
                    session.encode_with(OpCode::SetWatches2, &batch.all(zxid), context, frame)
                } else {
                    session.encode_with(OpCode::SetWatches, &batch.one_shot(zxid), context, frame)
                })
            }
            Own::Unwatch(path) => {
                if !session.watches.is_orphan(path) {
                    // In the meantime, the path has a user again.
                    return Err(Error::NothingToSend);
                }
                let record = RemoveWatches { path: (&**path).into(), kind: WatcherType::Any.number() };
                let ticket = session.encode_with(OpCode::RemoveWatches, &record, Context::Unwatch, frame);
                // Later requests must not rely on these watches.
                session.watches.handle_removed(path);
                Ok(ticket)
            }
            Own::Rewatch { batch, since } => Ok(session.encode(OpCode::SetWatches, &batch.one_shot(*since), frame)),
            Own::Ping => Ok(session.encode(OpCode::Ping, &Ping, frame)),
            Own::CloseOther => Ok(session.encode_with(OpCode::CloseSession, &CloseSession, Context::CloseOther, frame)),
        }
    }

    fn decode(_context: Context, _frame: Bytes) -> Result<(), Error> {
        Ok(())
    }
}
