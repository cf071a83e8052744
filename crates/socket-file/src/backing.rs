//! Whether a directory is behind a mount that shows it elsewhere.
//!
//! A server that binds its socket through an overlay or a FUSE mount binds it to an inode of that mount. The directory
//! behind the mount has the same files, but for the kernel nothing is bound to them. The mount tables name the
//! directories behind such mounts if the mounts are local, we may read the tables, and the FUSE daemon gives its directory as
//! the source (bindfs does, fuse-overlayfs does not); mounts of a virtual machine are not in them. A match of an absolute path
//! is therefore a proof, but the lack of a match is not. Of a relative path, which container engines use when their options
//! become too long, only the end can be compared.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// At most so many mount namespaces are examined.
const NAMESPACES: usize = 1000;

/// Whether the directory, or one above it, is shown elsewhere by an overlay or FUSE mount: its backing side. A server that binds
/// through that mount looks unbound here.
///
/// A match is a proof, or, if the table has a relative path, a good reason. No match proves nothing: mounts in a virtual
/// machine, daemons that do not name their directory, and tables that we may not read, are unknown.
/// Reads the mount table of each mount namespace that a process we can see is in, at most 1,000.
pub fn is_backing_side(dir: &Path) -> bool {
    let Ok(dir) = dir.canonicalize() else { return false };
    is_behind(&dir, tables().iter().flat_map(|table| behind_mounts(table)))
}

fn is_behind(dir: &Path, behind: impl Iterator<Item = PathBuf>) -> bool {
    let (absolute, relative): (Vec<_>, Vec<_>) = behind.partition(|path| path.is_absolute());
    let absolute: HashSet<_> = absolute.iter().filter_map(|path| identity(path)).collect();
    let is_one = |above: &Path| identity(above).is_some_and(|above| absolute.contains(&above));
    let may_be_one = |above: &Path| relative.iter().any(|path| above.ends_with(path));
    dir.ancestors().any(|above| may_be_one(above) || (!absolute.is_empty() && is_one(above)))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Our mount table, and one of each other mount namespace.
fn tables() -> Vec<Vec<u8>> {
    let mut seen = HashSet::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter(|entry| entry.file_name().as_bytes().iter().all(u8::is_ascii_digit));
    let places = [PathBuf::from("/proc/self")].into_iter().chain(processes.map(|entry| entry.path()));
    let tables = places.filter_map(|place| {
        let namespace = fs::read_link(place.join("ns/mnt")).ok()?;
        seen.insert(namespace).then(|| fs::read(place.join("mountinfo")).ok())?
    });
    tables.take(NAMESPACES).collect()
}

/// The directories that the overlay and FUSE mounts of this table show (`proc_pid_mountinfo(5)`).
fn behind_mounts(table: &[u8]) -> Vec<PathBuf> {
    table.split(|byte| *byte == b'\n').flat_map(behind_mount).collect()
}

fn behind_mount(line: &[u8]) -> Vec<PathBuf> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    // A variable number of fields ends with a dash; then come type, source and options.
    let Some(dash) = fields.iter().skip(6).position(|field| *field == b"-").map(|at| at + 6) else { return Vec::new() };
    let Some([kind, source, options]) = fields.get(dash + 1..dash + 4) else { return Vec::new() };
    if *kind == b"overlay" {
        // A socket that is bound through the mount is created in its upper layer, never in a lower one.
        upper_layer(options).into_iter().collect()
    } else if kind.starts_with(b"fuse") {
        // mergerfs and unionfs name several, with colons in between.
        let sources = unescaped(source);
        let sources = sources.split(|byte| *byte == b':').filter(|path| path.first() == Some(&b'/'));
        sources.map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))).collect()
    } else {
        Vec::new()
    }
}

/// The upper layer of an overlay. A backslash in its path stands before a character that would mean something else.
fn upper_layer(options: &[u8]) -> Option<PathBuf> {
    let mut options = options.split(|byte| *byte == b',');
    let written = unescaped(options.find_map(|option| option.strip_prefix(b"upperdir="))?);
    let mut bytes = written.into_iter();
    let mut path = Vec::new();
    while let Some(byte) = bytes.next() {
        path.extend(if byte == b'\\' { bytes.next() } else { Some(byte) });
    }
    Some(PathBuf::from(OsString::from_vec(path))).filter(|path| !path.as_os_str().is_empty())
}

/// Spaces and similar characters are written as a backslash and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, code) {
            (b'\\', Some(byte)) => {
                path.push(byte);
                rest = &rest[4..];
            }
            (byte, _) => {
                path.push(*byte);
                rest = behind;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directories_behind_mounts_are_read_from_the_table() {
        let table = b"36 35 98:0 / /merged rw,noatime shared:1 - overlay overlay \
            rw,lowerdir=/l1:/l2,upperdir=/u\\040p,workdir=/work\n\
            40 35 0:50 / /mnt rw - fuse.bindfs /below rw,user_id=0\n\
            41 35 0:51 / /mnt2 rw - fuse.sshfs host:/dir rw\n\
            42 35 8:1 / /boot rw - ext4 /dev/sda1 rw\nbroken\n\
            43 35 0:52 / /merged2 rw - overlay overlay rw,lowerdir=l/A:l/B,upperdir=abc/diff,workdir=abc/work\n\
            44 35 0:53 / /merged3 rw - overlay overlay rw,lowerdir=/l,upperdir=/a\\134\\054b\\134\\134c,workdir=/w\n\
            45 35 0:54 / /pool rw - fuse.mergerfs /disk1:/disk\\0402 rw\n\
            46 35 0:55 / /c rw - fuse.fuse-overlayfs fuse-overlayfs rw\n\
            47 35 0:56 / /read-only rw - overlay overlay ro,lowerdir=/l1:/l2\n";
        let expected = ["/u p", "/below", "abc/diff", r"/a,b\c", "/disk1", "/disk 2"].map(PathBuf::from);
        assert_eq!(behind_mounts(table), expected);
    }

    #[test]
    fn a_directory_below_one_that_a_mount_shows_is_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let [upper, inner, other] = ["store/abc/diff", "store/abc/diff/run/app", "store/xyz/diff"].map(|path| {
            fs::create_dir_all(dir.join(path)).unwrap();
            dir.join(path)
        });
        let behind = |path: &Path, shown: &Path| is_behind(path, [shown.to_owned()].into_iter());
        for shown in [&*upper, Path::new("abc/diff")] {
            assert!(behind(&upper, shown) && behind(&inner, shown), "{shown:?}");
            assert!(!behind(&other, shown) && !behind(&dir, shown), "{shown:?}");
        }
        assert!(!is_behind(&upper, [].into_iter()));
    }

    #[test]
    fn an_ordinary_directory_is_behind_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_backing_side(dir.path()));
        assert!(!is_backing_side(&dir.path().join("none")));
    }

    #[test]
    fn a_path_without_escapes_stays_as_it_is() {
        for (field, path) in [("/a", "/a"), (r"/a\134b", r"/a\b"), (r"/a\9", r"/a\9"), ("/a\\", "/a\\")] {
            assert_eq!(unescaped(field.as_bytes()), path.as_bytes());
        }
    }
}
