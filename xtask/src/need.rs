//! What a step needs from the machine, and what to print if it is missing.

use std::{env, path::PathBuf};

use xshell::{Shell, cmd};

use crate::workspace;

/// A tool that may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) tool: Tool,
    /// The exact line that installs it.
    pub(crate) install: &'static str,
    /// Whether a builder (`CI=true`) must have it. Then its absence is a failure.
    pub(crate) in_ci: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// A subcommand of cargo. A shim on the path may lead nowhere, so we ask for its version.
    Cargo(&'static str),
    /// A program on the path.
    Program(&'static str),
}

pub(crate) const RUSTFMT: Need = Need {
    tool: Tool::Cargo("fmt"),
    install: "rustup component add rustfmt (or: apt-get install rustfmt)",
    in_ci: false,
};
pub(crate) const CLIPPY: Need = Need {
    tool: Tool::Cargo("clippy"),
    install: "rustup component add clippy (or: apt-get install rust-clippy)",
    in_ci: false,
};
pub(crate) const NEXTEST: Need =
    Need { tool: Tool::Cargo("nextest"), install: "cargo install --locked cargo-nextest", in_ci: false };
pub(crate) const DENY: Need =
    Need { tool: Tool::Cargo("deny"), install: "cargo install --locked cargo-deny", in_ci: false };
pub(crate) const MUTANTS: Need =
    Need { tool: Tool::Cargo("mutants"), install: "cargo install --locked cargo-mutants", in_ci: false };
pub(crate) const SEMVER: Need =
    Need { tool: Tool::Cargo("semver-checks"), install: "cargo install --locked cargo-semver-checks", in_ci: false };
pub(crate) const PUBLIC_API: Need =
    Need { tool: Tool::Cargo("public-api"), install: "cargo install --locked cargo-public-api", in_ci: false };
/// libFuzzer is C++ and is compiled together with its user.
pub(crate) const CXX: Need = Need { tool: Tool::Program("c++"), install: "apt-get install g++", in_ci: false };
pub(crate) const JAVA: Need =
    Need { tool: Tool::Program("java"), install: "apt-get install default-jre-headless", in_ci: true };
pub(crate) const APT: Need =
    Need { tool: Tool::Program("apt-get"), install: "a Debian or Ubuntu machine", in_ci: true };
pub(crate) const DPKG: Need = Need { tool: Tool::Program("dpkg"), install: "a Debian or Ubuntu machine", in_ci: true };

impl Need {
    pub(crate) fn is_met(&self) -> bool {
        self.tool.version().is_some()
    }

    /// `cargo-deny is not installed: cargo install --locked cargo-deny`
    pub(crate) fn complaint(&self) -> String {
        format!("{} is not installed: {}", self.tool.name(), self.install)
    }
}

impl Tool {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cargo(name) => format!("cargo-{name}"),
            Self::Program(name) => (*name).to_owned(),
        }
    }

    /// The first line that a cargo subcommand prints about its version, or the path of a program.
    pub(crate) fn version(&self) -> Option<String> {
        match self {
            Self::Cargo(name) => {
                let shell = Shell::new().ok()?;
                let cargo = workspace::cargo();
                let said = cmd!(shell, "{cargo} {name} --version").quiet().ignore_stderr().read().ok()?;
                said.lines().next().map(str::to_owned)
            }
            Self::Program(name) => find_program(name).map(|path| path.display().to_string()),
        }
    }
}

/// Where the shell would find `name`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| {
        path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// Properties of the machine that change how steps run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) nextest: bool,
    pub(crate) clippy: bool,
}

impl Machine {
    pub(crate) fn probe() -> Self {
        Self { nextest: NEXTEST.is_met(), clippy: CLIPPY.is_met() }
    }
}

/// The compiler's version: `(1, 93)`.
pub(crate) fn rustc() -> Option<(u32, u32)> {
    let shell = Shell::new().ok()?;
    version(&cmd!(shell, "rustc --version").quiet().ignore_stderr().read().ok()?)
}

/// Whether rustup has this version of Rust.
pub(crate) fn has_toolchain(version: &str) -> bool {
    find_program("rustup").is_some()
        && Shell::new().is_ok_and(|shell| {
            // Otherwise rustup would install what is missing.
            let ask = cmd!(shell, "rustup run {version} rustc --version").env("RUSTUP_AUTO_INSTALL", "0");
            ask.quiet().ignore_stderr().ignore_stdout().run().is_ok()
        })
}

/// Major and minor number in `rustc 1.93.0 (...)`.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split(' ').nth(1)?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether a builder runs us, by the variable that all of them set.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found_and_nonsense_is_not() {
        assert!(Tool::Program("sh").version().is_some());
        assert_eq!(Tool::Program("no-such-program-here").version(), None);
        assert_eq!(Tool::Cargo("no-such-subcommand-here").version(), None);
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert_eq!(version("rustc 1.100.0-nightly (0123 2027-01-01)"), Some((1, 100)));
        assert_eq!(version("no compiler"), None);
        assert!(rustc().is_some_and(|version| version >= (1, 88)));
        assert!(!has_toolchain("1.1"));
    }

    #[test]
    fn a_complaint_says_how_to_install() {
        assert_eq!(DENY.complaint(), "cargo-deny is not installed: cargo install --locked cargo-deny");
    }
}
