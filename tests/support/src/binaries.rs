//! Where the product's programs are.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The path of `portholefs` or `porthole`.
///
/// `PORTHOLE_BIN_DIR` names the folder (an installed product can be tested, and
/// the VM does); without it, cargo's `release` folder beside this program's.
pub fn path(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("PORTHOLE_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => target()
            .context("this program is not in a target folder: set PORTHOLE_BIN_DIR")?
            .join("release"),
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is missing (cargo build --release)", path.display());
    }
    Ok(path)
}

/// A path below `target/tools`, where `cargo xtask setup` installs what no Debian
/// package has.
pub fn tool(path: &str) -> Result<PathBuf> {
    Ok(target().context("this program is not in a target folder")?.join("tools").join(path))
}

/// `target` for a test program in `target/debug/deps`.
fn target() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.parent()?.to_owned())
}
