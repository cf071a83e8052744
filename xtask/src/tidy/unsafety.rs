//! `unsafe` code is in few places, and every other crate forbids it.

use anyhow::{Context, Result};

use super::{code, problem::Problem, tree::Tree};

/// Where `unsafe` may be: paths, or what is below them.
const PLACES: &[&str] = &["crates/uds-socket/src/sys", "crates/heap-kit/src/", "crates/mpsr/src/memory/glibc.rs"];

pub(super) fn check(tree: &Tree) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for (path, source) in tree.iter().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/")) {
        let is_place = |prefix: &str| PLACES.iter().any(|place| place.starts_with(prefix));
        let is_root = path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
        if is_root && !is_place(path.rsplit_once("src/").map_or(path, |(home, _)| home)) {
            let forbids = source.lines().any(|line| line == "#![forbid(unsafe_code)]");
            problems.extend((!forbids).then(|| format!("{path}: does not say `#![forbid(unsafe_code)]`")));
        }
        if !path.ends_with(".rs") || PLACES.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        let words = code::flat(&code::parse(source).with_context(|| path.to_owned())?);
        let found = words.iter().filter(|(word, _)| word == "unsafe");
        problems.extend(found.map(|(_, line)| format!("{path}:{line}: `unsafe` outside {}", PLACES.join(", "))));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_that_does_not_forbid_it_is_found() {
        let of = |name: &str, source: &str| {
            let path = format!("crates/{name}/src/lib.rs");
            check(&Tree::from([(path.as_str(), source)])).unwrap().len()
        };
        assert_eq!(of("a", "//! A.\n#![forbid(unsafe_code)]\n"), 0);
        assert_eq!(of("a", "//! Says `#![forbid(unsafe_code)]`.\n"), 1);
        assert_eq!(of("uds-socket", "//! A.\n"), 0);
        assert_eq!(of("uds-socket", "//! A.\nunsafe fn a() {}\n"), 1);
    }

    #[test]
    fn unsafe_code_elsewhere_is_found_with_its_line() {
        let code = "fn a() {\n    // unsafe\n    \"unsafe\";\n    unsafe { b() }\n}\n";
        let of = |path: &str| check(&Tree::from([(path, code)])).unwrap();
        assert!(of("crates/uds-socket/src/bind.rs")[0].starts_with("crates/uds-socket/src/bind.rs:4: "));
        assert_eq!(of("crates/uds-socket/src/sys/cmsg.rs"), [""; 0]);
        assert_eq!(of("crates/uds-socket/src/sys.rs"), [""; 0]);
        assert_eq!(of("crates/uds-actor/tests/a.rs"), [""; 0]);
    }
}
