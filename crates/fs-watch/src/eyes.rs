//! Queries to the filesystem. Every system call of a scan is in this file. Each may block for as long as the filesystem
//! likes, and each answer is true only at the moment at which it was given.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags, statx};
use rustix::io::Errno;
use socket_file::{Facts, Filesystem};

use crate::event::Why;
use crate::roster::{Listing, Sighting};
use crate::target::{Anchor, Identity, Target};

/// Where the path leads now, following symbolic links.
pub(crate) fn identify(dir: &Path) -> io::Result<Identity> {
    identity(&fs::metadata(dir)?)
}

fn identity(metadata: &fs::Metadata) -> io::Result<Identity> {
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(Identity { device: metadata.dev(), inode: metadata.ino(), birth: metadata.created().ok() })
}

/// A directory and the time of its last change. An entry that comes, goes or is renamed changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    identity: Identity,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The last change must be at least this long before a scan; otherwise its time may equal that of a later change.
    /// Kernels before 6.13 stamp files with a clock that ticks every few milliseconds.
    const TICK: Duration = Duration::from_secs(1);

    /// Whether this stamp proves that nothing has changed since a scan that began at `at` and found `before`.
    pub(crate) fn proves_rest_since(&self, before: &Self, at: SystemTime) -> bool {
        let changed = socket_file::timestamp(before.changed.0, before.changed.1);
        self == before && at.duration_since(changed).is_ok_and(|age| age >= Self::TICK)
    }
}

