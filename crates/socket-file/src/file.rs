//! One socket file, held open, and what the kernel knows about it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::io::Errno;
use unix_diag::{Entry, SocketKind, Which};

use crate::facts::{Facts, Identity};
use crate::knock::{ask_file, question_file};
use crate::liveness::{Liveness, Verdict};
use crate::question::{Answer, Question};

/// A reading of the table may miss a socket if its neighbours close at the same time.
const READINGS: usize = 2;

/// A socket file, held open only for queries. As long as it is open, its inode number means this file and no newer one.
#[derive(Debug)]
pub struct SocketFile {
    file: File,
    facts: Facts,
}

impl AsFd for SocketFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl SocketFile {
    /// A file that was opened with `O_PATH` and is known to be a socket.
    pub(crate) fn new(file: File, facts: Facts) -> Self {
        Self { file, facts }
    }

    /// The metadata from when it was opened.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The identity of the file.
    pub fn identity(&self) -> Identity {
        self.facts.identity()
    }

    /// Asks one question about this file. It never waits. `path` must lead to the file; it is used if `/proc` is not
    /// mounted.
    pub fn ask(&self, path: &Path, question: Question) -> (Answer, Option<SocketKind>) {
        ask_file(&self.file, path, question)
    }

    /// Everything that this kernel can say about the socket behind the file, without disturbing a server.
    ///
    /// It asks these questions in this order, and connects only if no socket seems to be bound:
    ///
    /// | question | noticed by the server | what it shows |
    /// |---|---|---|
    /// | a lookup ([`Question::Lookup`]) | no | whether a socket is bound to the file, in any network namespace |
    /// | the kernel's table (`sock_diag(7)`) | no | what that socket does; only in this network namespace |
    /// | a connection ([`Question::Connect`]) | yes, if there is one | for kernels that answer a lookup differently |
    ///
    /// The verdict is [`Stale`](Verdict::Stale) if none of them finds a socket, and if either the kernel finds a socket by
    /// its file from the moment `bind(2)` has returned (Linux 5.14 or later), or the file is two seconds old. This proves
    /// nothing if the server may be in another kernel, or on the other side of a mount: see
    /// [`Filesystem::hides_servers`](crate::Filesystem::hides_servers).
    ///
    /// `path` must lead to the file; it is used if `/proc` is not mounted.
    ///
    /// # Errors
    ///
    /// The operating system's error if there is no answer, above all a shortage of descriptors.
    pub fn probe(&self, path: &Path) -> io::Result<Liveness> {
        let question = |question| question_file(self.as_fd(), path, question).map(|(answer, _)| answer);
        let looked_up = question(Question::Lookup);
        let readings = if looked_up == Ok(Answer::Unbound) { READINGS } else { 1 };
        for _ in 0..readings {
            if let Ok(Some(entry)) = self.find_in_table() {
                return Ok(Liveness::of_entry(&entry));
            }
        }
        let answer = match looked_up? {
            Answer::Unbound => question(Question::Connect)?,
            // Connecting needs the same permission.
            Answer::Denied => return Err(Errno::ACCESS.into()),
            answer => answer,
        };
        let liveness = Liveness::of_answer(answer, false, self.facts.age());
        let is_stale = liveness.is_unbound() && is_conclusive();
        Ok(if is_stale { Liveness { verdict: Verdict::Stale, ..liveness } } else { liveness })
    }

    /// The socket that is bound to the file; `None` if it is not in the table of our network namespace.
    fn find_in_table(&self) -> Result<Option<Entry>, unix_diag::Error> {
        let file = self.facts.file();
        let mut dump = unix_diag::dump(Which::Servers)?;
        dump.find(|entry| entry.as_ref().map_or(true, |entry| entry.file == Some(file))).transpose()
    }
}

/// Whether this kernel finds every socket by its file, from the moment `bind` has returned: Linux 5.14 or later, in which
/// `bind(2)` holds the directory's lock between creating the file and making the socket known. So what is asked after a
/// renaming in the same directory is conclusive. Systems that resemble Linux, such as gVisor, say that they are older, or
/// their name.
pub fn is_conclusive() -> bool {
    static IS_CONCLUSIVE: OnceLock<bool> = OnceLock::new();
    *IS_CONCLUSIVE.get_or_init(|| rustix::system::uname().release().to_str().is_ok_and(is_recent_linux))
}

fn is_recent_linux(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
    let is_recent =
        matches!((numbers.next(), numbers.next()), (Some(Some(major)), Some(Some(minor))) if (major, minor) >= (5, 14));
    is_recent && !release.to_ascii_lowercase().contains("gvisor")
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use rustix::fs::{CWD, Mode, OFlags, openat};
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

    use super::*;

    fn probe(path: &Path) -> Liveness {
        let file = File::from(openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap());
        let facts = Facts::of(&file.metadata().unwrap());
        SocketFile::new(file, facts).probe(path).unwrap()
    }

    #[test]
    fn every_condition_has_its_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let server = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&server, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(probe(&path).verdict, Verdict::Bound);
        listen(&server, 0).unwrap();
        assert_eq!(probe(&path).verdict, Verdict::Listening);
        assert!(!probe(&path).is_full());
        // None of our connections is in its queue, so one has room.
        let _client = UnixStream::connect(&path).unwrap();
        assert!(probe(&path).is_full());
        drop(server);
        while probe(&path).verdict != Verdict::Stale {
            std::thread::yield_now();
        }
        assert!(probe(&path).is_unbound());

        let datagrams = dir.path().join("b");
        let _server = UnixDatagram::bind(&datagrams).unwrap();
        assert_eq!(probe(&datagrams).verdict, Verdict::Listening);
    }

    #[test]
    fn kernels_are_told_apart_by_their_release() {
        for (release, expected) in [
            ("5.14.0", true),
            // `bind(2)` released the directory's lock before the socket was known: the change came in the next release.
            ("5.13.19", false),
            ("6.1", true),
            ("4.4.0", false),
            ("6.1.0-gvisor", false),
            ("6.18.44-fc", true),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_recent_linux(release), expected, "{release}");
        }
    }
}
