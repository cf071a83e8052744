//! The calls of a session: its own, and those that leave a watch.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Options, Ticket, TicketOf, Urgency};

use super::{AuthId, Context, Session};
use crate::{
    code::ErrorCode,
    error::Error,
    numbers::{AddWatchMode, WatcherType},
    op::OpCode,
    request::{AddWatch, CloseSession, Exists, GetChildren, GetChildren2, GetData, Ping, RemoveWatches},
    watches::{Batch, WatchId, WatchKind},
};

/// A call that the session needs, whatever its users call. Make it with the [options](Self::options) that it asks for, and
/// admit it whatever the limits.
#[derive(Debug)]
pub struct OwnCall(Own);

#[derive(Debug)]
pub(super) enum Own {
    Connect,
    Auth { id: AuthId },
    SetWatches(Batch),
    Unwatch(Arc<str>),
    Ping,
    CloseOther,
}

impl OwnCall {
    /// Its place among the calls.
    #[must_use]
    pub const fn options(&self) -> Options {
        let urgency = match self.0 {
            Own::Connect | Own::Auth { .. } | Own::SetWatches(_) | Own::CloseOther => Urgency::Priming,
            // They belong to this connection: the next one begins without watches that have no user.
            Own::Ping | Own::Unwatch(_) => Urgency::Ahead,
        };
        Options::new().with_urgency(urgency).beyond_limits()
    }
}

impl Session {
    /// The next call to make. Ask until there is none, before the mux is asked for bytes to write.
    pub fn poll_call(&mut self) -> Option<OwnCall> {
        self.own.pop_front().map(OwnCall)
    }
}

impl Call for OwnCall {
    type Protocol = Session;
    /// What it says, the session knows already.
    type Reply = ();

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        match &self.0 {
            Own::Connect => Call::encode(&session.connect_request(), session, frame),
            Own::Auth { id } => session.encode_auth(*id, true, frame).ok_or(Error::NothingToSend),
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
                    // In the meantime there is a user again.
                    return Err(Error::NothingToSend);
                }
                let record = RemoveWatches { path: (&**path).into(), kind: WatcherType::Any.number() };
                Ok(session.encode_with(OpCode::RemoveWatches, &record, Context::Unwatch(Arc::clone(path)), frame))
            }
            Own::Ping => Ok(session.encode(OpCode::Ping, &Ping, frame)),
            Own::CloseOther => Ok(session.encode_with(OpCode::CloseSession, &CloseSession, Context::CloseOther, frame)),
        }
    }

    fn decode(_context: Context, _frame: Bytes) -> Result<(), Error> {
        Ok(())
    }
}

/// A request that leaves a watch, with the user it is for. The record must ask for the watch.
///
/// If the call fails without a reply, [`unwatch`](Session::unwatch) the user.
#[derive(Debug, Clone, Copy)]
pub struct Watching<C> {
    /// The request.
    pub call: C,
    /// Names the user's watch.
    pub user: WatchId,
}

/// A request that can leave a watch: which one, and where.
pub trait LeavesWatch: Call<Protocol = Session> {
    /// Which node is watched.
    fn path(&self) -> &str;

    /// What is asked for.
    fn asks(&self) -> Asked;
}

/// Which watch a request leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// One event about the node's data.
    Data,
    /// One event about the node's data, or about its creation where there is none.
    Exists,
    /// One event about the node's list of children.
    Child,
    /// Every event about the node and its list of children.
    Persistent,
    /// Every event about the node and the nodes below it.
    PersistentRecursive,
}

impl Asked {
    /// The kind of watch that the server has registered, by what it replied; `None` if it has not.
    #[must_use]
    pub const fn registered(self, code: Option<ErrorCode>) -> Option<WatchKind> {
        match (self, code) {
            (Self::Data | Self::Exists, None) => Some(WatchKind::Data),
            (Self::Exists, Some(ErrorCode::NoNode)) => Some(WatchKind::Exist),
            (Self::Child, None) => Some(WatchKind::Child),
            (Self::Persistent, None) => Some(WatchKind::Persistent),
            (Self::PersistentRecursive, None) => Some(WatchKind::PersistentRecursive),
            _ => None,
        }
    }
}

impl<C: LeavesWatch> Call for Watching<C> {
    type Protocol = Session;
    type Reply = C::Reply;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        let ticket = self.call.encode(session, frame)?;
        let path = self.call.path();
        session.watches.ask(self.user, path);
        let context = Context::Watch { asked: self.call.asks(), path: path.into(), user: self.user };
        Ok(Ticket { route: ticket.route, context })
    }

    fn decode(context: Context, frame: Bytes) -> Result<C::Reply, Error> {
        C::decode(context, frame)
    }
}

/// Ties records to the watch that they leave.
macro_rules! leave_watches {
    ($($record:ty, |$this:ident| $asked:expr;)+) => {$(
        impl LeavesWatch for $record {
            fn path(&self) -> &str {
                &self.path
            }

            fn asks(&self) -> Asked {
                let $this = self;
                $asked
            }
        }
    )+};
}

leave_watches! {
    GetData<'_>, |_this| Asked::Data;
    Exists<'_>, |_this| Asked::Exists;
    GetChildren<'_>, |_this| Asked::Child;
    GetChildren2<'_>, |_this| Asked::Child;
    AddWatch<'_>, |this| match AddWatchMode::from_number(this.mode) {
        AddWatchMode::PersistentRecursive => Asked::PersistentRecursive,
        _ => Asked::Persistent,
    };
}
