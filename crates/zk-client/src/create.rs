//! New nodes: their kinds, and the result of creating one.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use packetizer::{Call, TicketOf};
use zk_proto::{Acl, Create, Create2, CreateContainer, CreateTtl, ErrorCode, Session, Stat, session::Context};

/// The kind of node to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CreateMode {
    /// The node stays until it is deleted.
    Persistent,
    /// The node is deleted when the session that created it ends. It cannot have children.
    Ephemeral,
    /// The node stays until it is deleted. The server appends the next [`Sequence`] to the name.
    PersistentSequential,
    /// The node is deleted when the session that created it ends. The server appends the next [`Sequence`] to the name.
    EphemeralSequential,
    /// The server deletes the node some time after its last child is gone (3.5.1).
    Container,
    /// The server deletes the node when it has no children and was not written for this time: 1 ms to 2⁴⁰ − 1 ms
    /// (3.5.3, if `extendedTypesEnabled` is set).
    Ttl(Duration),
    /// Like [`Ttl`](Self::Ttl), with a [`Sequence`] appended to the name.
    SequentialTtl(Duration),
}

impl CreateMode {
    pub(crate) const fn wire(self) -> zk_proto::CreateMode {
        use zk_proto::CreateMode as Wire;
        match self {
            Self::Persistent => Wire::Persistent,
            Self::Ephemeral => Wire::Ephemeral,
            Self::PersistentSequential => Wire::PersistentSequential,
            Self::EphemeralSequential => Wire::EphemeralSequential,
            Self::Container => Wire::Container,
            Self::Ttl(_) => Wire::PersistentWithTtl,
            Self::SequentialTtl(_) => Wire::PersistentSequentialWithTtl,
        }
    }

    /// Whether the server appends a number to the name.
    #[must_use]
    pub const fn is_sequential(self) -> bool {
        self.wire().is_sequential()
    }
}

/// The number that the server appended to a node's name: a counter of the parent, which wraps from `i32::MAX` to
/// `i32::MIN`.
///
/// ```
/// use zk_client::Sequence;
///
/// let last = Sequence::behind("item-", "item-2147483647").unwrap();
/// let next = Sequence::behind("item-", "item--2147483648").unwrap();
/// assert!(last.is_before(next) && !next.is_before(last));
/// assert_eq!(Sequence::behind("item-", "item-7"), None, "ten digits are appended");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequence(pub i32);

impl Sequence {
    /// Parses the number after `prefix` in a name or path: ten characters, or eleven below −999,999,999. You must pass
    /// the prefix, because it may end with `-`, and the name alone does not say whether that is a sign.
    #[must_use]
    pub fn behind(prefix: &str, name: &str) -> Option<Self> {
        let text = name.strip_prefix(prefix)?;
        let number = text.parse().ok()?;
        // Only in the exact form that the server writes.
        (format!("{number:010}") == text).then_some(Self(number))
    }

    /// Whether this number was assigned before `other`. It compares by distance, because numbers wrap. Never compare
    /// names as text.
    #[must_use]
    pub const fn is_before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0) > 0
    }
}

/// A node that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// The node's path, including the number if it is sequential.
    pub path: String,
    /// The number, if the node is sequential.
    pub sequence: Option<Sequence>,
    /// The node's history, if you [asked for it](crate::Client::create_with_stat), or if it is a container or has a
    /// time to live.
    pub stat: Option<Stat>,
}

impl AsRef<str> for Created {
    fn as_ref(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Created {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl Created {
    /// Replaces the server's path by the path that the caller of a client with this `chroot` sees.
    pub(crate) fn localize(&mut self, chroot: Option<&str>, asked: &str) {
        self.path = zk_proto::path::strip(chroot, &self.path).to_owned();
        self.sequence = Sequence::behind(asked, &self.path);
    }
}

/// A node to create, in one of four operations.
pub(crate) struct NewNode<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: &'a [Acl<'a>],
    pub(crate) mode: CreateMode,
    /// Whether to ask for the node's history.
    pub(crate) stat: bool,
}

impl NewNode<'_> {
    fn flags(&self) -> i32 {
        self.mode.wire().flags()
    }
}

/// The time to live on the wire. The server rejects a value that does not fit.
pub(crate) fn millis(ttl: Duration) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

impl Call for NewNode<'_> {
    type Protocol = Session;
    type Reply = Result<Created, ErrorCode>;

    fn encode(&self, session: &mut Session, frame: &mut BytesMut) -> Result<TicketOf<Session>, zk_proto::Error> {
        let (path, data, acl) = (Cow::Borrowed(&*self.path), self.data, Some(Cow::Borrowed(self.acl)));
        let flags = self.flags();
        match self.mode {
            CreateMode::Container => Call::encode(&CreateContainer { path, data, acl, flags }, session, frame),
            CreateMode::Ttl(ttl) | CreateMode::SequentialTtl(ttl) => {
                Call::encode(&CreateTtl { path, data, acl, flags, ttl: millis(ttl) }, session, frame)
            }
            _ if self.stat => Call::encode(&Create2 { path, data, acl, flags }, session, frame),
            _ => Call::encode(&Create { path, data, acl, flags }, session, frame),
        }
    }

    fn decode(context: Context, frame: Bytes) -> Result<Self::Reply, zk_proto::Error> {
        let created = match context {
            Context::Operation(zk_proto::OpCode::Create) => {
                <Create<'_> as Call>::decode(context, frame)?.map(|path| (path, None))
            }
            // All other operations have the same reply.
            _ => <Create2<'_> as Call>::decode(context, frame)?.map(|(path, stat)| (path, Some(stat))),
        };
        Ok(created.map(|(path, stat)| Created { path, sequence: None, stat }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_prefix_and_wrap() {
        let number = |prefix, name| Sequence::behind(prefix, name).map(|sequence| sequence.0);
        assert_eq!(number("/a/n-", "/a/n-0000000007"), Some(7));
        assert_eq!(number("/a/", "/a/0000000007"), Some(7));
        assert_eq!(number("/a/n", "/a/n-2147483648"), Some(i32::MIN));
        assert_eq!(number("/a/n-", "/a/n--000000001"), Some(-1));
        assert_eq!(number("/a/n-", "/a/n--0000000001"), None);
        for wrong in [
            "/a/n-",
            "/a/n-7",
            "/a/n-00000000007",
            "/a/n-000000000x",
            "/a/n-+000000001",
            "/a/n-2147483648",
            "/b/n-0000000007",
        ] {
            assert_eq!(number("/a/n-", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn order_is_by_distance() {
        let order = [i32::MAX - 1, i32::MAX, i32::MIN, i32::MIN + 1].map(Sequence);
        for (n, first) in order.iter().enumerate() {
            for (m, second) in order.iter().enumerate() {
                assert_eq!(first.is_before(*second), n < m);
            }
        }
        assert!(!Sequence(0).is_before(Sequence(0)));
    }
}
