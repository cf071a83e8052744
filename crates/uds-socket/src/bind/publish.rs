//! A socket's name: how it is bound, watched, and removed at the end.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lock_file::Lock;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, chownat, fchmod, fstat, openat, unlinkat};
use rustix::io::Errno;
use socket_file::{Identity, Removal};

use super::directory::{ATTEMPTS, Directory, identity};
use super::file_options::FileOptions;
use crate::error::BindError;

/// How long a start waits for a lock that another process only examines.
const PATIENCE: Duration = Duration::from_millis(100);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(1);

/// The lock beside the socket. Its holder may remove and replace the name.
///
/// Dropping it removes the lock file, then releases the lock.
#[derive(Debug)]
pub(crate) struct NameLock {
    directory: Arc<Directory>,
    lock: Option<Lock>,
}

impl NameLock {
    /// Takes the lock, or returns which process holds it.
    ///
    /// A sweep examines the lock while it examines the socket beside it, and holds the lock while it removes the
    /// socket. That takes a few system calls, so a start tries again for [a while](PATIENCE). Against a holder it does
    /// not try for long, because that usually is a server.
    pub(crate) fn take(directory: &Arc<Directory>, is_start: bool) -> Result<Self, BindError> {
        let name = directory.path().lock_name();
        let began = Instant::now();
        loop {
            let (pid, patience) = match Lock::take(directory.as_fd(), &name) {
                Ok(lock) => return Ok(Self { directory: Arc::clone(directory), lock: Some(lock) }),
                Err(lock_file::Error::Held { pid }) => (pid, PATIENCE / 10),
                // It is constantly being replaced, so some process holds it.
                Err(lock_file::Error::Examined | lock_file::Error::Contended { .. }) => (None, PATIENCE),
                Err(lock_file::Error::Foreign { fault }) => {
                    return Err(BindError::ForeignLock { lock: directory.path().directory().join(&name), fault });
                }
                Err(error) => return Err(directory.failed("take the lock beside", error)),
            };
            if !is_start || began.elapsed() >= patience {
                let lock = directory.path().directory().join(&name);
                return Err(BindError::Locked { path: directory.path().as_path().to_owned(), lock, pid });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether its file is still the one beside the name in this directory. Otherwise it does not exclude other
    /// processes there.
    pub(crate) fn is_of(&self, directory: &Directory) -> bool {
        let name = directory.path().lock_name();
        self.lock.as_ref().is_some_and(|lock| lock.has_name(directory, &name).unwrap_or(false))
    }
}

impl Drop for NameLock {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            // If the file stays, it does not block any start.
            let _ = lock.remove(&*self.directory, self.directory.path().lock_name());
        }
    }
}

/// Our socket's name, which is removed on drop. The socket must outlive it, because it keeps the inode number ours.
#[derive(Debug)]
pub(crate) struct Published {
    directory: Arc<Directory>,
    identity: Identity,
    is_taken_back: bool,
    /// The process that bound the name.
    pid: u32,
}

/// What happened to a listener's name when it stopped listening.
#[derive(Debug)]
#[non_exhaustive]
pub enum Withdrawal {
    /// It was removed.
    Removed,
    /// It had already been removed.
    Missing,
    /// Another file has the name, and keeps it.
    Replaced,
    /// It could not be removed. The next start replaces it.
    Failed(io::Error),
    /// The listener has no name of its own in the filesystem: it uses an abstract name, or a socket of the service
    /// manager.
    NoName,
}

impl Published {
    /// Binds the name to a socket that `make` creates, after removing a stale one. `listen` follows `bind(2)`
    /// immediately, so that a client that waits for the name to appear is not refused. The file's mode is no wider than
    /// requested. If the name is lost in the meantime, it is bound again, unless a server has it by then. Also returns
    /// the file's metadata.
    pub(crate) fn take(
        directory: &Arc<Directory>,
        options: FileOptions,
        mut make: impl FnMut() -> Result<OwnedFd, BindError>,
        listen: impl Fn(&OwnedFd) -> Result<(), BindError>,
    ) -> Result<(OwnedFd, Self, Stat), BindError> {
        for _ in 0..ATTEMPTS {
            directory.clear()?;
            // A socket that has a name cannot get another one.
            let socket = make()?;
            match Self::bind(directory, &socket, options, &listen) {
                Ok(Some((published, file))) => return Ok((socket, published, file)),
                Ok(None) | Err(BindError::Contended { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(directory.contended(ATTEMPTS))
    }

    /// `None` if another process has bound the name in the meantime.
    fn bind(
        directory: &Arc<Directory>,
        socket: &OwnedFd,
        options: FileOptions,
        listen: &impl Fn(&OwnedFd) -> Result<(), BindError>,
    ) -> Result<Option<(Self, Stat)>, BindError> {
        let begin = options.mode_to_begin_with();
        fchmod(socket, begin).map_err(|errno| directory.failed("prepare the mode of", errno))?;
        let path = directory.path();
        let address = path.address_in(directory.as_fd());
        let listening;
        match address.map_err(|errno| directory.failed("form the address of", errno))? {
            Some(address) => match rustix::net::bind(socket, &address) {
                Ok(()) => listening = listen(socket),
                Err(Errno::ADDRINUSE) => return Ok(None),
                Err(errno) => return Err(directory.failed(BINDING, errno)),
            },
            None => {
                // The kernel's name for it is the one aside, because it cannot hold a longer one.
                let aside = path.aside_name();
                let address = path.address_aside(directory.as_fd());
                let address = address.map_err(|errno| directory.failed("form the address of", errno))?;
                rustix::net::bind(socket, &address).map_err(|errno| directory.failed(BINDING, errno))?;
                listening = listen(socket);
                if let Err(error) = directory.publish() {
                    let _ = unlinkat(directory, &aside, AtFlags::empty());
                    let is_taken = error.kind() == io::ErrorKind::AlreadyExists;
                    return if is_taken { Ok(None) } else { Err(directory.failed("publish", error)) };
                }
            }
        }
        let published = Self::of_bound(directory, socket.as_fd(), path.name())?;
        // A failure removes the name.
        listening?;
        let file = published.open_up(options)?;
        Ok(Some((published, file)))
    }

    /// Finds the name that was just bound, without using a descriptor, so that it is removed if anything fails from
    /// here on.
    fn of_bound(directory: &Arc<Directory>, socket: BorrowedFd<'_>, name: &OsStr) -> Result<Self, BindError> {
        let failed = |errno| directory.failed("find the bound file of", errno);
        let stat = directory.stat_of(name).map_err(failed)?.ok_or_else(|| directory.contended(1))?;
        directory.expect_socket(name, &stat)?;
        let is_ours = match is_bound_to(socket, &stat) {
            Some(is_ours) => is_ours,
            // On filesystems that show the files of other systems, all files may have the same owner, or an invented
            // one.
            None if directory.may_change_owners() => true,
            None => stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_nlink == 1,
        };
        if !is_ours {
            return Err(directory.contended(1));
        }
        Ok(Self {
            directory: Arc::clone(directory),
            identity: identity(&stat),
            is_taken_back: false,
            pid: std::process::id(),
        })
    }

    /// Gives the file its owner and mode once the socket listens. Returns the file's metadata after that.
    fn open_up(&self, options: FileOptions) -> Result<Stat, BindError> {
        let directory = &self.directory;
        let name = directory.path().name();
        let failed = |errno| directory.failed("open the bound file of", errno);
        let stat = directory.stat_of(name).map_err(failed)?;
        let stat = stat.filter(|stat| identity(stat) == self.identity).ok_or_else(|| directory.contended(1))?;
        if !options.has_owner() && Mode::from_raw_mode(stat.st_mode) & ALL == options.mode().to_system() {
            return Ok(stat);
        }
        // By descriptor: in another user's directory, the name may lead elsewhere a moment later.
        let file = openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let file = file.map_err(failed)?;
        if identity(&fstat(&file).map_err(failed)?) != self.identity {
            return Err(directory.contended(1));
        }
        if options.has_owner() {
            chownat(&file, c"", options.owner(), options.group(), AtFlags::EMPTY_PATH)
                .map_err(|errno| directory.failed("set the owner of", errno))?;
        }
        directory
            .set_mode(file.as_fd(), options.mode().to_system())
            .map_err(|errno| directory.failed("set the mode of", errno))?;
        fstat(&file).map_err(failed)
    }

    /// How the name was lost, if it no longer leads to our socket; `None` also if we cannot find out right now.
    pub(crate) fn is_lost(&self) -> Option<NameLoss> {
        match self.directory.leads_to(self.identity) {
            Ok(Some(true)) | Err(_) => None,
            Ok(Some(false)) => Some(NameLoss::Replaced),
            Ok(None) => Some(NameLoss::Removed),
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Removes the name if it is ours.
    pub(crate) fn withdraw(mut self) -> Withdrawal {
        self.take_back()
    }

    fn take_back(&mut self) -> Withdrawal {
        if std::mem::replace(&mut self.is_taken_back, true) {
            return Withdrawal::NoName;
        }
        match self.directory.remove(self.identity) {
            Ok(Removal::Removed) => Withdrawal::Removed,
            Ok(Removal::Missing) => Withdrawal::Missing,
            Ok(Removal::Replaced | Removal::Kept) => Withdrawal::Replaced,
            Ok(Removal::Displaced(error)) | Err(error) => Withdrawal::Failed(error),
        }
    }
}

const BINDING: &str = "bind (a path of more than 107 bytes takes /proc)";

const ALL: Mode = Mode::from_raw_mode(0o7777);

/// How a listener's name stopped leading to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameLoss {
    /// No file has the name any more, or its directory is gone.
    Removed,
    /// Another file has the name.
    Replaced,
}

impl std::fmt::Display for NameLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Removed => "its file was removed",
            Self::Replaced => "its file was replaced",
        })
    }
}

/// Whether `socket` is bound to this file, if the kernel says. It may not say, or may know the file under the number
/// that it has inside another filesystem.
fn is_bound_to(socket: BorrowedFd<'_>, stat: &Stat) -> Option<bool> {
    let number = u32::try_from(fstat(socket).ok()?.st_ino).ok()?;
    let file = unix_diag::find(number).ok()??.file?;
    let named = unix_diag::FileId::new(stat.st_dev, stat.st_ino);
    (file.device == named.device).then_some(file == named)
}

impl Drop for Published {
    /// A copy of the process that bound the name (`fork(2)`) has this value, too, and may end while the other one still
    /// serves.
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};

    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    use socket_file::Verdict;
    use tempfile::TempDir;

