//! The handshake: the two records without a header.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::BufMut;

use crate::{
    error::Error,
    ids::{SessionId, Zxid},
    jute::{Reader, Record, put_boolean, put_buffer, put_int, put_long},
};

/// What proves that a session is ours. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password<'a>(Cow<'a, [u8]>);

impl<'a> Password<'a> {
    /// What a client without a session sends. Sixteen bytes, because some servers look at the length of the frame.
    pub const NONE: Password<'static> = Password(Cow::Borrowed(&[0; 16]));

    /// A password that a server gave.
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes: a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A password that borrows nothing.
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
    /// The highest transaction this client has seen. A server that is behind it closes the connection without a word.
    pub last_zxid_seen: Zxid,
    /// The session timeout wanted, in milliseconds. Negotiated again at every connection.
    pub timeout_ms: i32,
    /// The session to resume, or [`SessionId::NONE`].
    pub session: SessionId,
    /// The password of that session, or [`Password::NONE`].
    pub password: Password<'a>,
    /// Whether a read-only server will do. Clients before 3.4, and some of today, do not send this byte at all.
    pub read_only: Option<bool>,
}

impl ConnectRequest<'static> {
    /// Asks for a new session. A timeout over 24 days is sent as 24 days; servers grant far less.
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
    /// The session timeout granted, in milliseconds; 0 or less where the session is over or was never ours.
    pub timeout_ms: i32,
    /// The session.
    pub session: SessionId,
    /// What to resume it with.
    pub password: Password<'a>,
    /// Whether this server is read-only. Present exactly if the request had the byte.
    pub read_only: Option<bool>,
}

/// A session that a server granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub session: SessionId,
    /// What to resume it with.
    pub password: Password<'static>,
    /// How long the server waits for a word from us before it ends the session.
    pub timeout: Duration,
    /// Whether the server is read-only at present.
    pub read_only: bool,
}

impl ConnectResponse<'_> {
    /// The session; `None` where the server says that there is none, or none any more.
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
