//! The calls that a session makes for itself.

use std::sync::Arc;

use packetizer::{Options, Urgency};

use super::auth::AuthId;
use crate::{ids::Zxid, watches::Batch};

/// A call that the session needs regardless of its users. Make it with the [options](Self::options) that it returns,
/// and exempt it from the limits.
#[derive(Debug)]
pub struct OwnCall(pub(super) Own);

#[derive(Debug)]
pub(super) enum Own {
    Connect,
    Auth {
        id: AuthId,
    },
    SetWatches(Batch),
    Unwatch(Arc<str>),
    /// Asks for the watch of a user whose request asked for none, because a persistent watch covered it then.
    Rewatch {
        batch: Batch,
        since: Zxid,
    },
    Ping,
    CloseOther,
}

impl OwnCall {
    /// Where it goes in the order of calls.
    #[must_use]
    pub const fn options(&self) -> Options {
        let urgency = match self.0 {
            Own::Connect | Own::Auth { .. } | Own::SetWatches(_) | Own::CloseOther => Urgency::Priming,
            // These belong to this connection: the next one starts without watches that have no user.
            Own::Ping | Own::Unwatch(_) | Own::Rewatch { .. } => Urgency::Ahead,
        };
        Options::new().with_urgency(urgency).beyond_limits()
    }
}
