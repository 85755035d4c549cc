//! Where things are: the workspace, its target folder, the folders made there.
//!
//! Nothing here is known when the program is built: a clone may be moved, and
//! `CARGO_TARGET_DIR` may point anywhere. Cargo is asked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// The folders of this clone.
#[derive(Debug, Clone)]
pub struct Place {
    /// The workspace: where the top `Cargo.toml` is.
    pub workspace: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Place {
    /// Asks cargo.
    pub fn find() -> Result<Self> {
        let mut cargo = cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: serde_json::Value = serde_json::from_str(&command::output(&mut cargo)?)?;
        let path = |key: &str| {
            metadata
                .get(key)
                .and_then(|path| path.as_str())
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata names no {key}"))
        };
        Ok(Self { workspace: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The folder of what was built with `--release`.
    pub fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// A folder of ours below the target folder, made when it is missing.
    pub fn made(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.target.join(name);
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// The cargo that runs us, so that both use the same toolchain.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
