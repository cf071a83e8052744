//! A socket with its buffers, and the codec that turns frames into messages.

use std::os::fd::AsFd;

use super::{
    codec::Codec,
    error::{RecvError, SendError},
    framed::Framed,
    limits::Buffers,
};

/// What all kinds of channels consist of.
pub(super) struct Coded<S, C> {
    pub(super) framed: Framed<S>,
    codec: C,
    /// The buffer in which a message is encoded before we know that it fits.
    pub(super) scratch: Vec<u8>,
}

impl<S: AsFd, C> Coded<S, C> {
    pub(super) fn new(socket: S, codec: C, buffers: Buffers) -> Self {
        Self { framed: Framed::new(socket, buffers), codec, scratch: Vec::new() }
    }

    /// The socket, the codec, the bytes received and not taken, and the bytes queued and not written.
    pub(super) fn into_parts(self) -> (S, C, Vec<u8>, Vec<u8>) {
        let (unread, unsent) = (self.framed.unread().to_vec(), self.framed.unsent().to_vec());
        (self.framed.into_socket(), self.codec, unread, unsent)
    }

    /// Queues a message without writing.
    pub(super) fn queue<Tx: ?Sized, Rx>(&mut self, message: &Tx) -> Result<(), SendError>
    where
        C: Codec<Tx, Rx>,
    {
        self.encode(message)?;
        let queued = self.framed.push(&self.scratch);
        self.done_encoding();
        queued
    }

    /// Encodes the message into the scratch buffer.
    pub(super) fn encode<Tx: ?Sized, Rx>(&mut self, message: &Tx) -> Result<(), SendError>
    where
        C: Codec<Tx, Rx>,
    {
        self.framed.check_sendable()?;
        self.scratch.clear();
        let encoded = self.codec.encode(message, &mut self.scratch).map_err(|source| SendError::Encode { source });
        let sendable = encoded.and_then(|()| self.framed.check_len(self.scratch.len()));
        if sendable.is_err() {
            self.done_encoding();
        }
        sendable
    }

    /// Releases the memory of an unusually large message.
    pub(super) fn done_encoding(&mut self) {
        self.scratch.clear();
        self.scratch.shrink_to(self.framed.scratch_size());
    }

    /// The next complete message, if there is one.
    pub(super) fn decode_next<Tx: ?Sized, Rx>(&mut self) -> Result<Option<Rx>, RecvError>
    where
        C: Codec<Tx, Rx>,
    {
        let decoded = self.framed.next(|payload| {
            self.codec.decode(payload).map_err(|source| RecvError::Decode { len: payload.len(), source })
        });
        decoded?.transpose()
    }
}
