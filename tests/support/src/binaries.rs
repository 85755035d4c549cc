//! Where the product's programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result, bail};

use crate::Ran;

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

/// `portholefs` of the version before this one: of the newest tag, or while there is
/// none, of the commit before the last that changed the daemon.
/// `PORTHOLE_TESTS_BEFORE` names another. Built once, in `target/before`, with
/// sources and a target folder of its own.
pub fn before() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let revision = revision_before(&workspace)?;
    let folder = target().context("this program is not in a target folder")?.join("before");
    let program = folder.join(format!("portholefs-{revision}"));
    if !program.exists() {
        let sources = folder.join("sources");
        std::fs::create_dir_all(&sources)?;
        let unpack = "rm -rf \"$2\"/* && git archive \"$1\" | tar -x -C \"$2\"";
        let mut unpacking = Command::new("sh");
        unpacking.args(["-c", unpack, "sh", &revision]).arg(&sources).current_dir(&workspace);
        Ran::new(&mut unpacking)?.succeeded()?;
        let mut build = Command::new("cargo");
        build.args(["build", "--release", "--locked", "-p", "procfs-fuse", "--target-dir"]);
        Ran::new(build.arg(folder.join("target")).current_dir(&sources))?.succeeded()?;
        std::fs::copy(folder.join("target/release/portholefs"), &program)?;
    }
    Ok(program)
}

fn revision_before(workspace: &Path) -> Result<String> {
    let git = |words: &[&str]| {
        Ok(Ran::new(Command::new("git").args(words).current_dir(workspace))?.succeeded()?.stdout)
    };
    let named = std::env::var("PORTHOLE_TESTS_BEFORE");
    let tagged = || git(&["describe", "--tags", "--abbrev=0", "HEAD^"]);
    let changed = || git(&["log", "-1", "--format=%H^", "--", "procfs-fuse"]);
    let name = named.or_else(|_unset| tagged()).or_else(|_untagged: Error| changed())?;
    Ok(git(&["rev-parse", "--short", &format!("{}^{{commit}}", name.trim())])?.trim().to_owned())
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
