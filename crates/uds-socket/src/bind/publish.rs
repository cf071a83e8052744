//! A socket's name: given to a finished socket in one step, taken back the same way.

use std::io;

use rustix::fs::{AtFlags, RenameFlags, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::directory::{Directory, Identity, Remains};
use super::probe::Liveness;
use crate::error::Result;

/// How often to start again when the name changes hands while it is being taken.
const ATTEMPTS: u32 = 16;

/// A finished socket under its temporary name.
#[derive(Debug)]
pub(crate) struct Fresh(Published);

impl Fresh {
    pub(crate) fn new(directory: Directory, identity: Identity) -> Self {
        Self(Published { directory, identity, current: Current::Temporary, pid: std::process::id() })
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// Gives the socket its name.
    pub(crate) fn publish(mut self) -> Result<Published> {
        for _ in 0..ATTEMPTS {
            let directory = &self.0.directory;
            let name = directory.path().name();
            let published = match directory.examine(name)? {
                None => match directory.rename_if_free(&directory.path().temporary_name(), name) {
                    Ok(()) => true,
                    Err(Errno::EXIST) => false,
                    Err(errno) => return Err(directory.failed("publish", errno)),
                },
                Some(remains) => self.0.exchange(&remains)?,
            };
            if published {
                self.0.current = Current::Final;
                return Ok(self.0);
            }
        }
        Err(self.0.directory.contended(ATTEMPTS))
    }
}

/// Our socket's name, taken back when dropped. The socket must outlive it: that keeps the inode number ours.
#[derive(Debug)]
pub(crate) struct Published {
    directory: Directory,
    identity: Identity,
    current: Current,
    /// Who gave the name.
    pid: u32,
}

/// Under which of its names the socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Temporary,
    Final,
    Gone,
}

/// What became of a listener's name when it stopped listening.
#[derive(Debug)]
#[non_exhaustive]
pub enum Withdrawal {
    /// It was removed.
    Removed,
    /// Somebody had removed it already.
    Missing,
    /// Somebody has put something else there, which stays.
    Replaced,
    /// It could not be removed; the next start replaces it.
    Failed(io::Error),
    /// There was none of ours: an abstract name, or a socket of the service manager.
    NoName,
}

impl Published {
    /// Exchanges our temporary name with a stale socket; false, and all as before, if it was not that one any more.
    fn exchange(&mut self, remains: &Remains) -> Result<bool> {
        let directory = &self.directory;
        let (name, temporary) = (directory.path().name(), directory.path().temporary_name());
        let exchange = || renameat_with(directory, &temporary, directory, name, RenameFlags::EXCHANGE);
        match exchange() {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => {
                return Err(directory.failed("replace the stale socket (if it stays so, remove it)", errno));
            }
        }
        // A server between bind and listen looks stale; by now it may have got further.
        let is_it = matches!(directory.identity_of(&temporary), Ok(Some(displaced)) if displaced == remains.identity());
        if is_it
            && matches!(remains.liveness(), Ok(Liveness::Stale))
            && unlinkat(directory, &temporary, AtFlags::empty()).is_ok()
        {
            return Ok(true);
        }
        match exchange() {
            Ok(()) => Ok(false),
            Err(errno) => {
                let error = directory.failed("give back", errno);
                self.current = Current::Final;
                Err(error)
            }
        }
    }

    /// Takes the name away if it is ours.
    pub(crate) fn withdraw(mut self) -> Withdrawal {
        self.take_back()
    }

    fn take_back(&mut self) -> Withdrawal {
        let result = match std::mem::replace(&mut self.current, Current::Gone) {
            Current::Gone => Ok(Withdrawal::NoName),
            Current::Temporary => self.remove_temporary(),
            Current::Final => self.remove_final(),
        };
        result.unwrap_or_else(|errno| Withdrawal::Failed(errno.into()))
    }

    fn remove_temporary(&self) -> rustix::io::Result<Withdrawal> {
        let directory = &self.directory;
        let temporary = directory.path().temporary_name();
        match directory.identity_of(&temporary)? {
            None => Ok(Withdrawal::Missing),
            Some(identity) if identity != self.identity => Ok(Withdrawal::Replaced),
            Some(_) => unlinkat(directory, &temporary, AtFlags::empty()).map(|()| Withdrawal::Removed),
        }
    }

    fn remove_final(&self) -> rustix::io::Result<Withdrawal> {
        match self.directory.identity_of(self.directory.path().name())? {
            None => Ok(Withdrawal::Missing),
            Some(identity) if identity != self.identity => Ok(Withdrawal::Replaced),
            Some(_) => self.remove_aside(),
        }
    }

    /// There is no unlink-if-it-is-this-inode: move the name aside, where only the lock's holder works, look, and
    /// remove it or put it back.
    fn remove_aside(&self) -> rustix::io::Result<Withdrawal> {
        let directory = &self.directory;
        let (name, temporary) = (directory.path().name(), directory.path().temporary_name());
        match renameat_with(directory, name, directory, &temporary, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Withdrawal::Missing),
            // The file system cannot. Nobody but us has anything under the temporary name.
            Err(Errno::INVAL | Errno::NOSYS) => renameat(directory, name, directory, &temporary)?,
            Err(errno) => return Err(errno),
        }
        match self.remove_temporary()? {
            Withdrawal::Replaced => directory.rename_if_free(&temporary, name).map(|()| Withdrawal::Replaced),
            withdrawal => Ok(withdrawal),
        }
    }
}

