//! What is behind each socket of a directory, all at once.

mod beyond;
mod entry;

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};
use socket_file::{
    self as probe, Answer, Directory, DotFiles, Evidence, Facts, Filesystem, Liveness, Probing, Question, SocketKind,
    Verdict,
};
use unix_diag::{FileId, Table, Which};

use self::beyond::{Beyond, Counted, DEPTH};
use self::entry::type_of;
use super::processes::{self, Process};
use super::{Error, Handle};

/// A descriptor that allows nothing but queries about the file.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The result of a survey.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The sockets, in the order of their directories as you gave them, and then of their paths.
    pub sockets: Vec<Found>,
    /// How many sockets were left out, and why.
    pub passed_over: PassedOver,
    /// How many processes hide their descriptors from this user. One of them may hold a socket without
    /// [processes](Found::processes). `None` if `/proc` shows no processes at all.
    pub hidden: Option<usize>,
    /// Why the kernel's table of sockets could not be read, if so.
    pub no_table: Option<unix_diag::Error>,
    /// What it cost the kernel.
    pub cost: Cost,
}

/// What a [`Survey`] cost the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// How often its table of sockets was read: at most three times.
    pub tables: usize,
    /// How many files were queried one by one: those that the table does not have.
    pub questions: usize,
}

/// Sockets that a [`Survey`] has left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedOver {
    /// Sockets with names that begin with a dot, and those in directories with such names: see [`Inspection::dot_files`].
    pub dot_names: usize,
    /// Symbolic links to sockets: see [`Inspection::links`].
    pub links: usize,
    /// Sockets in directories below, however deep: see [`Inspection::recursive`].
    pub below: usize,
    /// Directories that could not be read.
    pub unreadable: usize,
    /// Directories that were not searched: those 32 levels below, and those beyond 1024 whose sockets are only counted.
    pub not_searched: usize,
}

/// A socket, and what is behind it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The directory as you gave it, joined with the socket's name; or the socket's path as you gave it.
    pub path: PathBuf,
    /// What `lstat` returned; for a link, what `stat` returned.
    pub facts: Facts,
    /// The kind of socket, if known.
    pub kind: Option<SocketKind>,
    /// Whether a server listens, and how that is known.
    pub liveness: Liveness,
    /// Whether the path is a symbolic link to the socket.
    pub is_link: bool,
    /// The processes that have it open, as far as we can see. Several processes hold a listener that was inherited or
    /// passed on.
    pub processes: Vec<Process>,
}

/// Options of a survey.
///
/// A survey reads the kernel's table of sockets (`sock_diag(7)`), which shows one network namespace. It searches the
/// descriptors of all processes, of which a user without privileges sees only their own. For files that the table does
/// not have, it asks the kernel what is bound to them. It connects to nothing unless [`Probing::TableAndConnect`]
/// allows it.
///
/// However many sockets there are, the table is read at most three times and each process is examined once.
///
/// ```
/// use fs_watch::directory::Inspection;
/// # use std::os::unix::net::UnixListener;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # std::fs::create_dir(dir.path().join("driver"))?;
/// let _plugin = UnixListener::bind(dir.path().join("driver/csi.sock"))?;
/// let shallow = Inspection::default().run([dir.path()])?;
/// assert_eq!((shallow.sockets.len(), shallow.passed_over.below), (0, 1));
/// let deep = Inspection::default().recursive(true).run([dir.path()])?;
/// assert!(deep.sockets[0].path.ends_with("driver/csi.sock"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "nothing is surveyed before `run`"]
pub struct Inspection {
    probing: Probing,
    dot_files: DotFiles,
    links: bool,
    recursive: bool,
}

impl Inspection {
    /// How to find out whether a server listens: [`Probing::Kernel`] by default.
    pub fn probing(self, probing: Probing) -> Self {
        Self { probing, ..self }
    }

    /// Whether to list sockets with names that begin with a dot. By default they are not listed.
    pub fn dot_files(self, dot_files: DotFiles) -> Self {
        Self { dot_files, ..self }
    }

    /// Whether to list symbolic links to sockets. By default they are not listed.
    pub fn links(self, links: bool) -> Self {
        Self { links, ..self }
    }

    /// Whether to list the sockets of subdirectories. By default they are not listed. Links to directories are not
    /// followed.
    pub fn recursive(self, recursive: bool) -> Self {
        Self { recursive, ..self }
    }

    /// Surveys these directories and sockets. Blocks for as long as the filesystems and `/proc` take, and waits for no
    /// server.
    ///
    /// # Errors
    ///
    /// One of them cannot be opened or listed: [`Error::Missing`], [`Error::NeitherSocketNorDirectory`],
    /// [`Error::Unreadable`].
    pub fn run<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> Result<Survey, Error> {
        let mut listing = Listing::new(*self);
        for path in paths {
            listing.add(path.as_ref())?;
        }
        Ok(self.judge_all(listing))
    }

