//! Directories that are not listed: how many sockets are in them, so that it can be told that there are some.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};

use super::entry::type_of;

/// Directories below directories are not followed any deeper.
pub(super) const DEPTH: usize = 32;

/// At most this many directories are opened only to count their sockets.
const MOST: usize = 1024;

/// Directories to search, those near the top first. Opened one at a time.
#[derive(Default)]
pub(super) struct Beyond {
    waiting: VecDeque<(PathBuf, usize)>,
    opened: usize,
    counted: Counted,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) sockets: usize,
    pub(super) not_searched: usize,
}

impl Beyond {
    /// One more, this many levels below the directory that was named.
    pub(super) fn add(&mut self, path: PathBuf, depth: usize) {
        if depth < DEPTH && self.opened + self.waiting.len() < MOST {
            self.waiting.push_back((path, depth));
        } else {
            self.counted.not_searched += 1;
        }
    }

    /// Searches them and the directories below. What cannot be read has no sockets that could be listed.
    pub(super) fn count(mut self) -> Counted {
        while let Some((path, depth)) = self.waiting.pop_front() {
            self.opened += 1;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(directory) = openat(CWD, &path, flags, Mode::empty()) {
                self.search(&directory, &path, depth);
            }
        }
        self.counted
    }

    fn search(&mut self, directory: &OwnedFd, path: &Path, depth: usize) {
        let Ok(entries) = Dir::read_from(directory) else { return };
        for entry in entries.flatten() {
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            match type_of(directory, name, entry.file_type()) {
                FileType::Socket => self.counted.sockets += 1,
                FileType::Directory if name != "." && name != ".." => self.add(path.join(name), depth + 1),
                _ => {}
            }
        }
    }
}
