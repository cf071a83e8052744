//! Removing the name of one file, and the name of no other.
//!
//! There is no system call that unlinks a name only if it belongs to a given file. So we move the file aside, to a name
//! that no other process uses, and examine it again there:
//!
//! ```text
//!   is it the file? ──► moved aside ──► the same file, and still to be removed? ── yes ─► unlinked
//!     │ no                                └─ no ─► given its name back, unless that was taken meanwhile
//! ```

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, unlinkat};

use crate::directory::Directory;
use crate::facts::Identity;

/// The result of removing a name.
#[derive(Debug)]
pub enum Removal {
    /// The name was removed.
    Removed,
    /// The name was already gone.
    Missing,
    /// Another file has the name and keeps it.
    Replaced,
    /// The file has the name, but is not to be removed any more.
    Kept,
    /// Another file had taken the name, and could not get it back because of this error. It is under the name aside.
    Displaced(io::Error),
}

impl Directory {
    /// Removes `name` if it belongs to `file` and if `is_to_go`, called with the path after the file was moved to
    /// `aside`, still returns `true`.
    ///
    /// No other file may have the name `aside`: hold the lock beside the socket and use
    /// [`aside_name`](crate::names::aside_name), or use a [`spare_name`](crate::names::spare_name). After a crash, the
    /// file stays there. While the file is aside, its name is free for the duration of a few system calls.
    ///
    /// # Errors
    ///
    /// The operating system's error. The name is then unchanged, unless the error says otherwise: `EBUSY` means that it
    /// is a mount point.
    pub fn remove(
        &self,
        name: &OsStr,
        aside: &OsStr,
        file: Identity,
        is_to_go: impl FnOnce(&Path) -> bool,
    ) -> io::Result<Removal> {
        match self.identity_of(name)? {
            None => Ok(Removal::Missing),
            Some(named) if named != file => Ok(Removal::Replaced),
            Some(_) => self.remove_aside(name, aside, file, is_to_go),
        }
    }

    fn remove_aside(
        &self,
        name: &OsStr,
        aside: &OsStr,
        file: Identity,
        is_to_go: impl FnOnce(&Path) -> bool,
    ) -> io::Result<Removal> {
        match self.move_aside(name, aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Missing),
            Err(error) => return Err(error),
        }
        let is_it = self.identity_of(aside).is_ok_and(|moved| moved == Some(file));
        let mut outcome = Ok(if is_it { Removal::Kept } else { Removal::Replaced });
        if is_it && is_to_go(&self.path_of(aside)) {
            match unlinkat(self, aside, AtFlags::empty()).map_err(io::Error::from) {
                Ok(()) => return Ok(Removal::Removed),
                // Another process has done the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Removed),
                Err(error) => outcome = Err(error),
            }
        }
        match self.rename_if_free(aside, name) {
            Ok(()) => outcome,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Removal::Missing),
            Err(error) => Ok(Removal::Displaced(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use rustix::fs::{Mode, OFlags, open};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    use tempfile::TempDir;

    use super::*;
    use crate::file::SocketFile;
    use crate::question::{Answer, Question};

    /// A directory with one socket, bound and not listening, held open as if it had been found stale.
    struct Scene {
        temp: TempDir,
        directory: Directory,
        held: SocketFile,
        socket: OwnedFd,
    }

    const NAME: &str = "a";
    const ASIDE: &str = ".a.old";

    impl Scene {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            bind(&socket, &SocketAddrUnix::new(temp.path().join(NAME)).unwrap()).unwrap();
            let fd = open(temp.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
            let directory = Directory::new(fd, temp.path().to_owned());
            let held = directory.find_socket(OsStr::new(NAME)).unwrap().unwrap();
            Self { temp, directory, held, socket }
        }

        /// Whether nothing is bound to it.
        fn is_to_go(&self, path: &Path) -> bool {
            self.held.ask(path, Question::Connect).0 == Answer::Unbound
        }

        fn remove(&self) -> Removal {
            let (name, aside) = (OsStr::new(NAME), OsStr::new(ASIDE));
            self.directory.remove(name, aside, self.held.identity(), |path| self.is_to_go(path)).unwrap()
        }

        /// As if the name had changed its file after the first comparison.
        fn remove_aside(&self) -> Removal {
            let (name, aside) = (OsStr::new(NAME), OsStr::new(ASIDE));
            self.directory.remove_aside(name, aside, self.held.identity(), |path| self.is_to_go(path)).unwrap()
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(self.temp.path()).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        }

        fn path(&self) -> std::path::PathBuf {
            self.temp.path().join(NAME)
        }
    }

    #[test]
    fn what_is_stale_goes() {
        let Scene { temp, directory, held, socket } = Scene::new();
        drop(socket);
        let scene = Scene { temp, directory, held, socket: stream() };
        while !scene.is_to_go(&scene.path()) {
            std::thread::yield_now();
        }
        assert!(matches!(scene.remove(), Removal::Removed));
        assert!(matches!(scene.remove(), Removal::Missing));
        assert!(matches!(scene.remove_aside(), Removal::Missing));
        assert_eq!(scene.names(), [""; 0]);
    }

    fn stream() -> OwnedFd {
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap()
    }

    #[test]
    fn what_has_taken_the_name_meanwhile_is_given_it_back() {
        let scene = Scene::new();
        fs::remove_file(scene.path()).unwrap();
        fs::write(scene.path(), "precious").unwrap();
        for remove in [Scene::remove, Scene::remove_aside] {
            assert!(matches!(remove(&scene), Removal::Replaced));
            assert_eq!(fs::read_to_string(scene.path()).unwrap(), "precious");
            assert_eq!(scene.names(), [NAME]);
        }
        fs::remove_file(scene.path()).unwrap();
        let _server = UnixListener::bind(scene.path()).unwrap();
        for remove in [Scene::remove, Scene::remove_aside] {
            assert!(matches!(remove(&scene), Removal::Replaced));
            UnixStream::connect(scene.path()).unwrap();
            assert_eq!(scene.names(), [NAME]);
        }
    }

    #[test]
    fn one_that_turns_out_to_be_bound_is_given_its_name_back() {
        let scene = Scene::new();
        assert!(matches!(scene.remove(), Removal::Kept));
        listen(&scene.socket, 8).unwrap();
        assert!(matches!(scene.remove(), Removal::Kept));
        assert_eq!(scene.names(), [NAME]);
        UnixStream::connect(scene.path()).unwrap();
    }

    #[test]
    fn a_name_that_was_taken_while_its_file_was_aside_is_left_to_the_other() {
        let scene = Scene::new();
        let (name, aside) = (OsStr::new(NAME), OsStr::new(ASIDE));
        let removal = scene.directory.remove(name, aside, scene.held.identity(), |_| {
            fs::write(scene.path(), "precious").unwrap();
            false
        });
        assert!(matches!(removal, Ok(Removal::Displaced(_))), "{removal:?}");
        assert_eq!(fs::read_to_string(scene.path()).unwrap(), "precious");
        assert_eq!(scene.directory.identity_of(aside).unwrap(), Some(scene.held.identity()));
    }
}
