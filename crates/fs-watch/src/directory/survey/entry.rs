//! What an entry of a directory is.

use std::ffi::OsStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, FileType, statat};

/// The type from the listing, or from `lstat` if the listing does not have it.
pub(super) fn type_of(handle: impl AsFd, name: &OsStr, listed: FileType) -> FileType {
    match listed {
        FileType::Unknown => statat(handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
        known => known,
    }
}
