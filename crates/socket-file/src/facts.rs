//! The properties of a socket file: its inode, its owner, its kind.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Statx, StatxFlags, StatxTimestamp, makedev};
use unix_diag::FileId;

/// Identifies a file independently of its name: `st_dev` and `st_ino`. Comparing two identities is meaningful only
/// while something keeps one of the files from being freed, such as an open descriptor or a socket that is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// The metadata of a socket file, from `lstat` (see `statx(2)`).
///
/// Exhaustive on purpose: a test, or a filesystem of your own, can build one and drive a
/// `fs_watch::Roster` with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`. Some filesystems reuse it immediately: ext4 nearly always gives the next socket the number of the one
    /// just unlinked.
    pub inode: u64,
    /// When the inode was created, on filesystems that record it (`stx_btime`).
    pub birth: Option<SystemTime>,
    /// `st_ctime`: when the inode last changed. `chmod`, `chown`, `link` and `rename` update it.
    pub ctime: SystemTime,
    /// Permission bits without the file type, such as `0o600`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Facts {
    /// From the metadata of the file itself: from `symlink_metadata`, or of a file opened with `O_PATH`.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth: metadata.created().ok(),
            ctime: timestamp(metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
        }
    }

    /// From a `statx(2)` that asked for the basic statistics and the time of birth.
    pub fn of_statx(answer: &Statx) -> Self {
        let has_birth = answer.stx_mask & StatxFlags::BTIME.bits() != 0;
        let time = |time: &StatxTimestamp| timestamp(time.tv_sec, time.tv_nsec.into());
        Self {
            device: makedev(answer.stx_dev_major, answer.stx_dev_minor),
            inode: answer.stx_ino,
            birth: has_birth.then(|| time(&answer.stx_btime)),
            ctime: time(&answer.stx_ctime),
            mode: u32::from(answer.stx_mode) & 0o7777,
            uid: answer.stx_uid,
            gid: answer.stx_gid,
        }
    }

    /// The identity of the file, which does not depend on its name.
    pub fn identity(&self) -> Identity {
        Identity { device: self.device, inode: self.inode }
    }

    /// The time since the file was created or last changed, whichever is later, by the wall clock.
    ///
    /// A timestamp in the future comes from a clock that has been set back since; such a file counts as old.
    pub fn age(&self) -> Duration {
        let changed = self.birth.map_or(self.ctime, |birth| birth.max(self.ctime));
        SystemTime::now().duration_since(changed).unwrap_or(Duration::MAX)
    }

    /// The identifier of the file in the kernel's table of sockets.
    pub fn file(&self) -> FileId {
        FileId::new(self.device, self.inode)
    }

    /// Whether both describe the same inode, and not only the same inode number.
    ///
    /// The number alone proves nothing, because it is reused. The time of birth decides, and unlike `ctime` it does not
    /// change with `chmod`. If the filesystem records no time of birth, `ctime` must do. Then a `chmod` looks like a
    /// replacement, which costs a reconnection. The opposite error would be worse: a reader would stay attached to a
    /// server that is gone.
    ///
    /// Linux before 6.13 takes timestamps from a clock that ticks every few milliseconds. If a socket is unlinked and
    /// bound again within one tick and gets the same number, the two look the same, until the kernel's table of sockets
    /// shows another socket for the file.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let same_number = self.device == other.device && self.inode == other.inode;
        same_number
            && match (self.birth, other.birth) {
                (Some(mine), Some(theirs)) => mine == theirs,
                _ => self.ctime == other.ctime,
            }
    }
}

/// A point in time as the kernel represents it. `seconds` may be negative: a file can claim to be older than 1970.
pub fn timestamp(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    second.and_then(|second| second.checked_add(Duration::from_nanos(nanoseconds.unsigned_abs()))).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            device: 1,
            inode: 2,
            birth: Some(UNIX_EPOCH + Duration::from_secs(3)),
            ctime: UNIX_EPOCH + Duration::from_secs(3),
            mode: 0o755,
            uid: 4,
            gid: 5,
        }
    }

    #[test]
    fn both_ways_to_ask_give_the_same_facts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let asked = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let answer = rustix::fs::statx(rustix::fs::CWD, &path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW, asked).unwrap();
        assert_eq!(Facts::of_statx(&answer), Facts::of(&std::fs::symlink_metadata(&path).unwrap()));
    }

    #[test]
    fn a_chmod_leaves_the_file_the_same() {
        let after = Facts { mode: 0o600, ctime: UNIX_EPOCH + Duration::from_secs(9), ..facts() };
        assert!(facts().is_same_file(&after));
    }

    #[test]
    fn an_inode_number_used_again_is_another_file() {
        let reborn = UNIX_EPOCH + Duration::from_secs(9);
        let after = Facts { birth: Some(reborn), ctime: reborn, ..facts() };
        assert!(!facts().is_same_file(&after));
    }

    #[test]
    fn without_a_birth_time_the_change_time_decides() {
        let before = Facts { birth: None, ..facts() };
        let after = Facts { ctime: UNIX_EPOCH + Duration::from_secs(9), ..before };
        assert!(before.is_same_file(&before));
        assert!(!before.is_same_file(&after));
    }

    #[test]
    fn a_file_is_young_by_its_birth_or_change_and_old_if_it_comes_from_the_future() {
        let now = SystemTime::now();
        let ago = |seconds| now - Duration::from_secs(seconds);
        let facts = |birth, ctime| Facts { birth, ctime, ..facts() };
        for (birth, ctime) in [(None, ago(10)), (Some(ago(3600)), ago(10)), (Some(ago(10)), ago(3600))] {
            let age = facts(birth, ctime).age();
            assert!((Duration::from_secs(10)..Duration::from_secs(60)).contains(&age), "{age:?}");
        }
        assert_eq!(facts(None, now + Duration::from_secs(3600)).age(), Duration::MAX);
    }

    #[test]
    fn times_before_1970_and_beyond_reason_do_not_panic() {
        assert_eq!(timestamp(-2, 500_000_000), UNIX_EPOCH - Duration::from_millis(1500));
        timestamp(i64::MIN, 0);
        timestamp(i64::MAX, 999_999_999);
    }
}
