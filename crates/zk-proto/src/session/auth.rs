//! What the client has proved, or is to prove, on every connection of the session.

use std::fmt;

use crate::request::Auth;

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

    /// Remembers an authentication. Twice the same is once.
    pub(super) fn add(&mut self, auth: &AddAuth<'_>) {
        if self.all().all(|id| id != auth.id) {
            let (scheme, secret) = (auth.scheme.into(), auth.secret.into());
            self.proofs.push(Proof { id: auth.id, scheme, secret, taken: false });
        }
    }

    /// Takes note that a server has taken it; `true` the first time.
    pub(super) fn is_news(&mut self, id: AuthId) -> bool {
        let proof = self.proofs.iter_mut().find(|proof| proof.id == id);
        proof.is_some_and(|proof| !std::mem::replace(&mut proof.taken, true))
    }

    /// The request that proves it.
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
/// [`SessionEvent::Authenticated`](super::SessionEvent::Authenticated) says that the server took it, which can be after the
/// connection of this very call was lost.
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