/// The directory's current stamp.
pub(crate) fn stamp(dir: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(dir)?;
    Ok(Stamp {
        identity: identity(&metadata)?,
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// The kind of filesystem it is on.
pub(crate) fn filesystem(dir: &Path) -> Filesystem {
    rustix::fs::statfs(dir).map_or(Filesystem::Other, |facts| Filesystem::of(facts.f_type as u64))
}

/// Creates the directory and its missing parents.
pub(crate) fn create(dir: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(dir)
}

/// What to watch in order to watch `dir`, which must be absolute. This always succeeds: if the directory does not exist
/// or cannot be reached, the nearest ancestor that can be is watched.
pub(crate) fn resolve(dir: &Path) -> Target {
    let mut anchors = Vec::with_capacity(2);
    anchors.extend(anchor(dir));
    let directory = identify(dir).ok().map(|identity| (canonical(dir, identity), identity));
    if let Some((canonical, _)) = &directory {
        let beyond_links = anchor(canonical);
        anchors.extend(beyond_links.filter(|beyond| !anchors.contains(beyond)));
    }
    Target::new(directory, anchors)
}

/// The lowest existing directory above `path`, and the name in it that leads further.
fn anchor(path: &Path) -> Option<Anchor> {
    path.ancestors().find_map(|below| {
        let name = below.file_name()?.to_owned();
        let above = below.parent()?;
        let identity = identify(above).ok()?;
        Some(Anchor { parent: canonical(above, identity), name })
    })
}

/// The path without links; unchanged if that would lead elsewhere. For example, the text of the link `/proc/PID/root`
/// is `/`, but it leads into the mount namespace of that process.
fn canonical(path: &Path, identity: Identity) -> PathBuf {
    let canonical = fs::canonicalize(path).ok();
    let canonical = canonical.filter(|canonical| identify(canonical).is_ok_and(|found| found == identity));
    canonical.unwrap_or_else(|| path.to_owned())
}

/// Reads the directory once. The second value says what kept the listing from being complete.
///
/// A directory that does not exist has no sockets: its listing is complete and empty. `expected` is a guess of the
/// number of sockets.
pub(crate) fn list(dir: &Path, expected: usize, admits: impl Fn(&OsStr) -> bool) -> (Listing, Option<Why>) {
    let mut seen = Vec::with_capacity(expected);
    match read(dir, admits, &mut seen) {
        Ok(()) => (Listing::Complete(seen), None),
        Err(error) => match Why::from_listing(&error) {
            why @ (Why::Missing | Why::NotADirectory) => (Listing::Complete(Vec::new()), Some(why)),
            why => (Listing::Partial(seen), Some(why)),
        },
    }
}

/// As many entries as one system call returns. The longest name takes less than 300 bytes.
const PIECE: usize = 32 << 10;

fn read(dir: &Path, admits: impl Fn(&OsStr) -> bool, seen: &mut Vec<(OsString, Facts)>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let descriptor = rustix::fs::open(dir, flags, Mode::empty())?;
    let mut piece = Vec::with_capacity(PIECE);
    let mut entries = RawDir::new(&descriptor, piece.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        // The listing usually tells the type; if the filesystem does not, one more call is needed.
        if !matches!(entry.file_type(), FileType::Socket | FileType::Unknown) {
            continue;
        }
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if !admits(name) {
            continue;
        }
        let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        match statx(&descriptor, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW, asked) {
            Ok(answer) if FileType::from_raw_mode(answer.stx_mode.into()) == FileType::Socket => {
                seen.push((name.to_owned(), Facts::of_statx(&answer)));
            }
            // Another file by now, or gone since it was listed. If it was known, it is in doubt.
            Ok(_) | Err(Errno::NOENT) => {}
            // Some sandboxes reject this call and allow older ones.
            Err(error) => match scan_name(dir, name) {
                Sighting::Socket(facts) => seen.push((name.to_owned(), facts)),
                Sighting::Other | Sighting::Absent => {}
                // It is there and cannot be examined, so the listing must not count as complete.
                Sighting::Unknown => return Err(error.into()),
            },
        }
    }
    Ok(())
}

/// Looks up one name, without following a symbolic link.
pub(crate) fn scan_name(dir: &Path, name: &OsStr) -> Sighting {
    match fs::symlink_metadata(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            scan_name_in(dir, name).unwrap_or(Sighting::Unknown)
        }
        answer => sighting(answer),
    }
}

/// The same for a path that is too long for a system call, in a directory with a path that is not.
fn scan_name_in(dir: &Path, name: &OsStr) -> io::Result<Sighting> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(dir, flags, Mode::empty())?;
    let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    match statx(&directory, name, AtFlags::SYMLINK_NOFOLLOW, asked) {
        Ok(answer) if FileType::from_raw_mode(answer.stx_mode.into()) == FileType::Socket => {
            Ok(Sighting::Socket(Facts::of_statx(&answer)))
        }
        Ok(_) => Ok(Sighting::Other),
        Err(Errno::NOENT) => Ok(Sighting::Absent),
        Err(errno) => Err(errno.into()),
    }
}

fn sighting(answer: io::Result<fs::Metadata>) -> Sighting {
    match answer {
        Ok(metadata) if metadata.file_type().is_socket() => Sighting::Socket(Facts::of(&metadata)),
        Ok(_) => Sighting::Other,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Sighting::Absent,
            _ => Sighting::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn names(listing: &Listing) -> Vec<&str> {
        let (Listing::Complete(seen) | Listing::Partial(seen)) = listing;
        seen.iter().map(|(name, _)| name.to_str().unwrap()).collect()
    }

    #[test]
    fn only_sockets_are_listed() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(dir.path().join("socket")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        fs::create_dir(dir.path().join("dir")).unwrap();
        symlink("socket", dir.path().join("link")).unwrap();
        let (listing, trouble) = list(dir.path(), 0, |_| true);
        assert_eq!(names(&listing), ["socket"]);
        assert_eq!(trouble, None);
        assert_eq!(scan_name(dir.path(), "link".as_ref()), Sighting::Other);
        assert_eq!(scan_name(dir.path(), "none".as_ref()), Sighting::Absent);
        assert_eq!(scan_name(&dir.path().join("file"), "none".as_ref()), Sighting::Absent);
    }

    #[test]
    fn a_name_whose_path_is_longer_than_a_path_may_be_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let mut dir = root.path().to_owned();
        while dir.as_os_str().len() < 3900 {
            dir.push("d".repeat(100));
        }
        fs::create_dir_all(&dir).unwrap();
        let name = "n".repeat(200);
        let directory = rustix::fs::open(&dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        drop(UnixListener::bind(root.path().join("a")).unwrap());
        rustix::fs::renameat(rustix::fs::CWD, root.path().join("a"), &directory, &name).unwrap();
        assert_eq!(names(&list(&dir, 0, |_| true).0), [name.as_str()]);
        assert!(matches!(scan_name(&dir, name.as_ref()), Sighting::Socket(_)));
        rustix::fs::unlinkat(&directory, &name, AtFlags::empty()).unwrap();
        assert_eq!(scan_name(&dir, name.as_ref()), Sighting::Absent);
        assert_eq!(scan_name(&dir, "x".repeat(256).as_ref()), Sighting::Unknown);
    }

    #[test]
    fn a_directory_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (listing, trouble) = list(&dir.path().join("none"), 9, |_| true);
        assert_eq!((listing, trouble), (Listing::Complete(vec![]), Some(Why::Missing)));

        // A loop of links, because permissions do not stop a test that runs as root.
        let circle = dir.path().join("loop");
        symlink(&circle, &circle).unwrap();
        let (listing, trouble) = list(&circle, 0, |_| true);
        assert_eq!(listing, Listing::Partial(vec![]));
        assert!(matches!(trouble, Some(Why::Unreadable { .. })), "{trouble:?}");
        assert_eq!(scan_name(&circle, "a".as_ref()), Sighting::Unknown);
    }

    #[test]
    fn a_path_is_anchored_where_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(base.join("real")).unwrap();
        symlink("real", base.join("link")).unwrap();

        let anchored = |path: &str| {
            let target = resolve(&base.join(path));
            let names: Vec<_> = target.anchors().iter().map(|anchor| anchor.name.clone()).collect();
            assert!(target.anchors().iter().all(|anchor| anchor.parent == base));
            (names, target.directory().map(Path::to_owned))
        };
        assert_eq!(anchored("real"), (vec!["real".into()], Some(base.join("real"))));
        assert_eq!(anchored("link"), (vec!["link".into(), "real".into()], Some(base.join("real"))));
        assert_eq!(anchored("missing/below/it"), (vec!["missing".into()], None));
        assert_eq!(resolve(Path::new("/")).anchors(), []);
    }
}
