//! Filesystems on which a socket's file may have a server that this kernel does not find by it.

use std::os::fd::AsFd;

/// The name of the filesystem that `file` is on, if that may hide a socket's server from this kernel: the server is on
/// another machine, in another kernel (a virtual machine's), or on the other side of the same mount, where the same file has
/// another inode.
///
/// The backing side of such a mount looks like any other directory.
pub(super) fn hides_servers(file: impl AsFd) -> Option<&'static str> {
    rustix::fs::fstatfs(file).ok().and_then(|facts| name_of(facts.f_type as u64))
}

/// By `f_type`; the numbers are those of `linux/magic.h` and the kernel's sources.
fn name_of(magic: u64) -> Option<&'static str> {
    // The field is signed on some machines, and its numbers have 32 bits.
    let name = match magic as u32 {
        0x6573_5546 => "FUSE or virtiofs",
        0x794c_7630 => "overlay",
        0x0102_1997 => "9p",
        0x6969 => "NFS",
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0bd0_0bd0 => "Lustre",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x7375_7245 => "Coda",
        0x786f_4256 => "a VirtualBox folder",
        0xbacb_acbc => "a VMware folder",
        0x7c7c_6673 => "a Parallels folder",
        0x6175_6673 => "aufs",
        0xf15f => "eCryptfs",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_that_may_hide_a_server_are_named() {
        for (magic, name) in [(0x794c_7630, "overlay"), (0x6573_5546, "FUSE or virtiofs"), (0x0102_1997, "9p")] {
            assert_eq!(name_of(magic), Some(name));
        }
        assert_eq!(name_of(i64::from(0xff53_4d42_u32.cast_signed()).cast_unsigned()), Some("SMB"));
        for (magic, name) in [(0x0102_1994, "tmpfs"), (0xef53, "ext4"), (0x5846_5342, "xfs"), (0x9123_683e, "btrfs")] {
            assert_eq!(name_of(magic), None, "{name}");
        }
    }
}
