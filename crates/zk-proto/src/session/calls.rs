//! The calls of a session: its own, and those that leave a watch.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Options, Ticket, TicketOf, Urgency};

use super::{AuthId, Context, Session};
use crate::{
    error::Error,
    ids::Zxid,
    numbers::{AddWatchMode, WatcherType},
    op::OpCode,
    request::{AddWatch, CloseSession, Exists, GetChildren, GetChildren2, GetData, Ping, RemoveWatches},
    watches::{Asked, Batch, WatchId},
};

/// A call that the session needs, whatever its users call. Make it with the [options](Self::options) that it asks for, and
/// admit it whatever the limits.
#[derive(Debug)]
pub struct OwnCall(Own);

#[derive(Debug)]
pub(super) enum Own {
    Connect,
    Auth {
        id: AuthId,
    },
    SetWatches(Batch),
    Unwatch(Arc<str>),
    /// Asks for the watch of a user whose request did not, because it was covered then.
    Rewatch {
        batch: Batch,
        since: Zxid,
    },
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
            Own::Ping | Own::Unwatch(_) | Own::Rewatch { .. } => Urgency::Ahead,
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
                let ticket = session.encode_with(OpCode::RemoveWatches, &record, Context::Unwatch, frame);
                // What is asked of the server later must not count on these watches.
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

    /// As [`Call::encode`], without asking for the watch.
    ///
    /// # Errors
    ///
    /// As [`Call::encode`].
    fn encode_unwatched(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error>;
}

impl<C: LeavesWatch> Call for Watching<C> {
    type Protocol = Session;
    type Reply = C::Reply;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        let (path, asked) = (self.call.path(), self.call.asks());
        let covering = session.watches.covering(path, asked);
        let covered = covering.is_some();
        let ticket =
            if covered { self.call.encode_unwatched(session, frame)? } else { self.call.encode(session, frame)? };
        session.watches.ask(self.user, path, asked, covering);
        let context = Context::Watch { asked, path: path.into(), user: self.user, covered };
        Ok(Ticket { route: ticket.route, context })
    }

    fn decode(context: Context, frame: Bytes) -> Result<C::Reply, Error> {
        C::decode(context, frame)
    }
}

/// Ties records to the watch that they leave.
macro_rules! leave_watches {
    ($($record:ident { $($field:ident: $value:expr),* }, |$this:ident| $asked:expr;)+) => {$(
        impl LeavesWatch for $record<'_> {
            fn path(&self) -> &str {
                &self.path
            }

            fn asks(&self) -> Asked {
                let $this = self;
                $asked
            }

            fn encode_unwatched(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
                let $this = self;
                let record = $record { path: (&*$this.path).into(), $($field: $value),* };
                record.encode(session, frame)
            }
        }
    )+};
}

leave_watches! {
    GetData { watch: false }, |_this| Asked::Data;
    Exists { watch: false }, |_this| Asked::Exists;
    GetChildren { watch: false }, |_this| Asked::Child;
    GetChildren2 { watch: false }, |_this| Asked::Child;
    AddWatch { mode: this.mode }, |this| match AddWatchMode::from_number(this.mode) {
        AddWatchMode::PersistentRecursive => Asked::PersistentRecursive,
        _ => Asked::Persistent,
    };
}
