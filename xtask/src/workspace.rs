//! The workspace as cargo sees it: where it is, which packages it has, what they depend on.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::json::Value;

/// The repository's root and its packages.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The package's directory, relative to the root: `crates/frame-codec`.
    pub(crate) dir: String,
    /// Name and what it switches on, in cargo's order.
    pub(crate) features: Vec<(String, Vec<String>)>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Build,
    Dev,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `lib`, `bin`, `test`, `example`, ...
    pub(crate) kind: String,
}

impl Workspace {
    /// Finds the workspace this program belongs to and asks cargo about it.
    ///
    /// The process changes to the root: every command below runs from there, whatever the caller's
    /// directory is.
    pub(crate) fn open() -> Result<Self> {
        let root = root()?;
        env::set_current_dir(&root).with_context(|| format!("cannot change to {}", root.display()))?;
        let shell = Shell::new()?;
        let cargo = cargo();
        let text = cmd!(shell, "{cargo} metadata --no-deps --format-version 1 --offline")
            .quiet()
            .read()
            .context("cargo cannot read the workspace")?;
        let metadata = Value::parse(&text).context("cannot read what `cargo metadata` prints")?;
        let packages = metadata
            .list("packages")?
            .iter()
            .map(|package| Package::read(package, &root))
            .collect::<Result<Vec<_>>>()?;
        let target = PathBuf::from(metadata.text("target_directory")?);
        Ok(Self { root, target, packages })
    }

    /// The crates people use: what is under `crates/`.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.dir.starts_with("crates/"))
    }

    /// Whether builds can be held to a lock file.
    pub(crate) fn has_lock(&self) -> bool {
        self.root.join("Cargo.lock").is_file()
    }
}

impl Package {
    fn read(value: &Value, root: &Path) -> Result<Self> {
        let manifest = Path::new(value.text("manifest_path")?);
        let dir = manifest.parent().context("a manifest lies in a directory")?;
        let dir = dir.strip_prefix(root).unwrap_or(dir);
        let features = value
            .object("features")?
            .iter()
            .map(|(name, switches)| {
                let switches = match switches {
                    Value::List(items) => items.iter().filter_map(as_text).collect(),
                    _ => Vec::new(),
                };
                (name.clone(), switches)
            })
            .collect();
        let dependencies = value.list("dependencies")?.iter().map(Dependency::read).collect::<Result<_>>()?;
        let targets = value.list("targets")?.iter().map(Target::read).collect::<Result<_>>()?;
        Ok(Self {
            name: value.text("name")?.to_owned(),
            dir: dir.to_string_lossy().into_owned(),
            features,
            dependencies,
            targets,
        })
    }

    /// The names of the integration tests.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &str> {
        self.names_of("test")
    }

    pub(crate) fn examples(&self) -> impl Iterator<Item = &str> {
        self.names_of("example")
    }

    fn names_of(&self, kind: &'static str) -> impl Iterator<Item = &str> {
        self.targets.iter().filter(move |target| target.kind == kind).map(|target| target.name.as_str())
    }
}

impl Dependency {
    fn read(value: &Value) -> Result<Self> {
        let kind = match value.member("kind") {
            Some(Value::Text(kind)) if kind == "dev" => DependencyKind::Dev,
            Some(Value::Text(kind)) if kind == "build" => DependencyKind::Build,
            _ => DependencyKind::Normal,
        };
        Ok(Self {
            name: value.text("name")?.to_owned(),
            kind,
            optional: value.member("optional") == Some(&Value::Bool(true)),
        })
    }
}

impl Target {
    fn read(value: &Value) -> Result<Self> {
        let kind = value.list("kind")?.first().and_then(as_text).unwrap_or_default();
        Ok(Self { name: value.text("name")?.to_owned(), kind })
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Cargo tells where this package lies; the workspace is one directory up. The path compiled in
/// serves whoever starts the binary by hand.
pub(crate) fn root() -> Result<PathBuf> {
    let package = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let root = Path::new(&package).parent().context("xtask lies in a workspace")?;
    fs::canonicalize(root).with_context(|| format!("there is no workspace at {}", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::open().unwrap();
        let xtask = workspace.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.dir, "xtask");
        assert!(xtask.targets.contains(&Target { name: "xtask".into(), kind: "bin".into() }));
        assert!(xtask.dependencies.contains(&Dependency {
            name: "xshell".into(),
            kind: DependencyKind::Normal,
            optional: false,
        }));
    }
}
