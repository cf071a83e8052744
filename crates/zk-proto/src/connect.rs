//! The handshake: the only two records that have no header.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{SessionId, Zxid},
    jute::{Reader, Record, put_boolean, put_buffer, put_int, put_long},
};

/// The secret that proves that a session is ours. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password<'a>(Cow<'a, [u8]>);

impl<'a> Password<'a> {
    /// The password of a client that has no session yet. It has sixteen bytes, because some servers check the length of
    /// the frame.
    pub const NONE: Password<'static> = Password(Cow::Borrowed(&[0; 16]));

    /// A password that a server sent.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes. They are a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same password, with its own copy of the bytes.
    #[must_use]
    pub fn into_owned(self) -> Password<'static> {
        Password(Cow::Owned(self.0.into_owned()))
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self(Cow::Borrowed(reader.buffer("passwd")?.unwrap_or_default())))
    }
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password({} bytes)", self.0.len())
    }
}

/// The first frame of a connection, from the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    /// 0; servers ignore it.
    pub protocol_version: i32,
    /// The highest transaction that this client has seen. A server that is behind it closes the connection without an
    /// answer.
    pub last_zxid_seen: Zxid,
    /// The session timeout that the client asks for, in milliseconds. It is negotiated again at every connection.
    pub timeout_ms: i32,
    /// The session to resume, or [`SessionId::NONE`].
    pub session: SessionId,
    /// The password of that session, or [`Password::NONE`].
    pub password: Password<'a>,
    /// Whether the client accepts a read-only server. Clients before 3.4, and some current ones, do not send this byte.
    pub read_only: Option<bool>,
}

impl ConnectRequest<'static> {
    /// Asks for a new session. A timeout of more than 24 days is sent as 24 days; servers grant far less.
    #[must_use]
    pub fn new_session(timeout: Duration) -> Self {
        Self {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            session: SessionId::NONE,
            password: Password::NONE,
            read_only: Some(false),
        }
    }
}

impl<'a> Record<'a> for ConnectRequest<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.protocol_version);
        put_long(out, self.last_zxid_seen.0);
        put_int(out, self.timeout_ms);
        put_long(out, self.session.0);
        put_buffer(out, Some(self.password.as_bytes()));
        if let Some(read_only) = self.read_only {
            put_boolean(out, read_only);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            protocol_version: reader.int("protocolVersion")?,
            last_zxid_seen: Zxid(reader.long("lastZxidSeen")?),
            timeout_ms: reader.int("timeOut")?,
            session: SessionId(reader.long("sessionId")?),
            password: Password::decode(reader)?,
            read_only: optional_read_only(reader)?,
        })
    }
}

/// The answer to a [`ConnectRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectResponse<'a> {
    /// 0.
    pub protocol_version: i32,
    /// The session timeout that the server grants, in milliseconds. 0 or less means that the session has expired or was
    /// never ours.
    pub timeout_ms: i32,
    /// The session.
    pub session: SessionId,
    /// The password for resuming the session.
    pub password: Password<'a>,
    /// Whether this server is read-only. Present if and only if the request had the byte.
    pub read_only: Option<bool>,
}

/// A session that a server granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The session's id.
    pub session: SessionId,
    /// The password for resuming it.
    pub password: Password<'static>,
    /// How long the server waits without hearing from us before it ends the session.
    pub timeout: Duration,
    /// Whether the server is in read-only mode now.
    pub read_only: bool,
}

impl ConnectResponse<'_> {
    /// The granted session; `None` if the server says that the session does not exist, or has expired.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        let millis = u64::try_from(self.timeout_ms).ok().filter(|millis| *millis > 0)?;
        Some(Grant {
            session: self.session,
            password: self.password.clone().into_owned(),
            timeout: Duration::from_millis(millis),
            read_only: self.read_only.unwrap_or(false),
        })
    }
}

impl<'a> Record<'a> for ConnectResponse<'a> {
    fn encode(&self, out: &mut impl BufMut) {
        put_int(out, self.protocol_version);
        put_int(out, self.timeout_ms);
        put_long(out, self.session.0);
        put_buffer(out, Some(self.password.as_bytes()));
        if let Some(read_only) = self.read_only {
            put_boolean(out, read_only);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            protocol_version: reader.int("protocolVersion")?,
            timeout_ms: reader.int("timeOut")?,
            session: SessionId(reader.long("sessionId")?),
            password: Password::decode(reader)?,
            read_only: optional_read_only(reader)?,
        })
    }
}

/// The byte that peers before 3.4 do not send.
fn optional_read_only(reader: &mut Reader<'_>) -> Result<Option<bool>, Error> {
    if reader.left() == 0 { Ok(None) } else { reader.boolean("readOnly").map(Some) }
}
