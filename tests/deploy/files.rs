//! The files under test, and the tool that reads YAML.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use support::{Ran, binaries};

/// Where deployments mount the tree.
pub(crate) const MOUNT_POINT: &str = "/var/lib/porthole/fs";

/// The workspace this test was built in.
pub(crate) fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A file of the workspace, as text.
pub(crate) fn text(path: &str) -> Result<String> {
    std::fs::read_to_string(workspace().join(path)).with_context(|| format!("cannot read {path}"))
}

/// The one object of a YAML file; by the parser that kubernetes-validate uses.
pub(crate) fn yaml(file: &Path) -> Result<serde_json::Value> {
    const CONVERT: &str = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))";
    let mut python = Command::new(binaries::tool("kubernetes-validate/bin/python")?);
    python.args(["-c", CONVERT]).stdin(std::fs::File::open(file)?);
    Ok(serde_json::from_str(&Ran::new(&mut python)?.succeeded()?.stdout)?)
}