    /// Surveys those of these directories and sockets that can be surveyed, and returns the errors of the others, in their
    /// order. Otherwise as [`run`](Self::run).
    pub fn run_each<P: AsRef<Path>>(&self, paths: impl IntoIterator<Item = P>) -> (Survey, Vec<Error>) {
        let mut listing = Listing::new(*self);
        let errors = paths.into_iter().filter_map(|path| listing.add(path.as_ref()).err()).collect();
        (self.judge_all(listing), errors)
    }

    fn judge_all(&self, listing: Listing) -> Survey {
        let Listing { seen, mut passed_over, beyond, .. } = listing;
        let Counted { sockets, not_searched } = beyond.count();
        passed_over.not_searched += not_searched;
        if self.recursive {
            // It was a name with a dot that kept us out.
            passed_over.dot_names += sockets;
        } else {
            passed_over.below += sockets;
        }
        // After the listing: a table that is older than a socket does not have it.
        let mut cost = Cost::default();
        let (table, no_table) = match self.probing {
            Probing::Off => (None, None),
            Probing::Kernel | Probing::TableOnly | Probing::TableAndConnect => match read_table(&seen, &mut cost) {
                Ok(table) => (Some(table), None),
                Err(error) => (None, Some(error)),
            },
        };
        let mut found: Vec<Found> = seen.into_iter().map(|seen| self.judge(seen, table.as_ref())).collect();
        cost.questions = found.iter().filter(|found| matches!(found.liveness.evidence, Evidence::Connect(_))).count();
        find_connected(&mut found, &mut cost);
        if self.probing == Probing::Kernel {
            doubt_behind_mounts(&mut found);
        }
        let numbers: HashSet<u32> = found.iter().filter_map(Found::number).collect();
        let holders = processes::find(&numbers);
        for socket in &mut found {
            socket.processes =
                socket.number().and_then(|number| holders.by_socket.get(&number).cloned()).unwrap_or_default();
        }
        Survey { sockets: found, passed_over, hidden: holders.hidden, no_table, cost }
    }

    fn judge(&self, seen: Seen, table: Option<&Table>) -> Found {
        let Seen { path, behind_link, facts, hides_servers } = seen;
        let is_link = behind_link.is_some();
        let (liveness, kind) = match table.and_then(|table| table.get(facts.file())) {
            Some(entry) => (Liveness::of_entry(entry), entry.kind),
            None => match self.probing.question(table.is_some() || probe::is_conclusive()) {
                Some(question) => {
                    let (answer, kind) = probe::ask(behind_link.as_ref().unwrap_or(&path), &facts, question);
                    let mut liveness = Liveness::of_answer(answer, false, facts.age());
                    // Unbound on this side says nothing about the other side. If you want to know whether you can
                    // connect, use a connection.
                    if question == Question::Lookup && hides_servers && liveness.verdict == Verdict::Stale {
                        liveness.verdict = Verdict::Unknown;
                    }
                    (liveness, kind)
                }
                None => (Liveness::UNASKED, None),
            },
        };
        Found { path, facts, kind, liveness, is_link, processes: Vec::new() }
    }
}

/// Lists the sockets of a directory, with what is behind them.
///
/// # Errors
///
/// The directory cannot be opened or listed: [`Error::Missing`], [`Error::NotADirectory`], [`Error::Unreadable`].
pub fn survey(dir: impl AsRef<Path>, probing: Probing) -> Result<Survey, Error> {
    drop(Handle::open(dir.as_ref())?);
    Inspection::default().probing(probing).run([dir])
}

/// Reads a second time if the first reading lacks a socket: a reading in pieces may have missed it, and need not be
/// queried for it.
fn read_table(seen: &[Seen], cost: &mut Cost) -> Result<Table, unix_diag::Error> {
    cost.tables += 1;
    let mut table = Table::read()?;
    if seen.iter().any(|seen| table.get(seen.facts.file()).is_none()) {
        cost.tables += 1;
        // If there is no second table, the first one still counts.
        let _ = table.read_again();
    }
    Ok(table)
}

/// A client with a name of its own is in the table as one end of a connection. So is a connection that a listener
/// accepted, under the listener's name; but this sees only files that a lookup has found bound.
fn find_connected(found: &mut [Found], cost: &mut Cost) {
    let is_wanted = |found: &Found| found.liveness.evidence == Evidence::Connect(Answer::Bound);
    if !found.iter().any(is_wanted) {
        return;
    }
    cost.tables += 1;
    let Ok(dump) = unix_diag::dump(Which::All) else { return };
    let entries: Vec<_> = dump.map_while(Result::ok).filter(|entry| entry.kind != Some(SocketKind::Datagram)).collect();
    for found in found.iter_mut().filter(|found| is_wanted(found)) {
        let file: FileId = found.facts.file();
        let mut matching = entries.iter().filter(|entry| entry.file == Some(file));
        // Several may be connections that a listener of another namespace has passed on.
        if let (Some(entry), None) = (matching.next(), matching.next()) {
            found.liveness = Liveness::of_entry(entry);
            found.kind = entry.kind;
        }
    }
}

