//! A client's session, across all of its connections.
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
//! [`Session`] is a [`Protocol`](packetizer::Protocol): it lives in a [`Mux`](packetizer::Mux) that outlives each
//! single connection, and settles every reply and event in the order of arrival. It makes decisions and does no I/O:
//! the owner of the connection moves bytes, passes the time, and makes the calls that the session asks for.
//!
//! | call | when |
//! |---|---|
//! | [`handle_open`](Session::handle_open), [`handle_lost`](Session::handle_lost) | a stream was opened; it ended |
//! | [`handle_received`](Session::handle_received), [`handle_sent`](Session::handle_sent), [`handle_bytes`](Session::handle_bytes) | frames were handled, bytes were written, bytes arrived |
//! | [`handle_timeout`](Session::handle_timeout) | at [`poll_timeout`](Session::poll_timeout) |
//!
//! | call | to get |
//! |---|---|
//! | [`poll_call`](Session::poll_call) | calls to make on the mux: before you write anything else, and after each of the above |
//! | [`poll_event`](Session::poll_event) | the next event for the user of the session |
//! | [`verdict`](Session::verdict) | whether to keep the connection |

use std::{collections::VecDeque, time::Duration};

use crate::{
    connect::{ConnectRequest, Grant, Password},
    ids::{SessionId, Xids, Zxid},
    watches::{WatchId, Watches},
};

// The parts of a session. None of these modules knows `Session`.
mod auth;
mod context;
mod event;
mod own;
mod timers;

// The methods of a session.
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

/// A client's session. The [module](self) page lists what to call and when.
///
/// You can also drive it by hand for a single connection: make a [`ConnectRequest`] the first call, and make further
/// calls without waiting for its answer.
#[derive(Debug)]
pub struct Session {
    state: State,
    xids: Xids,
    last_zxid: Zxid,
    /// The timeout to ask for at each connection.
    timeout: Duration,
    /// Whether a read-only server will do for a new session.
    accepts_read_only: bool,
    grant: Option<Grant>,
    auths: Auths,
    watches: Watches,
    /// Servers before 3.5 cannot remove watches.
    keeps_watches: bool,
    timers: Timers,
    /// Outstanding replies that the connection needs before it is ready.
    priming: usize,
    own: VecDeque<Own>,
    announced: Announced,
    events: VecDeque<SessionEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// There is no connection.
    Idle,
    /// The connect request was made and is unanswered.
    Connecting,
    /// The server rejected the connection, not the session, with this code.
    Rejected(i32),
    /// The session is granted; some authentications or watches are not confirmed yet.
    Priming,
    /// The server answers requests.
    Live,
    /// The server granted another session than the one asked for. That one is being closed.
    Replaced(Ending),
    /// The session has ended.
    Over(Ending),
}

/// The default timeout, as in the examples of Apache's documentation.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Default for Session {
    fn default() -> Self {
        Self::new(Xids::default(), Zxid(0))
    }
}

impl Session {
    /// A session that is not granted yet. `last_zxid` is the highest transaction that this client has seen; 0 if there
    /// is none.
    #[must_use]
    pub fn new(xids: Xids, last_zxid: Zxid) -> Self {
        Self {
            state: State::Idle,
            xids,
            last_zxid,
            timeout: TIMEOUT,
            accepts_read_only: false,
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

    /// A session that exists already, which this client or another process [left](Self::resumable).
    #[must_use]
    pub fn resume(resume: Resume) -> Self {
        let grant =
            Grant { session: resume.session, password: resume.password, timeout: resume.timeout, read_only: false };
        Self { grant: Some(grant), timeout: resume.timeout, ..Self::new(Xids::default(), resume.last_zxid) }
    }

    /// Sets the timeout to ask for at every connection; 10 s by default. The server may grant a different one: see
    /// [`grant`](Self::grant).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Accepts the session of a read-only server, if there is no session yet: a server that has lost its quorum serves
    /// reads, if its configuration allows it. Such a session ends with its connection
    /// ([`Expiry::ReadOnly`]): its id means nothing to other servers. A session that a read-write server
    /// granted is never presented as one for which a read-only server will do, because that server would call it expired while
    /// it lives on in the quorum.
    #[must_use]
    pub const fn accepting_read_only(mut self) -> Self {
        self.accepts_read_only = true;
        self
    }

    /// The session as granted last; `None` before the first grant.
    #[must_use]
    pub const fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    /// What you need to resume the session, in this process or another one; `None` if there is no session, or it is
    /// over.
    #[must_use]
    pub fn resumable(&self) -> Option<Resume> {
        let grant = self.grant.as_ref().filter(|grant| self.ending().is_none() && !grant.read_only)?;
        Some(Resume {
            session: grant.session,
            password: grant.password.clone(),
            timeout: self.timeout,
            last_zxid: self.last_zxid,
        })
    }

    /// The highest transaction that a *reply* has carried. Notifications do not count: one transaction may cause
    /// several, and some servers send them with −1.
    #[must_use]
    pub const fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// How the session ended; `None` as long as it has not.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        match &self.state {
            State::Over(ending) | State::Replaced(ending) => Some(ending),
            State::Idle | State::Connecting | State::Rejected(_) | State::Priming | State::Live => None,
        }
    }

    /// Whether the server answers requests now.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// The watches of this session.
    #[must_use]
    pub const fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Removes a user's watch. When no user of its path is left, [`poll_call`](Self::poll_call) returns a call that
    /// removes the server's watch. Returns `true` if there is such a call.
    pub fn unwatch(&mut self, user: WatchId) -> bool {
        let orphan = self.watches.forget(user);
        let has_call = orphan.is_some();
        self.remove_watches(orphan);
        has_call
    }

    /// The connect request for the next connection.
    fn connect_request(&self) -> ConnectRequest<'static> {
        let (session, password) = match &self.grant {
            Some(grant) => (grant.session, grant.password.clone()),
            None => (SessionId::NONE, Password::NONE),
        };
        ConnectRequest {
            last_zxid_seen: self.last_zxid,
            session,
            password,
            read_only: Some(self.accepts_read_only && self.grant.is_none()),
            ..ConnectRequest::new_session(self.timeout)
        }
    }
}
