//! Which paths a server accepts, checked before a request is sent.
//!
//! The rules are those of Apache ZooKeeper's `PathUtils`: absolute, no empty component, no `.` or `..`, and none of the
//! characters that it excludes. That check works on UTF-16 units, so everything above U+FFFF (emoji, for example) is
//! rejected as well. Only the size of a frame limits the length.

mod chroot;

pub use crate::error::PathError;
pub use chroot::{join, strip};

use crate::error::Error;

/// Checks a path.
///
/// # Errors
///
/// [`Error::Path`], with the first violation found.
///
/// ```
/// use zk_proto::path;
///
/// assert!(path::validate("/").is_ok());
/// assert!(path::validate("/app/members").is_ok());
/// assert!(path::validate("/app/").is_err());
/// ```
pub fn validate(path: &str) -> Result<(), Error> {
    check(path, path)
}

/// Checks the path of a sequential node. The server appends a number to it, so it may end with a slash.
///
/// # Errors
///
/// The same as [`validate`].
pub fn validate_sequential(path: &str) -> Result<(), Error> {
    check(path, &format!("{path}0"))
}

fn check(given: &str, path: &str) -> Result<(), Error> {
    match flaw(path) {
        None => Ok(()),
        Some(reason) => Err(Error::Path { path: given.into(), reason }),
    }
}

/// The first thing that is wrong with a path.
pub(crate) fn flaw(path: &str) -> Option<PathError> {
    if path.is_empty() {
        return Some(PathError::Empty);
    }
    let Some(relative) = path.strip_prefix('/') else { return Some(PathError::Relative) };
    if relative.is_empty() {
        return None;
    }
    if relative.ends_with('/') {
        return Some(PathError::TrailingSlash);
    }
    let component = relative.split('/').find_map(|component| match component {
        "" => Some(PathError::EmptyComponent),
        "." | ".." => Some(PathError::RelativeComponent),
        _ => None,
    });
    component.or_else(|| relative.chars().find(|c| is_odd(*c)).map(PathError::Character))
}

const fn is_odd(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_judged_as_the_server_judges_them() {
        let good = ["/", "/a", "/a/b", "/a b", "/...", "/a..b", "/.a", "/\u{a0}", "/\u{f900}", "/é", "/\u{ffef}"];
        for path in good {
            assert_eq!(flaw(path), None, "{path:?}");
        }
        let bad = [
            ("", PathError::Empty),
            ("a", PathError::Relative),
            ("/a/", PathError::TrailingSlash),
            ("//", PathError::TrailingSlash),
            ("//a", PathError::EmptyComponent),
            ("/a//b", PathError::EmptyComponent),
            ("/./a", PathError::RelativeComponent),
            ("/a/..", PathError::RelativeComponent),
            ("/a\0", PathError::Character('\0')),
            ("/\u{1f}", PathError::Character('\u{1f}')),
            ("/\u{7f}", PathError::Character('\u{7f}')),
            ("/\u{9f}", PathError::Character('\u{9f}')),
            ("/\u{e000}", PathError::Character('\u{e000}')),
            ("/\u{f8ff}", PathError::Character('\u{f8ff}')),
            ("/\u{fff0}", PathError::Character('\u{fff0}')),
            ("/\u{1f600}", PathError::Character('\u{1f600}')),
        ];
        for (path, reason) in bad {
            assert_eq!(flaw(path), Some(reason), "{path:?}");
        }
    }

    #[test]
    fn a_sequential_node_may_have_a_number_for_its_whole_name() {
        assert_eq!(validate_sequential("/queue/"), Ok(()));
        assert_eq!(validate_sequential("/queue/item-"), Ok(()));
        assert_eq!(validate_sequential("/"), Ok(()));
        assert!(validate_sequential("/queue//").is_err());
        assert!(validate_sequential("").is_err());
        // The server checks the name with its number appended: '.' and '..' become valid names.
        assert_eq!(validate_sequential("/queue/."), Ok(()));
    }
}
