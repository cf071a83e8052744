//! Who may do what with a node.

use std::{borrow::Cow, ops::BitOr};

use bytes::BufMut;

use crate::{
    error::Error,
    jute::{Reader, Record, put_int, put_text},
};

/// A set of permissions. Bits that have no name here are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permissions(pub i32);

impl Permissions {
    /// Read the data and list the children.
    pub const READ: Self = Self(1);
    /// Write the data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Change the access control list.
    pub const ADMIN: Self = Self(16);
    /// All five permissions.
    pub const ALL: Self = Self(31);
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl<'a> {
    /// What the entry allows.
    pub permissions: Permissions,
    /// How the identity was proved: `world`, `auth`, `digest`, `ip`, `x509`, `sasl`.
    pub scheme: Cow<'a, str>,
    /// The identity that the entry applies to, in the notation of its scheme.
    pub id: Cow<'a, str>,
}

impl Acl<'static> {
    /// Everyone has every permission, including the one to change this list (Java's `OPEN_ACL_UNSAFE`).
    pub const OPEN: &'static [Self] = &[Self::world(Permissions::ALL)];

    /// Everyone may read the node and list its children, and nothing else (Java's `READ_ACL_UNSAFE`).
    pub const READ_UNSAFE: &'static [Self] = &[Self::world(Permissions::READ)];

    /// The creator of the node has every permission, under each identity that its connection has authenticated. Servers
    /// accept this list only from connections that have authenticated.
    pub const CREATOR_ALL: &'static [Self] =
        &[Self { permissions: Permissions::ALL, scheme: Cow::Borrowed("auth"), id: Cow::Borrowed("") }];

    /// An entry for everyone.
    #[must_use]
    pub const fn world(permissions: Permissions) -> Self {
        Self { permissions, scheme: Cow::Borrowed("world"), id: Cow::Borrowed("anyone") }
    }
}

crate::jute::record_field!(Acl<'a>, 12);

impl<'a> Acl<'a> {
    /// An entry for clients from one address or network: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
    #[must_use]
    pub fn ip(permissions: Permissions, network: impl Into<Cow<'a, str>>) -> Self {
        Self { permissions, scheme: Cow::Borrowed("ip"), id: network.into() }
    }

    /// Connections that proved `user:password` by the scheme `digest`. The password is not stored: see
    /// [`digest_id`](crate::digest_id).
    #[must_use]
    pub fn digest(permissions: Permissions, user_and_password: &str) -> Self {
        Self {
            permissions,
            scheme: Cow::Borrowed("digest"),
            id: Cow::Owned(crate::digest::digest_id(user_and_password)),
        }
    }

    /// The same entry, with its own copy of the text.
    #[must_use]
    pub fn into_owned(self) -> Acl<'static> {
        Acl {
            permissions: self.permissions,
            scheme: Cow::Owned(self.scheme.into_owned()),
            id: Cow::Owned(self.id.into_owned()),
        }
    }
}

impl<'a> Record<'a> for Acl<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.permissions.0);
        put_text(out, &self.scheme);
        put_text(out, &self.id);
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            permissions: Permissions(reader.int("perms")?),
            scheme: reader.text("scheme")?,
            id: reader.text("id")?,
        })
    }
}
