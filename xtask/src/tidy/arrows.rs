//! Which of our crates may depend on which.
//!
//! The table is the picture of `docs/architecture.md` as data. A new arrow is a design change: draw it there and add it
//! here in the same commit.

use cargo_metadata::{DependencyKind, Package};

use super::problem::Problem;

struct Crate {
    name: &'static str,
    may_use: &'static [&'static str],
    /// Only with a feature.
    may_use_optionally: &'static [&'static str],
}

const fn arrows(name: &'static str, may_use: &'static [&'static str]) -> Crate {
    Crate { name, may_use, may_use_optionally: &[] }
}

/// Every crate, lowest first.
const GRAPH: &[Crate] = &[
    arrows("frame-codec", &[]),
    arrows("lock-file", &[]),
    arrows("unix-diag", &[]),
    arrows("socket-file", &["lock-file", "unix-diag"]),
    arrows("fs-watch", &["socket-file", "lock-file", "unix-diag"]),
    arrows("cancel-kit", &[]),
    arrows("heap-kit", &[]),
    arrows("terminal-text", &[]),
    arrows("packetizer", &["frame-codec"]),
    arrows("uds-socket", &["socket-file", "lock-file", "unix-diag"]),
    arrows("uds-channel", &["frame-codec", "uds-socket"]),
    arrows("uds-actor", &["frame-codec", "uds-socket"]),
    Crate {
        name: "mpsr-server",
        may_use: &["uds-actor", "uds-socket", "frame-codec"],
        may_use_optionally: &["fs-watch"],
    },
    arrows("zk-proto", &["packetizer"]),
    arrows("zk-client", &["zk-proto", "packetizer", "frame-codec"]),
    arrows(
        "mpsr",
        &[
            "mpsr-server",
            "zk-client",
            "uds-actor",
            "uds-socket",
            "fs-watch",
            "socket-file",
            "unix-diag",
            "packetizer",
            "frame-codec",
            "terminal-text",
        ],
    ),
    arrows("zk", &["zk-client", "zk-proto", "terminal-text"]),
];

/// No crate depends on these, not even in tests.
const BINARIES: &[&str] = &["mpsr", "zk"];

/// Every crate may test with these.
const FOR_TESTS: &[&str] = &["cancel-kit", "heap-kit", "test-kit"];

/// Members that are not crates for users. They may use everything.
const OUTSIDE: &[&str] = &["xtask", "tributary-tests", "test-kit"];

pub(super) fn check(packages: &[Package]) -> Vec<Problem> {
    let is_ours = |name: &str| packages.iter().any(|package| package.name.as_str() == name);
    let mut problems = Vec::new();
    for package in packages {
        let row = GRAPH.iter().find(|row| row.name == package.name.as_str());
        let is_outside = OUTSIDE.contains(&package.name.as_str());
        if row.is_none() && !is_outside {
            problems.push(format!(
                "{}: not in the graph of crates: a new crate is a design change (xtask/src/tidy/arrows.rs)",
                package.name
            ));
        }
        for dependency in package.dependencies.iter().filter(|dependency| is_ours(&dependency.name)) {
            let name = dependency.name.as_str();
            if name == package.name.as_str() && dependency.kind == DependencyKind::Development {
                // A crate may test itself with more of its features.
                continue;
            }
            if BINARIES.contains(&name) {
                problems.push(format!("{}: depends on {name}, which is a program", package.name));
                continue;
            }
            let Some(row) = row else { continue };
            let in_tests = dependency.kind == DependencyKind::Development;
            let allowed = row.may_use.contains(&name)
                || row.may_use_optionally.contains(&name) && (dependency.optional || in_tests)
                || in_tests && FOR_TESTS.contains(&name);
            if !allowed {
                let how = if row.may_use_optionally.contains(&name) { " without a feature" } else { "" };
                problems.push(format!("{}: no arrow leads to {name}{how}", package.name));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::fake;

    fn package(name: &str, dependencies: &[(&str, DependencyKind, bool)]) -> Package {
        let mut package = fake::package(name, &[]);
        package.dependencies = dependencies
            .iter()
            .map(|(name, kind, optional)| {
                let value = serde_json::json!({
                    "name": name, "req": "*", "kind": kind, "optional": optional,
                    "uses_default_features": true, "features": [],
                });
                serde_json::from_value(value).unwrap()
            })
            .collect();
        package
    }

    /// Every crate of the graph without dependencies, and then the one under test.
    fn complaints(name: &str, dependency: (&str, DependencyKind, bool)) -> Vec<Problem> {
        let mut packages: Vec<_> = GRAPH.iter().map(|row| package(row.name, &[])).collect();
        packages.push(package(name, &[dependency]));
        check(&packages)
    }

    #[test]
    fn drawn_arrows_are_allowed() {
        use DependencyKind::{Development as Dev, Normal};
        for (name, dependency) in [
            ("uds-actor", ("frame-codec", Normal, false)),
            ("uds-actor", ("uds-socket", Normal, false)),
            ("fs-watch", ("unix-diag", Normal, false)),
            ("mpsr-server", ("fs-watch", Normal, true)),
            ("mpsr-server", ("fs-watch", Dev, false)),
            ("frame-codec", ("cancel-kit", Dev, false)),
            ("frame-codec", ("tokio", Normal, false)),
            ("frame-codec", ("frame-codec", Dev, false)),
            ("tributary-tests", ("zk-client", Normal, false)),
        ] {
            assert_eq!(complaints(name, dependency), [""; 0]);
        }
    }

    #[test]
    fn arrows_that_are_not_drawn_are_found() {
        use DependencyKind::{Build, Development as Dev, Normal};
        for (name, dependency) in [
            ("frame-codec", ("uds-actor", Normal, false)),
            ("fs-watch", ("frame-codec", Normal, true)),
            ("unix-diag", ("uds-actor", Normal, false)),
            ("mpsr-server", ("zk-client", Normal, false)),
            ("mpsr-server", ("fs-watch", Normal, false)),
            ("uds-actor", ("packetizer", Dev, false)),
            ("uds-actor", ("lock-file", Normal, false)),
            ("uds-socket", ("frame-codec", Normal, false)),
            ("uds-channel", ("uds-actor", Dev, false)),
            ("frame-codec", ("cancel-kit", Build, false)),
            ("tributary-tests", ("mpsr", Dev, false)),
            ("nobody-drew-this", ("tokio", Normal, false)),
        ] {
            assert_eq!(complaints(name, dependency).len(), 1, "{name} -> {dependency:?}");
        }
    }

    #[test]
    fn the_graph_has_no_cycle() {
        for (index, row) in GRAPH.iter().enumerate() {
            for below in row.may_use.iter().chain(row.may_use_optionally) {
                let position = GRAPH.iter().position(|other| other.name == *below);
                assert!(position.is_some_and(|position| position < index), "{} -> {below}", row.name);
            }
        }
    }
}
