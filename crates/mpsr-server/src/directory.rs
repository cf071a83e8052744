//! A directory of sockets as a stream of members.

use std::{ffi::OsString, fs, path::PathBuf};

use fs_watch::{Event, SocketId, Watcher};
use futures_core::Stream;
use futures_util::{StreamExt as _, future::ready};
use uds_actor::{Address, Listener};

use crate::{Endpoint, Membership};

/// Every socket in the watched directory is a member, but for those with names of `own`.
pub(crate) fn members(watcher: Watcher, own: Vec<OsString>) -> impl Stream<Item = Membership<Endpoint>> {
    watcher.filter_map(move |event| ready(member(event).filter(|change| !is_about(change, &own))))
}

fn is_about(change: &Membership<Endpoint>, names: &[OsString]) -> bool {
    match change {
        Membership::Joined(endpoint) | Membership::Left(endpoint) => match &endpoint.address {
            Address::Path(path) => path.file_name().is_some_and(|name| names.iter().any(|own| own == name)),
            _ => false,
        },
        Membership::Synced | Membership::Degraded(_) => false,
    }
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

impl Directory {
    /// The names that our own listeners have in it: a funnel that connected to itself would be its own producer.
    ///
    /// Their locks keep others from these names for as long as we listen.
    pub(crate) fn names_of(&self, listeners: &[Listener]) -> Vec<OsString> {
        let name_here = |listener: &Listener| {
            let Address::Path(path) = listener.address() else { return None };
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
            let is_here = fs::canonicalize(parent).ok()? == fs::canonicalize(&self.path).ok()?;
            path.file_name().filter(|_| is_here).map(OsString::from)
        };
        listeners.iter().filter_map(name_here).collect()
    }
}