    use super::super::directory::Exceptions;
    use super::*;
    use crate::path::SocketPath;

    /// A directory, and the names in it.
    struct Scene {
        directory: Arc<Directory>,
        path: PathBuf,
        aside: PathBuf,
        _temp: TempDir,
    }

    fn scene() -> Scene {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("x.sock");
        let directory = Directory::open(SocketPath::new(path.clone()).unwrap(), Exceptions::default()).unwrap();
        Scene { directory: Arc::new(directory), path, aside: temp.path().join(".x.sock.old"), _temp: temp }
    }

    impl Scene {
        fn take(&self) -> Result<(OwnedFd, Published), BindError> {
            self.take_by(|socket| {
                listen(socket, 8).unwrap();
                Ok(())
            })
        }

        fn take_by(
            &self,
            listen: impl Fn(&OwnedFd) -> Result<(), BindError>,
        ) -> Result<(OwnedFd, Published), BindError> {
            let (socket, published, _) =
                Published::take(&self.directory, FileOptions::default(), || Ok(stream()), listen)?;
            Ok((socket, published))
        }
    }

    fn stream() -> OwnedFd {
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap()
    }

    fn inode(path: &Path) -> u64 {
        path.symlink_metadata().unwrap().ino()
    }

    /// A socket that was found stale may be gone or replaced when it is to be removed.
    #[test]
    fn what_changed_while_a_stale_socket_was_removed_is_no_obstacle_and_no_harm() {
        let scene = scene();
        let aside = scene.directory.path().aside_name();
        drop(UnixListener::bind(&scene.path).unwrap());
        let stale = scene.directory.find("x.sock".as_ref()).unwrap().unwrap();
        fs::remove_file(&scene.path).unwrap();
        scene.directory.remove_stale(&stale, &aside).unwrap();
        let (_socket, published) = scene.take().unwrap();
        scene.directory.remove_stale(&stale, &aside).unwrap();
        UnixStream::connect(&scene.path).unwrap();
        assert!(matches!(published.withdraw(), Withdrawal::Removed));

        let _server = UnixListener::bind(&scene.path).unwrap();
        let before = inode(&scene.path);
        scene.directory.remove_stale(&stale, &aside).unwrap();
        let error = scene.take().unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        assert_eq!(inode(&scene.path), before);
        assert!(!scene.aside.exists());
    }

