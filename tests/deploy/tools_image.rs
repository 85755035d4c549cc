//! An image of this machine's own programs, so that no registry is asked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use support::Ran;
use support::dockerd::Dockerd;

/// The name of the image.
pub(crate) const IMAGE: &str = "localhost/tools:1";

/// Programs of procps, which are linked with shared libraries.
const PROGRAMS: [&str; 3] = ["/usr/bin/free", "/usr/bin/top", "/usr/bin/uptime"];

/// What `top` writes for when nobody gave it a terminal.
const TERMINAL: &str = "terminfo/d/dumb";

/// Words that busybox answers to in the image.
const APPLETS: [&str; 5] = ["sh", "cat", "grep", "find", "sleep"];

/// Makes the image and gives it to `dockerd`.
pub(crate) fn import(dockerd: &Dockerd) -> Result<()> {
    let root = tempfile::tempdir()?;
    fill(root.path())?;
    let mut tar = Command::new("tar")
        .arg("--directory")
        .arg(root.path())
        .args(["--create", "."])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let layers = tar.stdout.take().context("tar has a standard output")?;
    let imported = Ran::new(dockerd.docker(&["import", "-", IMAGE]).stdin(layers))?;
    ensure!(tar.wait()?.success(), "tar failed");
    imported.succeeded().map(drop)
}

fn fill(root: &Path) -> Result<()> {
    for folder in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
        fs::create_dir(root.join(folder))?;
    }
    copy(Path::new("/bin/busybox"), root).context("busybox-static is needed")?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for program in PROGRAMS {
        copy(Path::new(program), root).context("procps is needed")?;
        for library in libraries(program)? {
            copy(Path::new(&library), root)?;
        }
    }
    let terminal = Path::new("/usr/lib").join(TERMINAL);
    copy_to(&terminal, &root.join("lib").join(TERMINAL))
}

/// Copies `path` to the same place below `root`.
fn copy(path: &Path, root: &Path) -> Result<()> {
    copy_to(path, &root.join(path.strip_prefix("/")?))
}

fn copy_to(path: &Path, target: &Path) -> Result<()> {
    fs::create_dir_all(target.parent().context("a file is in a folder")?)?;
    fs::copy(path, target).with_context(|| format!("cannot copy {}", path.display()))?;
    Ok(())
}

/// The absolute paths that `ldd` names.
fn libraries(program: &str) -> Result<Vec<String>> {
    let ldd = Ran::new(Command::new("ldd").arg(program))?.succeeded()?;
    let words = ldd.stdout.split_whitespace();
    Ok(words.filter(|word| word.starts_with('/')).map(str::to_owned).collect())
}
