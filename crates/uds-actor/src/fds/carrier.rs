//! The transport whose frames carry descriptors.

use std::{io, sync::Arc};

use frame_codec::Batch;
use tokio::net::UnixStream;

use super::{fault::Fault, socket::FdSocket, transit::Transit};
use crate::{Peer, reason::Reason, stream::ancillary::Ancillary, transport::Transport, write_shared::WriteShared};

/// A stream with its descriptors. Private, because an actor over it needs the handles that count them.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) stream: UnixStream,
    pub(super) transit: Arc<Transit>,
}

impl Transport for Carrier {
    type Stream = FdSocket;

    fn into_stream(self) -> FdSocket {
        FdSocket::new(self.stream, self.transit)
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

    fn writer(stream: &FdSocket) -> Option<Arc<dyn WriteShared>> {
        Some(stream.writer())
    }
}

impl Ancillary for Arc<Transit> {
    fn is_full(&self) -> bool {
        self.incoming().is_full()
    }

    fn sort(&self, batch: Batch, end: u64) -> (Batch, Option<Reason>) {
        let (batch, fault) = self.incoming().sort(batch, end);
        (batch, fault.map(Fault::into_reason))
    }

    /// The socket reports its own faults in an `io::Error`, like every error of a stream.
    fn fault(&self, error: &io::Error) -> Option<Reason> {
        error.get_ref()?.downcast_ref::<Fault>().cloned().map(Fault::into_reason)
    }
}
