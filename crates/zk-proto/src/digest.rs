//! Digest ids: how a server names an identity that was proved with a user name and a password.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest as _, Sha1};

/// The id that a server gives to a connection which proves `user:password` by the scheme `digest`: the user, a colon, and the
/// SHA-1 of the whole in Base64.
///
/// The user ends at the first colon, so the password may contain colons. This is `DigestAuthenticationProvider.generateDigest` of
/// Apache ZooKeeper. The id is no secret to those who may administer the node, and SHA-1 without salt does not protect a weak
/// password from them.
///
/// ```
/// assert_eq!(zk_proto::digest_id("u:p"), "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=");
/// ```
#[must_use]
pub fn digest_id(user_and_password: &str) -> String {
    let user = user_and_password.split(':').next().unwrap_or_default();
    let mut id = format!("{user}:");
    BASE64_STANDARD.encode_string(Sha1::digest(user_and_password), &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_servers_make_of_them() {
        assert_eq!(digest_id("u:p"), "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=");
        assert_eq!(digest_id("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert!(digest_id("u:p:q").starts_with("u:") && digest_id("u:p:q") != digest_id("u:p"));
    }
}
