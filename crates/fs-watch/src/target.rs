//! What a backend must watch: the directory, and the path that leads to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::hints::Hints;

/// A directory at one moment.
///
/// A watch follows a file, not a name. If the directory is moved away, or deleted while a listener that was created in
/// it is alive, its own watch stays silent (the kernel reports the end only with the last descriptor). The names that
/// lead to it must therefore be watched as well: the [`Anchor`]s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    directory: Option<Directory>,
    anchors: Vec<Anchor>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Directory {
    path: PathBuf,
    identity: Identity,
}

/// A name that may change where the path leads, if something happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// An existing directory; canonical, unless that would lead elsewhere.
    pub parent: PathBuf,
    /// The name in it.
    pub name: OsString,
}

/// Distinguishes a directory from another one at the same path, even if the inode number is reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) birth: Option<SystemTime>,
}

impl Target {
    pub(crate) fn new(directory: Option<(PathBuf, Identity)>, anchors: Vec<Anchor>) -> Self {
        let directory = directory.map(|(path, identity)| Directory { path, identity });
        Self { directory, anchors }
    }

    /// The directory's canonical path, or its path as given if the canonical one leads elsewhere (`/proc/PID/root`);
    /// `None` while it does not exist.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(|directory| directory.path.as_path())
    }

    /// The names that lead to it, or would if it existed.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.directory.as_ref().map(|directory| directory.identity)
    }

    /// Whether both describe the same directory at the same path. Then a watch on it is still valid.
    pub fn is_same_directory(&self, other: &Self) -> bool {
        self.directory == other.directory
    }

    /// Turns the path in an event of the operating system into a hint. Ignores paths that do not concern this target.
    pub fn hint(&self, path: &Path, hints: &Hints) {
        if self.anchors.iter().any(|anchor| anchor.concerns(path)) {
            hints.directory();
        }
        if let Some(directory) = self.directory() {
            if path == directory {
                hints.directory();
            } else if path.parent() == Some(directory)
                && let Some(name) = path.file_name()
            {
                hints.name(name);
            }
        }
    }
}

impl Anchor {
    fn concerns(&self, path: &Path) -> bool {
        path == self.parent || (path.parent() == Some(&self.parent) && path.file_name() == Some(&self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn paths_become_hints() {
        let identity = Identity { device: 1, inode: 2, birth: None };
        let anchor = Anchor { parent: "/run".into(), name: "sockets".into() };
        let target = Target::new(Some(("/run/sockets".into(), identity)), vec![anchor]);
        for (path, names, everywhere) in [
            ("/run/sockets/a", 1, false),
            ("/run/sockets", 0, true),
            ("/run", 0, true),
            ("/run/other", 0, false),
            ("/run/sockets/deep/a", 0, false),
            ("/", 0, false),
        ] {
            let hints = Hints::default();
            target.hint(Path::new(path), &hints);
            let dirty = hints.wait(Instant::now());
            assert_eq!((dirty.names.len(), dirty.everywhere), (names, everywhere), "{path}");
        }
    }
}
