//! What the client has proved, or is to prove, on every connection of the session.

use std::fmt;

use bytes::{Bytes, BytesMut};
use packetizer::{Call, TicketOf};

use super::{Context, Session, SessionEvent};
use crate::{error::Error, jute::Record as _, op::OpCode, request::Auth};

/// Names an authentication of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthId(pub u64);

struct Proof {
    id: AuthId,
    scheme: Box<str>,
    secret: Box<[u8]>,
    /// Whether a server has taken it.
    taken: bool,
}

/// The authentications, in the order in which they were added.
#[derive(Default)]
pub(super) struct Auths {
    proofs: Vec<Proof>,
}

impl Auths {
    pub(super) fn all(&self) -> impl Iterator<Item = AuthId> {
        self.proofs.iter().map(|proof| proof.id)
    }
}

/// Secrets are never printed.
impl fmt::Debug for Auths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.proofs.iter().map(|proof| (&proof.scheme, proof.id))).finish()
    }
}

/// Adds an authentication to the session: it is sent now, and again on each later connection. That the server took it is
/// told by [`SessionEvent::Authenticated`], which can come after the connection of this very call was lost.
pub struct AddAuth<'a> {
    /// Names it; chosen by the caller, and not used twice.
    pub id: AuthId,
    /// How the identity is proved: `digest`, or what the server has a plug-in for.
    pub scheme: &'a str,
    /// The proof: a secret, which is never printed.
    pub secret: &'a [u8],
}

impl fmt::Debug for AddAuth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddAuth").field("id", &self.id).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Session {
    /// Remembers an authentication for the next connection, without sending it now. Twice the same is once.
    pub fn add_auth(&mut self, auth: &AddAuth<'_>) {
        if self.auths.all().all(|id| id != auth.id) {
            let (scheme, secret) = (auth.scheme.into(), auth.secret.into());
            self.auths.proofs.push(Proof { id: auth.id, scheme, secret, taken: false });
        }
    }

    pub(super) fn handle_authenticated(&mut self, id: AuthId) {
        let Some(proof) = self.auths.proofs.iter_mut().find(|proof| proof.id == id) else { return };
        if !std::mem::replace(&mut proof.taken, true) {
            self.events.push_back(SessionEvent::Authenticated(id));
        }
    }

    pub(super) fn encode_auth(&mut self, id: AuthId, priming: bool, frame: &mut BytesMut) -> Option<TicketOf<Self>> {
        // Taken out for the time of encoding, which needs the session as a whole.
        let proofs = std::mem::take(&mut self.auths.proofs);
        let ticket = proofs.iter().find(|proof| proof.id == id).map(|proof| {
            let record = Auth { kind: 0, scheme: (&*proof.scheme).into(), proof: Some(&proof.secret) };
            self.encode_with(OpCode::Auth, &record, Context::Auth { id, priming }, frame)
        });
        self.auths.proofs = proofs;
        ticket
    }
}

impl Call for AddAuth<'_> {
    type Protocol = Session;
    type Reply = ();

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, Error> {
        session.add_auth(self);
        session.encode_auth(self.id, false, frame).ok_or(Error::NothingToSend)
    }

    fn decode(_context: Context, frame: Bytes) -> Result<(), Error> {
        crate::header::ReplyHeader::from_bytes(&frame).map(drop)
    }
}
