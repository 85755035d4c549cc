//! The same container made by Debian's docker, with the files that runc lets
//! anybody mount.
//!
//! Its image has no programs: it sees the machine's, as a container of `porthole`
//! does without `--rootfs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use support::Ran;
use support::dockerd::Dockerd;

use super::programs::Check;
use super::{OPTIONS, script, words};

/// The name of the image.
const IMAGE: &str = "localhost/empty:1";

/// The script that mounts the files; only in a clone.
const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/docker/run.sh");

/// What of the machine a container sees: its programs, and how they are found.
const SEEN: [&str; 3] = ["/usr", "/etc/alternatives", "/etc/ld.so.cache"];

/// A dockerd with an image.
#[derive(Debug)]
pub(super) struct Docker(Dockerd);

impl Docker {
    /// Starts one of our own.
    pub(super) fn start() -> Result<Self> {
        let dockerd = Dockerd::start()?;
        import(&dockerd)?;
        Ok(Self(dockerd))
    }

    /// Runs a program in a new container, with the files of `tree`.
    pub(super) fn ask(&self, check: &Check, tree: &Path) -> Result<Ran> {
        let mut run = self.0.command(RUN);
        run.env("PORTHOLE_TREE", tree).args(OPTIONS).args(["--rm", "--net=none"]);
        run.args(SEEN.map(|path| format!("--volume={path}:{path}:ro")));
        Ran::new(run.arg(IMAGE).args(words(&script(check))))
    }
}

fn import(dockerd: &Dockerd) -> Result<()> {
    let root = tempfile::tempdir()?;
    fill(root.path())?;
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(root.path()).args(["--create", "."]).stdout(Stdio::piped());
    let mut tar = tar.spawn().context("cannot run tar")?;
    let layer = tar.stdout.take().context("tar has a standard output")?;
    let imported = Ran::new(dockerd.docker(&["import", "-", IMAGE]).stdin(layer))?;
    ensure!(tar.wait()?.success(), "tar failed");
    imported.succeeded().map(drop)
}

fn fill(root: &Path) -> Result<()> {
    for folder in ["dev", "etc", "proc", "root", "sys", "tmp", "usr", "var/lib", "var/log", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    Ok(fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?)
}
