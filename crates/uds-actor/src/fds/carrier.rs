//! The transport whose frames carry descriptors.

use std::sync::Arc;

use frame_codec::Batch;
use tokio::net::UnixStream;

use super::{Report, books::Books, socket::FdSocket};
use crate::{
    Peer, Reason,
    transport::{Transport, WriteShared},
};

/// A stream and the books of what it carries. Not for users: an actor over it needs the handles that count.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) stream: UnixStream,
    pub(super) books: Arc<Books>,
}

impl Transport for Carrier {
    type Stream = FdSocket;

    fn into_stream(self) -> FdSocket {
        FdSocket::new(self.stream, self.books)
    }

    fn peer(stream: &FdSocket) -> Option<Peer> {
        stream.plain().peer()
    }

    fn has_unread(stream: &FdSocket) -> bool {
        stream.plain().has_unread()
    }

    fn is_hung_up(stream: &FdSocket) -> bool {
        stream.plain().is_hung_up()
    }

    fn is_full(stream: &FdSocket) -> bool {
        stream.books().incoming().is_full()
    }

    fn sort(stream: &FdSocket, batch: Batch, end: u64) -> (Batch, Option<Reason>) {
        let (batch, fault) = stream.books().incoming().sort(batch, end);
        (batch, fault.map(Reason::Descriptors))
    }

    fn report(stream: &FdSocket, unsent: Batch) -> (Batch, Option<Report>) {
        let books = stream.books();
        books.incoming().end();
        let unsent = books.outgoing().give_back(unsent);
        (unsent, Some(Report::new(Arc::clone(books))))
    }

    fn writer(stream: &FdSocket) -> Option<Arc<dyn WriteShared>> {
        Some(stream.writer())
    }
}
