//! The authentications that the client repeats on every connection of the session.

use std::fmt;

use crate::request::Auth;

/// Identifies an authentication of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthId(pub u64);

struct Proof {
    id: AuthId,
    scheme: Box<str>,
    secret: Box<[u8]>,
    /// Whether a server has accepted it.
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

    /// Remembers an authentication. Adding the same one twice has no effect.
    pub(super) fn add(&mut self, auth: &AddAuth<'_>) {
        if self.all().all(|id| id != auth.id) {
            let (scheme, secret) = (auth.scheme.into(), auth.secret.into());
            self.proofs.push(Proof { id: auth.id, scheme, secret, taken: false });
        }
    }

    /// Records that a server has accepted it; `true` the first time.
    pub(super) fn is_news(&mut self, id: AuthId) -> bool {
        let proof = self.proofs.iter_mut().find(|proof| proof.id == id);
        proof.is_some_and(|proof| !std::mem::replace(&mut proof.taken, true))
    }

    /// The request that sends it.
    pub(super) fn request(&self, id: AuthId) -> Option<Auth<'_>> {
        let proof = self.proofs.iter().find(|proof| proof.id == id)?;
        Some(Auth { kind: 0, scheme: (&*proof.scheme).into(), proof: Some(&proof.secret) })
    }
}

/// Secrets are never printed.
impl fmt::Debug for Auths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.proofs.iter().map(|proof| (&proof.scheme, proof.id))).finish()
    }
}

/// Adds an authentication to the session: it is sent now, and again on each later connection.
///
/// [`SessionEvent::Authenticated`](super::SessionEvent::Authenticated) reports that a server accepted it. That can
/// happen after the connection of this call was lost.
pub struct AddAuth<'a> {
    /// Identifies the authentication. You choose it; do not use it twice.
    pub id: AuthId,
    /// The scheme: `digest`, or any that the server has a plug-in for.
    pub scheme: &'a str,
    /// The proof. It is a secret and is never printed.
    pub secret: &'a [u8],
}

impl fmt::Debug for AddAuth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddAuth").field("id", &self.id).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
