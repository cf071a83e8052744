//! Messages as bytes.

use std::error::Error as StdError;

/// What a codec may fail with.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Turns what goes out into bytes and bytes into what comes in. Where a message ends is not its business.
///
/// ```
/// use uds_channel::{BoxError, Codec};
///
/// /// A number in decimal digits.
/// #[derive(Default)]
/// struct Decimal;
///
/// impl Codec<u32, u32> for Decimal {
///     fn encode(&self, message: &u32, into: &mut Vec<u8>) -> Result<(), BoxError> {
///         into.extend_from_slice(message.to_string().as_bytes());
///         Ok(())
///     }
///
///     fn decode(&self, payload: &[u8]) -> Result<u32, BoxError> {
///         Ok(std::str::from_utf8(payload)?.parse()?)
///     }
/// }
/// ```
pub trait Codec<Tx: ?Sized, Rx> {
    /// Appends the message's bytes to `into`, which is empty.
    ///
    /// # Errors
    ///
    /// This message has no such bytes. The channel tells it as [`SendError::Encode`](super::SendError::Encode); nothing is sent.
    fn encode(&self, message: &Tx, into: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Makes a message of the bytes that one call of the peer sent.
    ///
    /// # Errors
    ///
    /// They are no such message. The channel tells it as [`RecvError::Decode`](super::RecvError::Decode) and goes on with the
    /// next.
    fn decode(&self, payload: &[u8]) -> Result<Rx, BoxError>;
}

/// Messages that are bytes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verbatim;

impl<Tx: AsRef<[u8]> + ?Sized, Rx: From<Vec<u8>>> Codec<Tx, Rx> for Verbatim {
    fn encode(&self, message: &Tx, into: &mut Vec<u8>) -> Result<(), BoxError> {
        into.extend_from_slice(message.as_ref());
        Ok(())
    }

    fn decode(&self, payload: &[u8]) -> Result<Rx, BoxError> {
        Ok(payload.to_vec().into())
    }
}

/// JSON by way of serde (RFC 8259).
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

#[cfg(feature = "json")]
impl<Tx: serde::Serialize + ?Sized, Rx: serde::de::DeserializeOwned> Codec<Tx, Rx> for Json {
    fn encode(&self, message: &Tx, into: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(serde_json::to_writer(into, message)?)
    }

    fn decode(&self, payload: &[u8]) -> Result<Rx, BoxError> {
        Ok(serde_json::from_slice(payload)?)
    }
}

/// Protocol Buffers by way of prost: what the Sōzu proxy's channel carries.
#[cfg(feature = "prost")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Prost;

#[cfg(feature = "prost")]
impl<Tx: prost::Message, Rx: prost::Message + Default> Codec<Tx, Rx> for Prost {
    fn encode(&self, message: &Tx, into: &mut Vec<u8>) -> Result<(), BoxError> {
        Ok(message.encode(into)?)
    }

    fn decode(&self, payload: &[u8]) -> Result<Rx, BoxError> {
        Ok(Rx::decode(payload)?)
    }
}
