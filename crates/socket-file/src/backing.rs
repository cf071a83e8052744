//! Whether a directory is behind a mount that shows it elsewhere.
//!
//! A server that binds its socket through an overlay or a FUSE mount binds it to an inode of that mount. The directory
//! behind the mount has the same files, but for the kernel no socket is bound to them. The mount tables name the
//! directories behind such mounts if the mounts are local, if we may read the tables, and if the FUSE daemon passes its
//! directory as the source (bindfs does, fuse-overlayfs does not). Mounts of a virtual machine are not in the tables. A
//! matching absolute path is therefore a proof, but the lack of a match is not. Container engines use relative paths
//! when their options become too long; for those we can compare only the last components.
//! become too long, only the end can be compared.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open, openat};

/// The maximum number of mount namespaces to examine.
const NAMESPACES: usize = 1000;
/// The maximum number of ancestors to examine.
const DEPTH: usize = 4096;

/// Whether an overlay or FUSE mount shows this directory, or one of its ancestors, elsewhere: then this is the backing
/// side of the mount. The socket of a server that binds through that mount looks unbound here.
///
/// A match is a proof, or at least strong evidence if the table has a relative path. The lack of a match proves
/// nothing: we cannot see mounts in a virtual machine, daemons that do not name their directory, and tables that we may
/// not read. This reads the mount tables of at most 1,000 mount namespaces, those of the processes that we can see.
pub fn is_backing_side(dir: &Path) -> bool {
    let tables = tables();
    let behind: HashSet<_> = tables.iter().flat_map(|(root, table)| identities_behind(root, table)).collect();
    if !behind.is_empty() && ancestors(dir).iter().any(|above| behind.contains(above)) {
        return true;
    }
    let relative: Vec<_> = tables.iter().flat_map(|(_, table)| behind_mounts(table)).collect();
    dir.canonicalize().is_ok_and(|dir| is_below_one_like(&dir, &relative))
}

/// Whether the directory, or one of its ancestors, ends like one of these relative paths.
fn is_below_one_like(dir: &Path, paths: &[PathBuf]) -> bool {
    let relative = || paths.iter().filter(|path| path.is_relative());
    dir.ancestors().any(|above| relative().any(|path| above.ends_with(path)))
}

/// The directories behind the mounts of a table. A path in it belongs to the namespace of the table, or to the
/// namespace in which the mount was made, such as ours, so we look it up in both.
fn identities_behind(root: &Path, table: &[u8]) -> Vec<(u64, u64)> {
    let paths = behind_mounts(table).into_iter().filter(|path| path.is_absolute());
    let both = paths.flat_map(|path| [root.join(path.strip_prefix("/").unwrap_or(&path)), path.clone()]);
    both.filter_map(|path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))).collect()
}

/// The directory and its ancestors. We follow `..`, because the text of a path through `/proc/PID/root` has no meaning
/// here.
fn ancestors(dir: &Path) -> Vec<(u64, u64)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut found = Vec::new();
    let mut next = open(dir, flags, Mode::empty());
    while let Ok(directory) = next {
        let Ok(stat) = fstat(&directory) else { break };
        let identity = (stat.st_dev, stat.st_ino);
        // The root is its own parent.
        if found.last() == Some(&identity) || found.len() > DEPTH {
            break;
        }
        found.push(identity);
        next = openat(&directory, "..", flags, Mode::empty());
    }
    found
}

/// The mount table of each mount namespace, ours first, each with the root directory of its paths.
fn tables() -> Vec<(PathBuf, Vec<u8>)> {
    let mut seen = HashSet::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter(|entry| entry.file_name().as_bytes().iter().all(u8::is_ascii_digit));
    let places = [PathBuf::from("/proc/self")].into_iter().chain(processes.map(|entry| entry.path()));
    let tables = places.filter_map(|place| {
        let namespace = fs::read_link(place.join("ns/mnt")).ok()?;
        let table = seen.insert(namespace).then(|| fs::read(place.join("mountinfo")).ok())??;
        Some((place.join("root"), table))
    });
    tables.take(NAMESPACES).collect()
}

/// The directories that the overlay and FUSE mounts of this table show (`proc_pid_mountinfo(5)`).
fn behind_mounts(table: &[u8]) -> Vec<PathBuf> {
    table.split(|byte| *byte == b'\n').flat_map(behind_mount).collect()
}

fn behind_mount(line: &[u8]) -> Vec<PathBuf> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    // A variable number of fields ends with a dash. Type, source and options follow.
    let Some(dash) = fields.iter().skip(6).position(|field| *field == b"-").map(|at| at + 6) else { return Vec::new() };
    let Some([kind, source, options]) = fields.get(dash + 1..dash + 4) else { return Vec::new() };
    if *kind == b"overlay" {
        // A socket that is bound through the mount is created in its upper layer, never in a lower one.
        upper_layer(options).into_iter().collect()
    } else if kind.starts_with(b"fuse") {
        // mergerfs and unionfs name several, separated by colons; sshfs puts a host in front of the first one.
        let source = unescaped(source);
        let whole = source.as_slice();
        if whole.first() != Some(&b'/') {
            return Vec::new();
        }
        let parts = whole.split(|byte| *byte == b':');
        let parts = parts.filter(|part| part.first() == Some(&b'/') && part.len() < whole.len());
        [whole].into_iter().chain(parts).map(|path| PathBuf::from(OsString::from_vec(path.to_vec()))).collect()
    } else {
        Vec::new()
    }
}

/// The upper layer of an overlay. In its path, a backslash escapes a character that has a special meaning.
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
        let expected = ["/u p", "/below", "abc/diff", r"/a,b\c", "/disk1:/disk 2", "/disk1", "/disk 2"];
        let expected = expected.map(PathBuf::from);
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
        let relative = [PathBuf::from("abc/diff")];
        let table = format!("1 1 0:1 / /m rw - overlay overlay rw,upperdir={} rw", upper.display());
        let absolute = identities_behind(Path::new("/"), table.as_bytes());
        for (path, is_behind) in [(&upper, true), (&inner, true), (&other, false), (&dir, false)] {
            assert_eq!(is_below_one_like(path, &relative), is_behind, "{path:?}");
            assert_eq!(ancestors(path).iter().any(|above| absolute.contains(above)), is_behind, "{path:?}");
        }
        assert!(!is_below_one_like(&upper, std::slice::from_ref(&upper)), "an absolute path is compared as a file");
    }

    #[test]
    fn an_ordinary_directory_is_behind_no_mount() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_backing_side(dir.path()));
        assert!(!is_backing_side(&dir.path().join("none")));
    }

    #[test]
    fn what_is_above_a_directory_is_found_whatever_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).unwrap();
        let expected: Vec<_> = dir.path().canonicalize().unwrap().ancestors().map(identity).collect();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(".", &link).unwrap();
        let through_proc = Path::new("/proc/self/root").join(dir.path().strip_prefix("/").unwrap());
        for path in [dir.path(), &link, &through_proc] {
            assert_eq!(ancestors(path), expected, "{path:?}");
        }
        assert_eq!(ancestors(&dir.path().join("none")), []);
    }

    #[test]
    fn a_path_without_escapes_stays_as_it_is() {
        for (field, path) in [("/a", "/a"), (r"/a\134b", r"/a\b"), (r"/a\9", r"/a\9"), ("/a\\", "/a\\")] {
            assert_eq!(unescaped(field.as_bytes()), path.as_bytes());
        }
    }
}
