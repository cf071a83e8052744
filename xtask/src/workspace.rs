//! The workspace as cargo sees it: its root and its packages.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package, TargetKind};

/// The repository's root and its packages.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

impl Workspace {
    /// Asks cargo about the workspace that this program belongs to.
    ///
    /// Changes the process's directory to the root: every command runs there, wherever you are.
    pub(crate) fn open() -> Result<Self> {
        let package = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
        let root = Path::new(&package).parent().context("xtask lies in a workspace")?;
        env::set_current_dir(root).with_context(|| format!("cannot change to {}", root.display()))?;
        let metadata = MetadataCommand::new()
            .no_deps()
            .other_options(["--offline".to_owned()])
            .exec()
            .context("cargo cannot read the workspace")?;
        Ok(Self {
            root: metadata.workspace_root.into(),
            target: metadata.target_directory.into(),
            packages: metadata.packages,
        })
    }

    /// A package's directory, relative to the root: `crates/frame-codec`.
    pub(crate) fn dir(&self, package: &Package) -> String {
        let dir = package.manifest_path.parent().map(|dir| dir.as_std_path()).unwrap_or(Path::new(""));
        dir.strip_prefix(&self.root).unwrap_or(dir).display().to_string()
    }

    /// The crates for users, in `crates/`.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.dir(package).starts_with("crates/"))
    }

    /// The declared Rust version, in the form that toolchain names have: `1.88`.
    pub(crate) fn rust_version(&self) -> Option<String> {
        let version = self.packages.iter().find_map(|package| package.rust_version.as_ref())?;
        Some(format!("{}.{}", version.major, version.minor))
    }
}

/// The names of a package's tests, examples or other targets.
pub(crate) fn targets(package: &Package, kind: TargetKind) -> impl Iterator<Item = &str> {
    package.targets.iter().filter(move |target| target.is_kind(kind.clone())).map(|target| target.name.as_str())
}

/// Packages for tests, as `cargo metadata` would print them.
#[cfg(test)]
pub(crate) mod fake {
    use serde_json::json;

    use super::*;

    /// A package in `crates/`, with targets of these names and kinds.
    pub(crate) fn package(name: &str, targets: &[(&str, &str)]) -> Package {
        let target = |(name, kind)| json!({"name": name, "kind": [kind], "crate_types": ["bin"], "src_path": "/a.rs"});
        let targets: Vec<_> = targets.iter().copied().map(target).collect();
        serde_json::from_value(json!({
            "name": name, "version": "0.1.0", "id": name, "dependencies": [], "targets": targets, "features": {},
            "manifest_path": format!("/nowhere/crates/{name}/Cargo.toml"), "rust_version": "1.88",
        }))
        .unwrap()
    }

    pub(crate) fn workspace(packages: Vec<Package>) -> Workspace {
        Workspace { root: "/nowhere".into(), target: "/nowhere/target".into(), packages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_read() {
        let workspace = Workspace::open().unwrap();
        let xtask = workspace.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(workspace.dir(xtask), "xtask");
        assert_eq!(targets(xtask, TargetKind::Bin).collect::<Vec<_>>(), ["xtask"]);
        assert!(workspace.crates().any(|package| package.name == "mpsr"));
        assert!(workspace.rust_version().unwrap().starts_with("1."));
    }
}
