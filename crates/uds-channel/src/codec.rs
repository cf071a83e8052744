//! Messages as bytes.

use std::error::Error as StdError;

/// The error of a codec.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Turns messages into bytes and bytes into messages. The codec does not decide where a message ends.
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
    /// The message has no encoding. The channel returns [`SendError::Encode`](super::SendError::Encode), and sends
    /// nothing.
    fn encode(&self, message: &Tx, into: &mut Vec<u8>) -> Result<(), BoxError>;

    /// Decodes the bytes of one message.
    ///
    /// # Errors
    ///
    /// The bytes are not a valid message. The channel returns [`RecvError::Decode`](super::RecvError::Decode), and
    /// continues with the next message.
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

/// JSON, through serde (RFC 8259).
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

/// Protocol Buffers, through prost: the encoding of the Sōzu proxy's channel.
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
