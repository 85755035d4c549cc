//! Containers made by Debian's docker, with the files that runc lets anybody mount.
//!
//! Their image has no programs: they see the machine's, as a container of `porthole`
//! does without `--rootfs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use support::Ran;
use support::dockerd::Dockerd;

/// The name of the image.
const IMAGE: &str = "localhost/empty:1";

/// The script that mounts the files, as it was when this program was built: the VM
/// has no clone of it.
const RUN: &str = include_str!("../../deploy/docker/run.sh");

/// What of the machine a container sees: its programs, and how they are found.
const SEEN: [&str; 4] = ["/usr", "/etc/alternatives", "/etc/ld.so.cache", "/etc/java-17-openjdk"];

/// A dockerd with an image.
#[derive(Debug)]
pub(crate) struct Docker(Dockerd);

impl Docker {
    /// Starts one of our own.
    pub(crate) fn start() -> Result<Self> {
        let dockerd = Dockerd::start()?;
        import(&dockerd)?;
        Ok(Self(dockerd))
    }

    /// Runs a program in a new container, with the files of `tree`.
    pub(crate) fn run(&self, options: &[&str], tree: &Path, program: &[&str]) -> Result<Ran> {
        let mut run = self.0.command("sh");
        run.env("PORTHOLE_TREE", tree).args(["-c", RUN, "run.sh"]);
        with(&mut run, options, program)
    }

    /// Runs a program in a new container, with the machine's own files.
    pub(crate) fn run_bare(&self, options: &[&str], program: &[&str]) -> Result<Ran> {
        with(&mut self.0.docker(&["run"]), options, program)
    }

    /// `docker WORDS`.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.0.docker(words)
    }
}

fn with(run: &mut Command, options: &[&str], program: &[&str]) -> Result<Ran> {
    run.arg("--net=none").args(options);
    let seen = SEEN.iter().filter(|path| Path::new(path).exists());
    run.args(seen.map(|path| format!("--volume={path}:{path}:ro")));
    Ran::new(run.arg(IMAGE).args(program))
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
    for name in ["bin", "lib", "lib32", "lib64", "sbin"] {
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
    )?;
    Ok(fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?)
}
