//! A directory of sockets as a stream of members.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_watch::{Event, Owner, Socket, SocketId, Watcher, connect_at_owned_by};
use futures_core::Stream;
use futures_util::{StreamExt as _, future::ready};
use tokio::net::UnixStream;
use uds_actor::{Address, Connect, ConnectError, Listener, SocketKind};

use crate::{Endpoint, Membership, members::Member};

/// A socket in a watched directory.
#[derive(Debug)]
pub(crate) struct Listed {
    endpoint: Endpoint,
    /// `None` for a socket that left.
    socket: Option<Socket>,
}

/// A member is exactly the socket that was listed. A later socket with the same name is another member; otherwise we
/// would connect to it twice.
impl Member for Listed {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn connect(&self) -> Result<UnixStream, ConnectError> {
        let address = &self.endpoint.address;
        let by_name = || Connect::to(address.clone());
        let Some(socket) = &self.socket else { return by_name().connect().await };
        // The owner of the file does not matter, because we ask the server for its user.
        match connect_at_owned_by(socket, Owner::Anybody) {
            Ok(stream) => {
                let stream = UnixStream::from_std(stream);
                stream.map_err(|source| ConnectError::Connect { address: address.clone(), source })
            }
            // There is no other way to connect.
            Err(fs_watch::ConnectError::NoProc { .. }) => by_name().connect().await,
            Err(fs_watch::ConnectError::Refused { .. }) => {
                Err(ConnectError::NotListening { address: address.clone(), waited: Duration::ZERO })
            }
            Err(fs_watch::ConnectError::Busy { .. }) => {
                Err(ConnectError::QueueFull { address: address.clone(), waited: Duration::ZERO })
            }
            Err(fs_watch::ConnectError::WrongType { .. }) => {
                Err(ConnectError::WrongType { address: address.clone(), wanted: SocketKind::Stream })
            }
            Err(fs_watch::ConnectError::Failed { source, .. }) => {
                Err(ConnectError::Connect { address: address.clone(), source })
            }
            // If permission is denied, connecting by name gives the better error.
            Err(fs_watch::ConnectError::Denied { .. }) => match by_name().connect().await {
                Err(error) => Err(error),
                Ok(_another) => Err(not_there(socket)),
            },
            // Replaced or gone. The watcher will report it, unless the file is moved back.
            Err(_) => Err(not_there(socket)),
        }
    }
}

fn not_there(socket: &Socket) -> ConnectError {
    ConnectError::NotThere { path: socket.path.clone(), missing: socket.path.clone(), waited: Duration::ZERO }
}

/// The members are all sockets in the watched directory, except those with names in `own`.
pub(crate) fn members(watcher: Watcher, own: Vec<OsString>) -> impl Stream<Item = Membership<Listed>> {
    watcher.filter_map(move |event| ready(member(event).filter(|change| !is_about(change, &own))))
}

fn is_about(change: &Membership<Listed>, names: &[OsString]) -> bool {
    match change {
        Membership::Joined(listed) | Membership::Left(listed) => match &listed.endpoint.address {
            Address::Path(path) => path.file_name().is_some_and(|name| names.iter().any(|own| own == name)),
            _ => false,
        },
        Membership::Synced | Membership::Degraded(_) => false,
    }
}

fn member(event: Event) -> Option<Membership<Listed>> {
    match event {
        // A member that starts to listen is announced again.
        Event::InitApply(socket) | Event::Added(socket) | Event::Ready(socket) => {
            Some(Membership::Joined(listed(socket.id(), Some(socket))))
        }
        Event::Removed { id, .. } => Some(Membership::Left(listed(id, None))),
        Event::InitDone | Event::Resynced => Some(Membership::Synced),
        Event::Degraded(why) => Some(Membership::Degraded(why.to_string())),
        _ => None,
    }
}

fn listed(SocketId { path, generation }: SocketId, socket: Option<Socket>) -> Listed {
    let endpoint = Endpoint { address: Address::Path(path), generation: generation.value() };
    Listed { endpoint, socket }
}

/// A directory to watch, until the funnel starts.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
}

impl Directory {
    /// The names of our own listeners in this directory: a funnel that connected to itself would be its own producer.
    ///
    /// Their locks keep other processes from using these names as long as we listen.
    pub(crate) fn names_of(&self, listeners: &[Listener]) -> Vec<OsString> {
        let name_here = |listener: &Listener| {
            let Address::Path(path) = listener.address() else { return None };
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(".".as_ref());
            // Compared by identity, because a directory can have several paths, through mounts and /proc.
            let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
            let is_here = identity(parent)? == identity(&self.path)?;
            path.file_name().filter(|_| is_here).map(OsString::from)
        };
        listeners.iter().filter_map(name_here).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    async fn first(dir: &Path) -> Listed {
        let mut watcher = Watcher::start(dir).await.unwrap();
        loop {
            if let Some(Membership::Joined(listed)) = member(watcher.next().await.unwrap()) {
                return listed;
            }
        }
    }

    #[tokio::test]
    async fn one_that_has_taken_the_name_since_is_not_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        let old = UnixListener::bind(&path).unwrap();
        let listed = first(dir.path()).await;
        drop(listed.connect().await.unwrap());

        fs::rename(&path, dir.path().join("old.sock")).unwrap();
        let error = listed.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::NotThere { .. }) && error.is_retryable(), "{error:?}");
        let new = UnixListener::bind(&path).unwrap();
        let error = listed.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::NotThere { .. }) && error.is_retryable(), "{error:?}");
        new.set_nonblocking(true).unwrap();
        assert_eq!(new.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

        // Moved back before any check, it is the socket that was listed.
        fs::rename(dir.path().join("old.sock"), &path).unwrap();
        drop(listed.connect().await.unwrap());
        drop(old);
        let error = listed.connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::NotListening { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn obstacles_are_told_in_the_words_of_a_connection_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let _datagrams = std::os::unix::net::UnixDatagram::bind(dir.path().join("a.sock")).unwrap();
        let listed = first(dir.path()).await;
        let by_name = listed.endpoint.connect().await.unwrap_err();
        assert_eq!(listed.connect().await.unwrap_err().to_string(), by_name.to_string());
    }
}
