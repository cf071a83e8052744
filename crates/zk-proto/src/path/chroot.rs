//! Paths below a node that a client takes for the root.

use std::borrow::Cow;

/// The path as the server has it: below `chroot`, which is a valid path other than `/`. `None` changes nothing.
///
/// ```
/// assert_eq!(zk_proto::path::join(Some("/app"), "/members"), "/app/members");
/// assert_eq!(zk_proto::path::join(Some("/app"), "/"), "/app");
/// ```
#[must_use]
pub fn join<'a>(chroot: Option<&str>, path: &'a str) -> Cow<'a, str> {
    match chroot {
        None => Cow::Borrowed(path),
        Some(chroot) if path == "/" => Cow::Owned(chroot.to_owned()),
        Some(chroot) => Cow::Owned(format!("{chroot}{path}")),
    }
}

/// The path as the client has it: [`join`] undone. A path that is not below `chroot`, such as `/zookeeper/config`, is not changed.
#[must_use]
pub fn strip<'a>(chroot: Option<&str>, path: &'a str) -> &'a str {
    match path.strip_prefix(chroot.unwrap_or_default()) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_back_as_it_went() {
        for path in ["/", "/a", "/a/b", "/app"] {
            for chroot in [None, Some("/app"), Some("/app/x")] {
                assert_eq!(strip(chroot, &join(chroot, path)), path, "{chroot:?}");
            }
        }
        assert_eq!(join(Some("/app"), "/"), "/app");
        assert_eq!(join(Some("/app"), "/a/"), "/app/a/", "a sequential node may have a number for its name");
        assert_eq!(strip(Some("/app"), "/zookeeper/config"), "/zookeeper/config");
        assert_eq!(strip(Some("/app"), "/apple"), "/apple");
    }
}
