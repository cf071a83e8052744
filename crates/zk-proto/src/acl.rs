//! Who may do what with a node.

use std::{borrow::Cow, ops::BitOr};

use bytes::BufMut;

use crate::{
    error::Error,
    jute::{Reader, Record, put_int, put_text},
};

/// What may be done. Bits without a name are kept as they are.
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
    /// All of these.
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
    /// What is allowed.
    pub permissions: Permissions,
    /// How the identity was proved: `world`, `auth`, `digest`, `ip`, `x509`, `sasl`.
    pub scheme: Cow<'a, str>,
    /// To whom, in the words of the scheme.
    pub id: Cow<'a, str>,
}

impl Acl<'static> {
    /// Everybody may do everything, changing this list included.
    pub const OPEN: &'static [Self] =
        &[Self { permissions: Permissions::ALL, scheme: Cow::Borrowed("world"), id: Cow::Borrowed("anyone") }];
}

impl Acl<'_> {
    /// The least number of bytes an entry takes.
    pub(crate) const SMALLEST: usize = 12;
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
