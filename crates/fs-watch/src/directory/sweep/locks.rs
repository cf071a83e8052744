//! Lock files beside sockets that no process holds.
//!
//! `uds-socket` keeps a lock beside each socket, `.NAME.lock`, and removes it at a normal end. After a crash it stays,
//! and if every producer has its own name, such files would accumulate. Removing one is safe while it is locked: every
//! starter that gets the lock checks whether the file still has its name, and starts again if not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use lock_file::Lock;
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, accessat, openat, statat};
use rustix::io::pread;
use socket_file::{Owner, names::locked_name};

use super::super::Error;
use super::super::Handle;
use super::finding::{LockFate, LockFinding};

/// Longer than a pid and a newline.
const CONTENT: usize = 16;

/// Which lock files a sweep removes.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) owner: Owner,
    pub(super) min_age: Duration,
    pub(super) dry_run: bool,
}

/// Examines all lock files of the directory, and removes those that no process holds.
pub(super) fn sweep(rules: Rules, handle: &Handle) -> Result<Vec<LockFinding>, Error> {
    let names = names(handle)?;
    Ok(names.into_iter().filter_map(|name| examine(rules, handle, name)).collect())
}

/// The names of all lock files, in their order.
pub(super) fn names(handle: &Handle) -> Result<Vec<OsString>, Error> {
    let mut names = Vec::new();
    for entry in Dir::read_from(handle).map_err(|errno| handle.unreadable(errno))? {
        let entry = entry.map_err(|errno| handle.unreadable(errno))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if locked_name(name).is_some() && matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// `None` if it is not a lock file of `uds-socket`, or gone by now.
fn examine(rules: Rules, handle: &Handle, name: OsString) -> Option<LockFinding> {
    let stat = statat(handle, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
        || stat.st_nlink != 1
        || !is_content(handle, &name)
    {
        return None;
    }
    let age = age(handle, &name)?;
    let fate = if !rules.owner.admits(stat.st_uid) {
        LockFate::Foreign(stat.st_uid)
    } else if age < rules.min_age {
        // The process that created it may not have locked it yet, and would find it locked by us.
        LockFate::Young(age)
    } else {
        remove(rules, handle, &name)?
    };
    Some(LockFinding { path: handle.path_of(&name), fate })
}

fn remove(rules: Rules, handle: &Handle, name: &OsStr) -> Option<LockFate> {
    let lock = match Lock::examine(handle, name) {
        Ok(Some(lock)) => lock,
        Ok(None) => return None,
        Err(lock_file::Error::Held { pid }) => return Some(LockFate::Held(pid)),
        Err(lock_file::Error::Contended { .. }) => return Some(LockFate::Held(None)),
        Err(error) => return Some(LockFate::Failed(std::io::Error::other(error))),
    };
    if rules.dry_run {
        let may = accessat(handle, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
        return Some(may.map_or_else(|errno| LockFate::Failed(errno.into()), |()| LockFate::WouldBeRemoved));
    }
    match lock.remove(handle, name) {
        Ok(true) => Some(LockFate::Removed),
        Ok(false) => None,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Some(LockFate::Held(None)),
        Err(error) => Some(LockFate::Failed(error)),
    }
}

/// Whether it has the contents of a lock file: nothing, or a pid and a newline. Other programs use the mere existence
/// of files with such names.
fn is_content(handle: &Handle, name: &OsStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = openat(handle, name, flags, Mode::empty()) else { return false };
    let mut content = [0; CONTENT];
    let Ok(len) = pread(&file, &mut content, 0) else { return false };
    let pid = content[..len].strip_suffix(b"\n");
    len == 0 || pid.is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit))
}

/// Since it was last locked. One from the future is old, as with sockets.
fn age(handle: &Handle, name: &OsStr) -> Option<Duration> {
    let file = openat(handle, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let changed = File::from(file).metadata().ok()?.modified().ok()?;
    Some(SystemTime::now().duration_since(changed).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_lock_files_are_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let handle = Handle::open(dir.path()).unwrap();
        for (content, is) in [
            ("", true),
            ("4711\n", true),
            ("4711", false),
            ("\n", false),
            ("pid 4711\n", false),
            ("12345678901234567\n", false),
        ] {
            std::fs::write(dir.path().join(".a.lock"), content).unwrap();
            assert_eq!(is_content(&handle, OsStr::new(".a.lock")), is, "{content:?}");
        }
    }
}
