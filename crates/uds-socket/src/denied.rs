//! Which component of a path denies access, found by walking the path as the kernel does.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat, readlink, stat};
use rustix::io::Errno;

use crate::error::Denied;

/// The maximum number of links to follow; the kernel's own limit is 40.
pub(crate) const LINKS: u32 = 40;

/// Returns the component of `path` that keeps this process from writing to the last one, if one does.
///
/// It asks the kernel about each component instead of computing the answer from mode bits, so that access lists,
/// capabilities and read-only mounts count, too.
pub(crate) fn denied(path: &Path) -> Option<Denied> {
    let component = walk(path, LINKS)?;
    let stat = stat(&component).ok()?;
    Some(Denied { path: path.to_owned(), component, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
}

/// The first missing component.
pub(crate) fn missing(path: &Path) -> Option<PathBuf> {
    prefixes(path)
        .find(|prefix| matches!(prefix.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound))
}

fn walk(path: &Path, links: u32) -> Option<PathBuf> {
    for prefix in prefixes(path) {
        let need = if prefix == path { Access::WRITE_OK } else { Access::EXEC_OK };
        match accessat(CWD, &prefix, need, AtFlags::EACCESS) {
            Ok(()) => {}
            Err(Errno::ACCESS) => {
                // All components before it gave us access, so it is this one, or the target of its link, or a component
                // on the way there.
                return match readlink(&prefix, Vec::new()) {
                    Ok(target) if links > 0 => {
                        let target = OsStr::from_bytes(target.to_bytes());
                        let target = prefix.parent().unwrap_or(Path::new("")).join(target);
                        walk(&target, links - 1).or(Some(prefix))
                    }
                    Ok(_) | Err(_) => Some(prefix),
                };
            }
            Err(_) => return None,
        }
    }
    None
}

/// `/`, `/run`, `/run/app`, … or `.`, `a`, `a/b`, …
pub(crate) fn prefixes(path: &Path) -> impl Iterator<Item = PathBuf> {
    let start = if path.is_absolute() { PathBuf::new() } else { PathBuf::from(".") };
    let first = path.is_relative().then(|| start.clone());
    first.into_iter().chain(path.components().scan(PathBuf::new(), |prefix, component| {
        prefix.push(component);
        Some(prefix.clone())
    }))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use test_kit::process::as_nobody;

    use super::*;

    fn component(path: &Path) -> Option<(PathBuf, u32)> {
        as_nobody(|| denied(path)).map(|Denied { component, mode, .. }| (component, mode))
    }

    #[test]
    fn the_component_that_denies_is_named_with_its_mode() {
        let top = tempfile::tempdir().unwrap();
        fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
        let inner = top.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let file = inner.join("x.sock");
        fs::write(&file, "").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();

        set(&file, 0o666);
        assert_eq!(component(&file), None);
        set(&file, 0o444);
        assert_eq!(component(&file), Some((file.clone(), 0o444)));
        set(&inner, 0o644);
        assert_eq!(component(&file), Some((inner.clone(), 0o644)));
        set(&top.path().join("a"), 0o600);
        assert_eq!(component(&file), Some((top.path().join("a"), 0o600)));

        let link = top.path().join("link");
        symlink("a/b", &link).unwrap();
        assert_eq!(component(&link.join("x.sock")), Some((top.path().join("a"), 0o600)));

        // Names are bytes, including those of links and of their targets.
        let odd = top.path().join(OsStr::from_bytes(b"odd \xff"));
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join("x.sock"), "").unwrap();
        let to_odd = top.path().join("to odd");
        symlink(odd.file_name().unwrap(), &to_odd).unwrap();
        set(&odd, 0o600);
        assert_eq!(component(&to_odd.join("x.sock")), Some((odd.clone(), 0o600)));
        set(&odd, 0o700);
        // Allow an ordinary user to clean up, too.
        set(&top.path().join("a"), 0o700);
        set(&inner, 0o700);
    }

    #[test]
    fn links_in_a_circle_end() {
        let top = tempfile::tempdir().unwrap();
        symlink("b", top.path().join("a")).unwrap();
        symlink("a", top.path().join("b")).unwrap();
        assert_eq!(component(&top.path().join("a/x.sock")).map(|found| found.1), None);
    }

    #[test]
    fn paths_are_walked_from_their_beginning() {
        let walked = |path: &str| prefixes(Path::new(path)).map(|p| p.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(walked("/run/app/x"), ["/", "/run", "/run/app", "/run/app/x"]);
        assert_eq!(walked("a/x"), [".", "a", "a/x"]);
    }

    #[test]
    fn the_first_missing_component_is_found() {
        let top = tempfile::tempdir().unwrap();
        assert_eq!(missing(&top.path().join("a/b/x")), Some(top.path().join("a")));
        assert_eq!(missing(top.path()), None);
    }
}
