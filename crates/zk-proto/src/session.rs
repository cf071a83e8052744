//! A client's session, over all of its connections.
//!
//! ```text
//!                          ┌──────────────── handle_lost ─────────────┬────────────┐
//!                          ▼                                          │            │
//!   new, resume ───────► Idle ──handle_open──► Connecting ─granted─► Priming ──► Live
//!                          │                     │      │  last reply to what the
//!        4/3 of the timeout│        it is over, or      │  connection needs first
//!        without a session │        another was granted │                 │
//!                          ▼                     │      ▼ 16 bytes        │ −112, −115, −124,
//!                        Over ◄──────────────────┤   Rejected             │ or the reply to the close
//!                          ▲                     ▼      │ handle_lost     ▼
//!                          └─ handle_lost ── Replaced   └──► Idle       Over
//! ```
//!
//! [`Session`] is a [`Protocol`](packetizer::Protocol): it lives in a [`Mux`](packetizer::Mux), whose connections come and
//! go, and settles every reply and every event in the order of their arrival. It decides and does nothing: the owner of the
//! connection moves bytes, tells it the time, and makes the calls that it asks for.
//!
//! | tell it | when |
//! |---|---|
//! | [`handle_open`](Session::handle_open), [`handle_lost`](Session::handle_lost) | a stream was opened; it ended |
//! | [`handle_received`](Session::handle_received), [`handle_sent`](Session::handle_sent), [`handle_bytes`](Session::handle_bytes) | frames were handled, bytes were written, bytes arrived |
//! | [`handle_timeout`](Session::handle_timeout) | at [`poll_timeout`](Session::poll_timeout) |
//!
//! | ask it | for |
//! |---|---|
//! | [`poll_call`](Session::poll_call) | calls to make on the mux: before anything else is written, after each of the above |
//! | [`poll_event`](Session::poll_event) | what to tell the user of the session |
//! | [`verdict`](Session::verdict) | whether to keep the connection |

use std::{collections::VecDeque, time::Duration};

use crate::{
    connect::{ConnectRequest, Grant, Password},
    ids::{SessionId, Xids, Zxid},
    watches::{WatchId, Watches},
};

// What a session is made of; none of these knows it.
mod auth;
mod context;
mod event;
mod own;
mod timers;

// What a session does.
mod calls;
mod clock;
mod lifecycle;
mod protocol;
mod watching;

pub use auth::{AddAuth, AuthId};
pub use context::{Context, Lane};
pub use event::{Ending, Expiry, Notification, Resume, SessionEvent, Verdict};
pub use own::OwnCall;
pub use timers::GiveUp;
pub use watching::{LeavesWatch, Watching};

use auth::Auths;
use event::Announced;
use own::Own;
use timers::Timers;

/// A client's session. See the [module](self) page for what it is told and what it is asked.
///
/// It can also be used by hand for a single connection: then make a [`ConnectRequest`] the first call, and the others behind
/// it without waiting for its answer.
#[derive(Debug)]
pub struct Session {
    state: State,
    xids: Xids,
    last_zxid: Zxid,
    /// The timeout to ask for at each connection.
    timeout: Duration,
    grant: Option<Grant>,
    auths: Auths,
    watches: Watches,
    /// Servers do not know the removing of watches before 3.5.
    keeps_watches: bool,
    timers: Timers,
    /// Replies without which the connection is not ready.
    priming: usize,
    own: VecDeque<Own>,
    announced: Announced,
    events: VecDeque<SessionEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// There is no connection.
    Idle,
    /// The connect request was made, and is not answered.
    Connecting,
    /// The server rejected the connection with this code, not the session.
    Rejected(i32),
    /// The session is granted, and authentications and watches are not all confirmed.
    Priming,
    /// Requests are answered.
    Live,
    /// Another session was granted than the one asked for: the other one is being closed.
    Replaced(Ending),
    /// The session has ended.
    Over(Ending),
}

/// The timeout asked for where none is set: as in the examples of Apache's documentation.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Default for Session {
    fn default() -> Self {
        Self::new(Xids::default(), Zxid(0))
    }
}

impl Session {
    /// A session that is to be asked for, of a client that has seen transactions up to `last_zxid`; 0 if there were none.
    #[must_use]
    pub fn new(xids: Xids, last_zxid: Zxid) -> Self {
        Self {
            state: State::Idle,
            xids,
            last_zxid,
            timeout: TIMEOUT,
            grant: None,
            auths: Auths::default(),
            watches: Watches::default(),
            keeps_watches: false,
            timers: Timers::default(),
            priming: 0,
            own: VecDeque::new(),
            announced: Announced::Nothing,
            events: VecDeque::new(),
        }
    }

    /// A session that exists already: this client, or another process, has [left](Self::resumable) it.
    #[must_use]
    pub fn resume(resume: Resume) -> Self {
        let grant =
            Grant { session: resume.session, password: resume.password, timeout: resume.timeout, read_only: false };
        Self { grant: Some(grant), timeout: resume.timeout, ..Self::new(Xids::default(), resume.last_zxid) }
    }

    /// Sets the timeout to ask for, at every connection anew; 10 s by default. The server grants what it thinks fit:
    /// [`grant`](Self::grant).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The session as granted last; `None` before the first time.
    #[must_use]
    pub const fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// What to resume the session with, in this process or in another one; `None` where there is none, or none any more.
    #[must_use]
    pub fn resumable(&self) -> Option<Resume> {
        let grant = self.grant.as_ref().filter(|_| self.ending().is_none())?;
        Some(Resume {
            session: grant.session,
            password: grant.password.clone(),
            timeout: self.timeout,
            last_zxid: self.last_zxid,
        })
    }

    /// The highest transaction that a *reply* told of. Notifications do not count: one transaction may cause several,
    /// and some servers send them with −1.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// How the session ended; `None` while it has not.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        match &self.state {
            State::Over(ending) | State::Replaced(ending) => Some(ending),
            State::Idle | State::Connecting | State::Rejected(_) | State::Priming | State::Live => None,
        }
    }

    /// Whether requests are answered at present.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// The watches.
    #[must_use]
    pub const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Removes a user's watch. The server's is removed, by a call that [`poll_call`](Self::poll_call) gives, once no user of
    /// its path is left; `true` if there is such a call.
    pub fn unwatch(&mut self, user: WatchId) -> bool {
        let orphan = self.watches.forget(user);
        let has_call = orphan.is_some();
        self.remove_watches(orphan);
        has_call
    }

    /// The connect request of the next connection.
    fn connect_request(&self) -> ConnectRequest<'static> {
        let (session, password) = match &self.grant {
            Some(grant) => (grant.session, grant.password.clone()),
            None => (SessionId::NONE, Password::NONE),
        };
        ConnectRequest {
            last_zxid_seen: self.last_zxid,
            session,
            password,
            ..ConnectRequest::new_session(self.timeout)
        }
    }
}
