//! Taking a name away from one file and from no other.
//!
//! There is no unlink-if-it-is-this-file. So the name is moved aside, where no other process works, and what was moved is
//! examined again:
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

/// What became of a name that was to be taken away.
#[derive(Debug)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was gone already.
    Missing,
    /// Another file has it, and keeps it.
    Replaced,
    /// It is the file's, and not to be removed any more.
    Kept,
    /// What has come to have it could not be given it back, because of this. It is under the name aside.
    Displaced(io::Error),
}

impl Directory {
    /// Takes `name` away if `file` has it and, once it is moved to `aside`, `is_to_go` still says so of that path.
    ///
    /// Nothing else may have the name `aside`: hold the lock beside the socket and take
    /// [`aside_name`](crate::names::aside_name), or take a [`spare_name`](crate::names::spare_name). A crash leaves the
    /// file there. While it is aside its name is free, for some system calls.
    ///
    /// # Errors
    ///
    /// What the operating system says. The name is then as it was, if it is not said otherwise: `EBUSY` says that something
    /// is mounted over it.
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
                // Another process that has come to the same end.
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

    /// A directory with one socket, bound and not listening, held as if it had been found stale.
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

        /// If nothing is bound to it.
        fn is_to_go(&self, path: &Path) -> bool {
            self.held.ask(path, Question::Connect).0 == Answer::Unbound
        }

        fn remove(&self) -> Removal {
            let (name, aside) = (OsStr::new(NAME), OsStr::new(ASIDE));
            self.directory.remove(name, aside, self.held.identity(), |path| self.is_to_go(path)).unwrap()
        }

        /// As if it had changed hands after the first comparison.
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
