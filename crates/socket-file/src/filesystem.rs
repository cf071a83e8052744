//! What to expect from a filesystem, according to its number in `statfs(2)`.

use std::os::fd::AsFd;

/// Classes of filesystems, as far as they matter for sockets and for watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filesystem {
    /// In this machine's memory. Queries never block.
    Memory,
    /// On this machine's disks, and known to maintain change times correctly.
    Disk,
    /// On this machine's disks. No other machine or mount shows its files.
    Local,
    /// Other machines or programs may change it without our kernel noticing.
    Foreign(&'static str),
    /// It shows the files of other directories, where they have other inodes. A socket that is bound on one side is
    /// unbound on the other.
    Stacked(&'static str),
    /// A filesystem that we know nothing about.
    Other,
}

impl Filesystem {
    /// The class of the filesystem that `file` is on; `Other` if we cannot find out. You may open `file` as a path only
    /// (`O_PATH`).
    pub fn of_file(file: impl AsFd) -> Self {
        rustix::fs::fstatfs(file).map_or(Self::Other, |facts| Self::of(facts.f_type as u64))
    }

    /// From `f_type`. The numbers are those of `linux/magic.h` and the kernel's sources.
    pub fn of(magic: u64) -> Self {
        match magic as u32 {
            0x0102_1994 | 0x8584_58f6 => Self::Memory,                      // tmpfs, ramfs
            0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 => Self::Disk, // ext4, xfs, btrfs, f2fs
            0x2fc1_2fc1 | 0xca45_1a4e | 0x3153_464a => Self::Local,         // zfs, bcachefs, jfs
            0x5265_4973 | 0x3434 | 0x2405_1905 | 0x72b6 => Self::Local,     // reiserfs, nilfs2, ubifs, jffs2
            0x6969 => Self::Foreign("NFS"),
            0x0102_1997 => Self::Foreign("9p"),
            0x6573_5546 => Self::Foreign("FUSE or virtiofs"),
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Self::Foreign("SMB"),
            0x00c3_6400 => Self::Foreign("Ceph"),
            0x5346_414f | 0x6b41_4653 => Self::Foreign("AFS"),
            0x0bd0_0bd0 => Self::Foreign("Lustre"),
            0x0116_1970 => Self::Foreign("GFS2"),
            0x7461_636f => Self::Foreign("OCFS2"),
            0x786f_4256 => Self::Foreign("a VirtualBox folder"),
            0xbacb_acbc => Self::Foreign("a VMware folder"),
            0x7c7c_6673 => Self::Foreign("a Parallels folder"),
            0x7375_7245 => Self::Foreign("Coda"),
            0x1983_0326 => Self::Foreign("BeeGFS"),
            0x2003_0528 => Self::Foreign("OrangeFS"),
            0x4750_4653 => Self::Foreign("GPFS"),
            0x5346_4846 => Self::Foreign("a Windows drive"),
            0x794c_7630 => Self::Stacked("overlay"),
            0x6175_6673 => Self::Stacked("aufs"),
            0xf15f => Self::Stacked("eCryptfs"),
            0x6a65_6a62 => Self::Stacked("shiftfs"),
            _ => Self::Other,
        }
    }

    /// Whether a scan never blocks, so that you can run it in an async task.
    pub fn is_in_memory(self) -> bool {
        self == Self::Memory
    }

    /// Whether every change of a directory's entries also changes its change time.
    pub fn keeps_change_times(self) -> bool {
        matches!(self, Self::Memory | Self::Disk)
    }

    /// Its name, if a socket file may belong to a server that our kernel does not find through the file: on another
    /// machine, in another kernel (such as a virtual machine's), or on the other side of the mount, where the same file
    /// has another inode. On a filesystem that we know nothing about, this is always possible.
    ///
    /// The backing side of such a mount looks like any other directory.
    pub fn hides_servers(self) -> Option<&'static str> {
        match self {
            Self::Foreign(name) | Self::Stacked(name) => Some(name),
            Self::Other => Some("an unknown filesystem"),
            Self::Memory | Self::Disk | Self::Local => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_change_is_said() {
        for (magic, name) in
            [(0x6969, "NFS"), (0x0102_1997, "9p"), (0x6573_5546, "FUSE or virtiofs"), (0xff53_4d42, "SMB")]
        {
            let filesystem = Filesystem::of(magic);
            assert_eq!(filesystem, Filesystem::Foreign(name));
            assert!(!filesystem.is_in_memory() && !filesystem.keeps_change_times());
        }
        // On some machines, this field of statfs is signed.
        assert_eq!(Filesystem::of(0xff53_4d42_u32 as i32 as u64), Filesystem::of(0xff53_4d42));
    }

    #[test]
    fn where_servers_may_be_hidden_is_named() {
        for (magic, name) in
            [(0x794c_7630, "overlay"), (0x6573_5546, "FUSE or virtiofs"), (0x0102_1997, "9p"), (0x6969, "NFS")]
        {
            assert_eq!(Filesystem::of(magic).hides_servers(), Some(name));
        }
        for magic in [0x0102_1994, 0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(Filesystem::of(magic).hides_servers(), None, "{magic:x}");
        }
    }

    /// A machine that shares its disks with others may use a filesystem that is not in the list.
    #[test]
    fn where_nothing_is_known_a_server_may_be_hidden() {
        for magic in [0, 0x1234_5678] {
            assert_eq!(Filesystem::of(magic), Filesystem::Other);
            assert_eq!(Filesystem::of(magic).hides_servers(), Some("an unknown filesystem"), "{magic:x}");
        }
    }

    #[test]
    fn only_memory_never_makes_anybody_wait() {
        assert!(Filesystem::of(0x0102_1994).is_in_memory());
        for magic in [0xef53, 0x6969, 0x794c_7630, 0] {
            assert!(!Filesystem::of(magic).is_in_memory(), "{magic:x}");
        }
    }
}
