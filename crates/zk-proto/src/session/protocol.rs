//! How replies and events are matched to requests, and how each changes the session.

use packetizer::{Class, ClassOf, Matched, Protocol, Route, Skip};

use super::{
    Session, State,
    context::{Context, Lane},
    event::{Ending, Expiry, Notification, SessionEvent},
    own::Own,
};
use crate::{
    code::ErrorCode,
    error::Error,
    header::ReplyHeader,
    ids::Xid,
    jute::{Reader, Record},
    numbers::EventType,
    opcode::OpCode,
    reply::WatcherEvent,
    watches::Batch,
};

impl Session {
    /// Handles one reply.
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
                        // The node may have changed since this reply. The server compares.
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
                    None if self.auths.is_news(id) => self.events.push_back(SessionEvent::Authenticated(id)),
                    None => {}
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
    /// The reply to the connect request carries no number.
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
            State::Rejected(_) | State::Over(_) => return Err(Error::AfterRejection { len: frame.len() }),
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