    #[test]
    fn a_server_that_looked_stale_and_got_further_keeps_its_name() {
        let scene = scene();
        let slow = stream();
        bind(&slow, &SocketAddrUnix::new(&scene.path).unwrap()).unwrap();
        let remains = scene.directory.find("x.sock".as_ref()).unwrap().unwrap();
        let before = inode(&scene.path);
        scene.directory.remove_stale(&remains, &scene.directory.path().aside_name()).unwrap();
        assert_eq!(inode(&scene.path), before);
        assert!(!scene.aside.exists());
        listen(&slow, 8).unwrap();
        UnixStream::connect(&scene.path).unwrap();
    }

    /// A plain server binds the name while another one, which is live, is aside; then it dies.
    #[test]
    fn a_live_server_aside_gets_the_name_of_a_stale_one() {
        let scene = scene();
        let _server = UnixListener::bind(&scene.path).unwrap();
        let before = inode(&scene.path);
        fs::rename(&scene.path, &scene.aside).unwrap();
        drop(UnixListener::bind(&scene.path).unwrap());
        let error = scene.take().unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
        assert_eq!(inode(&scene.path), before);
        UnixStream::connect(&scene.path).unwrap();
        assert_eq!(fs::read_dir(scene.path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_server_that_a_crash_has_left_aside_gets_its_name_back() {
        let scene = scene();
        let _server = UnixListener::bind(&scene.path).unwrap();
        fs::rename(&scene.path, &scene.aside).unwrap();
        let error = scene.take().unwrap_err();
        assert!(
            matches!(&error, BindError::InUse { path, liveness }
            if *path == scene.path && liveness.verdict == Verdict::Listening),
            "{error}"
        );
        UnixStream::connect(&scene.path).unwrap();
        assert!(!scene.aside.exists());
    }

    /// Another server removes our file and binds, between our `bind` and our check of what was bound.
    #[test]
    fn a_file_that_replaced_ours_before_it_was_found_is_not_taken_for_ours() {
        let scene = scene();
        let socket = stream();
        bind(&socket, &SocketAddrUnix::new(&scene.path).unwrap()).unwrap();
        fs::remove_file(&scene.path).unwrap();
        let _server = UnixListener::bind(&scene.path).unwrap();
        let error = Published::of_bound(&scene.directory, socket.as_fd(), "x.sock".as_ref()).unwrap_err();
        assert!(matches!(error, BindError::Contended { .. }), "{error}");
        UnixStream::connect(&scene.path).unwrap();
    }

    /// As a cleaner does that removes what it takes for rubbish, or a server that takes the name by force.
    #[test]
    fn a_name_that_is_lost_while_it_is_taken_is_taken_again_unless_a_server_has_it() {
        for servers in [false, true] {
            let scene = scene();
            let removals = std::cell::Cell::new(0);
            let server = std::cell::Cell::new(None);
            let taken = scene.take_by(|socket| {
                listen(socket, 8).unwrap();
                if removals.replace(1) == 0 {
                    fs::remove_file(&scene.path).unwrap();
                    server.set(servers.then(|| UnixListener::bind(&scene.path).unwrap()));
                }
                Ok(())
            });
            match taken {
                Ok((_socket, _published)) if !servers => drop(UnixStream::connect(&scene.path).unwrap()),
                Err(BindError::InUse { .. }) if servers => {}
                other => panic!("{servers}: {other:?}"),
            }
        }
        // Not without end.
        let scene = scene();
        let remove = |_: &OwnedFd| {
            fs::remove_file(&scene.path).unwrap();
            Ok(())
        };
        let error = scene.take_by(remove).unwrap_err();
        assert!(matches!(error, BindError::Contended { attempts: ATTEMPTS, .. }), "{error}");
    }

    #[test]
    fn a_copy_of_the_process_leaves_the_name_to_the_one_that_took_it() {
        let scene = scene();
        let (_socket, mut published) = scene.take().unwrap();
        published.pid += 1;
        drop(published);
        UnixStream::connect(&scene.path).unwrap();
    }
}