impl Drop for Published {
    /// A copy of the process that gave the name (`fork(2)`) has it as well, and may end while the other serves.
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    use tempfile::TempDir;

    use super::super::FileOptions;
    use super::*;
    use crate::error::Error;
    use crate::path::SocketPath;

    /// A socket bound and listening under its temporary name.
    struct Scene {
        _socket: OwnedFd,
        fresh: Fresh,
        path: PathBuf,
        temporary: PathBuf,
        _directory: TempDir,
    }

    fn scene() -> Scene {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.sock");
        let directory = Directory::open(SocketPath::new(path.clone()).unwrap()).unwrap();
        let socket = stream();
        let fresh = directory.bind(socket.as_fd(), FileOptions::default()).unwrap();
        listen(&socket, 8).unwrap();
        Scene { _socket: socket, fresh, path, temporary: temp.path().join(".x.sock.new"), _directory: temp }
    }

    fn stream() -> OwnedFd {
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap()
    }

    fn inode(path: &Path) -> u64 {
        path.symlink_metadata().unwrap().ino()
    }

    #[test]
    fn a_server_that_replaced_the_stale_socket_meanwhile_gets_its_name_back() {
        let mut scene = scene();
        drop(UnixListener::bind(&scene.path).unwrap());
        let remains = scene.fresh.directory().examine("x.sock".as_ref()).unwrap().unwrap();
        fs::remove_file(&scene.path).unwrap();
        let _server = UnixListener::bind(&scene.path).unwrap();
        let before = (inode(&scene.path), inode(&scene.temporary));
        assert!(!scene.fresh.0.exchange(&remains).unwrap());
        assert_eq!((inode(&scene.path), inode(&scene.temporary)), before);
        let error = scene.fresh.publish().unwrap_err();
        assert!(matches!(error, Error::InUse { liveness: Liveness::Live, .. }), "{error}");
        assert_eq!(inode(&scene.path), before.0);
        assert!(!scene.temporary.exists());
    }

    #[test]
    fn a_server_that_looked_stale_and_got_further_gets_its_name_back() {
        let mut scene = scene();
        let slow = stream();
        bind(&slow, &SocketAddrUnix::new(&scene.path).unwrap()).unwrap();
        let remains = scene.fresh.directory().find("x.sock".as_ref()).unwrap().unwrap();
        listen(&slow, 8).unwrap();
        let before = (inode(&scene.path), inode(&scene.temporary));
        assert!(!scene.fresh.0.exchange(&remains).unwrap());
        assert_eq!((inode(&scene.path), inode(&scene.temporary)), before);
        UnixStream::connect(&scene.path).unwrap();
    }

    #[test]
    fn a_stale_socket_that_went_meanwhile_is_no_obstacle() {
        let mut scene = scene();
        drop(UnixListener::bind(&scene.path).unwrap());
        let remains = scene.fresh.directory().examine("x.sock".as_ref()).unwrap().unwrap();
        fs::remove_file(&scene.path).unwrap();
        assert!(!scene.fresh.0.exchange(&remains).unwrap());
        let published = scene.fresh.publish().unwrap();
        UnixStream::connect(&scene.path).unwrap();
        assert!(matches!(published.withdraw(), Withdrawal::Removed));
    }

    #[test]
    fn a_name_that_changed_hands_while_it_was_taken_back_is_put_back() {
        let scene = scene();
        let published = scene.fresh.publish().unwrap();
        fs::remove_file(&scene.path).unwrap();
        fs::write(&scene.path, "precious").unwrap();
        // What the first look would have refused: the name was still ours then.
        assert!(matches!(published.remove_aside(), Ok(Withdrawal::Replaced)));
        assert_eq!(fs::read_to_string(&scene.path).unwrap(), "precious");
        assert!(!scene.temporary.exists());
    }

    #[test]
    fn a_link_publishes_where_renaming_cannot_and_replaces_nothing_either() {
        let scene = scene();
        let directory = scene.fresh.directory();
        let (name, temporary) = (directory.path().name(), directory.path().temporary_name());
        fs::write(&scene.path, "precious").unwrap();
        assert_eq!(directory.link_if_free(&temporary, name), Err(Errno::EXIST));
        assert_eq!(fs::read_to_string(&scene.path).unwrap(), "precious");
        fs::remove_file(&scene.path).unwrap();
        directory.link_if_free(&temporary, name).unwrap();
        assert!(!scene.temporary.exists());
        UnixStream::connect(&scene.path).unwrap();
    }

    #[test]
    fn a_copy_of_the_process_leaves_the_name_to_the_one_that_gave_it() {
        let scene = scene();
        let mut published = scene.fresh.publish().unwrap();
        published.pid += 1;
        drop(published);
        UnixStream::connect(&scene.path).unwrap();
    }

    #[test]
    fn what_was_never_published_leaves_nothing() {
        let scene = scene();
        assert!(scene.temporary.exists());
        drop(scene.fresh);
        assert!(!scene.temporary.exists() && !scene.path.exists());
    }
}