/// A socket that is served through an overlay or a FUSE mount is unbound in the directory behind it.
fn doubt_behind_mounts(found: &mut [Found]) {
    let mut is_backing = HashMap::new();
    for found in found.iter_mut().filter(|found| found.liveness.verdict == Verdict::Stale) {
        let dir = found.path.parent().unwrap_or(&found.path);
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        if *is_backing.entry(dir.to_owned()).or_insert_with(|| socket_file::is_backing_side(dir)) {
            found.liveness.verdict = Verdict::Unknown;
        }
    }
}

/// A socket that was listed. It is not held open: there may be more of them than descriptors.
struct Seen {
    path: PathBuf,
    /// For a link: where it leads.
    behind_link: Option<PathBuf>,
    facts: Facts,
    /// Whether its filesystem may hide a server from our kernel.
    hides_servers: bool,
}

struct Listing {
    how: Inspection,
    seen: Vec<Seen>,
    passed_over: PassedOver,
    /// Directories that are not listed.
    beyond: Beyond,
}

impl Listing {
    fn new(how: Inspection) -> Self {
        Self { how, seen: Vec::new(), passed_over: PassedOver::default(), beyond: Beyond::default() }
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        match Handle::open(path) {
            Ok(handle) => {
                let from = self.seen.len();
                if let Err(error) = self.list(&handle, 0) {
                    // Half of a directory is not shown as if it were all of it.
                    self.seen.truncate(from);
                    return Err(error);
                }
                self.seen[from..].sort_by(|left, right| left.path.cmp(&right.path));
                // A file that is renamed during a listing may be in it twice.
                let mut named = HashSet::new();
                let mut number = 0;
                self.seen.retain(|seen| {
                    number += 1;
                    number <= from || named.insert(seen.path.clone())
                });
                Ok(())
            }
            Err(Error::NotADirectory { dir } | Error::Unreadable { dir, .. }) if is_socket(&dir) => {
                self.add_socket(dir)
            }
            Err(Error::NotADirectory { dir }) => Err(Error::NeitherSocketNorDirectory { path: dir }),
            Err(error) => Err(error),
        }
    }

    /// Adds a socket that you named, possibly through a link.
    fn add_socket(&mut self, path: PathBuf) -> Result<(), Error> {
        let unreadable = |source| Error::Unreadable { dir: path.clone(), source };
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        let behind_link = if is_link { Some(path.canonicalize().map_err(unreadable)?) } else { None };
        let file = openat(CWD, behind_link.as_ref().unwrap_or(&path), PLACE, Mode::empty());
        let file = File::from(file.map_err(|errno| unreadable(errno.into()))?);
        let facts = Facts::of(&file.metadata().map_err(unreadable)?);
        let hides_servers = Filesystem::of_file(&file).hides_servers().is_some();
        self.seen.push(Seen { path, behind_link, facts, hides_servers });
        Ok(())
    }

    fn list(&mut self, handle: &Handle, depth: usize) -> Result<(), Error> {
        let hides_servers = handle.hides_servers().is_some();
        for entry in Dir::read_from(handle).map_err(|errno| handle.unreadable(errno))? {
            let entry = entry.map_err(|errno| handle.unreadable(errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            match type_of(handle, name, entry.file_type()) {
                FileType::Socket if !self.how.dot_files.admit(name) => self.passed_over.dot_names += 1,
                FileType::Socket => {
                    let found = handle.find_socket(name).map_err(|error| handle.unreadable(error))?;
                    if let Some(facts) = found.map(|found| *found.facts()) {
                        self.seen.push(Seen { path: handle.path_of(name), behind_link: None, facts, hides_servers });
                    }
                }
                FileType::Symlink => self.add_link(handle, name),
                FileType::Directory if name != "." && name != ".." => self.descend(handle, name, depth),
                _ => {}
            }
        }
        Ok(())
    }

    fn add_link(&mut self, handle: &Handle, name: &OsStr) {
        let path = handle.path_of(name);
        let Ok(target) = path.canonicalize() else { return };
        if !is_socket(&target) {
            return;
        }
        if !self.how.links || !self.how.dot_files.admit(name) {
            self.passed_over.links += 1;
            return;
        }
        // A socket that is gone by now is left out.
        drop(self.add_socket(path));
    }

    /// Descends into a subdirectory; or, if you do not want that, has its sockets counted.
    fn descend(&mut self, above: &Handle, name: &OsStr, depth: usize) {
        if !self.how.recursive || !self.how.dot_files.admit(name) {
            self.beyond.add(above.path_of(name), depth);
            return;
        }
        if depth >= DEPTH {
            self.passed_over.not_searched += 1;
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(fd) = openat(above, name, flags, Mode::empty()) else {
            self.passed_over.unreadable += 1;
            return;
        };
        let below = Handle(Directory::new(fd, above.path_of(name)));
        if self.list(&below, depth + 1).is_err() {
            self.passed_over.unreadable += 1;
        }
    }
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()))
}

impl Found {
    /// The number of the kernel's socket.
    fn number(&self) -> Option<u32> {
        match self.liveness.evidence {
            Evidence::Table { inode, .. } => Some(inode),
            _ => None,
        }
    }
}
