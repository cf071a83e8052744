//! A directory of sockets as a stream of members.

use std::path::PathBuf;

use fs_watch::{Event, SocketId, Watcher};
use futures_core::Stream;
use futures_util::{StreamExt as _, future::ready};
use uds_actor::Address;

use crate::{Endpoint, Membership};

/// Every socket in the watched directory is a member.
pub(crate) fn members(watcher: Watcher) -> impl Stream<Item = Membership<Endpoint>> {
    watcher.filter_map(|event| ready(member(event)))
}

fn member(event: Event) -> Option<Membership<Endpoint>> {
    match event {
        Event::InitApply(socket) | Event::Added(socket) => Some(Membership::Joined(endpoint(socket.id()))),
        Event::Removed { id, .. } => Some(Membership::Left(endpoint(id))),
        Event::InitDone | Event::Resynced => Some(Membership::Synced),
        Event::Degraded(why) => Some(Membership::Degraded(why.to_string())),
        _ => None,
    }
}

fn endpoint(SocketId { path, generation }: SocketId) -> Endpoint {
    Endpoint { address: Address::Path(path), generation: generation.value() }
}

/// A directory to be watched, until the funnel starts.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
}
