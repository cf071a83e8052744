//! Requests that leave a watch.

use bytes::{Bytes, BytesMut};
use packetizer::{Call, Ticket, TicketOf};

use super::{Session, context::Context};
use crate::{
    error::Error,
    numbers::AddWatchMode,
    request::{AddWatch, Exists, GetChildren, GetChildren2, GetData},
    watches::{Asked, WatchId},
};

/// A request that leaves a watch, and the user that it is for. The record must ask for the watch.
///
/// If the call fails without a reply, [`unwatch`](Session::unwatch) the user.
#[derive(Debug, Clone, Copy)]
pub struct Watching<C> {
    /// The request.
    pub call: C,
    /// Identifies the user's watch.
    pub user: WatchId,
}

/// A request that can leave a watch.
pub trait LeavesWatch: Call<Protocol = Session> {
    /// The path of the watched node.
    fn path(&self) -> &str;

    /// Which watch the request asks for.
    fn asks(&self) -> Asked;

    /// The same as [`Call::encode`], without asking for the watch.
    ///
    /// # Errors
    ///
    /// The same as [`Call::encode`].
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
