//! The three whose files are compared.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;
use support::{Daemon, process};

/// Somebody who serves the files.
#[derive(Debug)]
pub(crate) struct Rival {
    /// The folder that `proc/meminfo` is below.
    pub(crate) root: PathBuf,
    /// Its processes, whose CPU time a read costs too.
    pub(crate) pids: Vec<Pid>,
}

/// The kernel, lxcfs and portholefs.
#[derive(Debug)]
pub(crate) struct Rivals {
    all: [Rival; 3],
    ours: Daemon,
    lxcfs: Lxcfs,
}

impl Rivals {
    /// Starts both daemons.
    pub(crate) fn start() -> Result<Self> {
        let ours = Daemon::start()?;
        let lxcfs = Lxcfs::start()?;
        let all = [
            Rival { root: "/".into(), pids: Vec::new() },
            Rival { root: lxcfs.mount_point(), pids: vec![lxcfs.pid()] },
            Rival { root: ours.mount_point(), pids: processes(ours.pid())? },
        ];
        Ok(Self { all, ours, lxcfs })
    }

    /// In the order in which they are printed.
    pub(crate) fn all(&self) -> &[Rival; 3] {
        &self.all
    }

    /// Stops both daemons.
    pub(crate) fn stop(self) -> Result<()> {
        drop(self.lxcfs);
        self.ours.stop()
    }
}

/// The daemon that was started, and all that it has started: the keeper answers
/// nothing, its worker does.
fn processes(started: Pid) -> Result<Vec<Pid>> {
    Ok(std::iter::once(started).chain(process::descendants(started)?).collect())
}

/// Debian's lxcfs, with every option that makes its files truer.
#[derive(Debug)]
struct Lxcfs {
    child: Child,
    folder: tempfile::TempDir,
}

impl Lxcfs {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn start() -> Result<Self> {
        let folder = support::folder()?;
        let mount_point = folder.path().join("lxcfs");
        std::fs::create_dir(&mount_point)?;
        let mut command = Command::new("lxcfs");
        command
            .args(["-f", "-l", "--enable-cfs", "-p"])
            .arg(folder.path().join("pid"))
            .arg(&mount_point);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start lxcfs")?;
        let lxcfs = Self { child, folder };
        lxcfs.wait(&mount_point.join("proc/meminfo"))?;
        Ok(lxcfs)
    }

    fn wait(&self, file: &Path) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::read(file).map_or(true, |text| text.is_empty()) {
            ensure!(Instant::now() < deadline, "lxcfs does not serve {}", file.display());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("lxcfs")
    }
}

impl Drop for Lxcfs {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let _ = nix::mount::umount2(&self.mount_point(), nix::mount::MntFlags::MNT_DETACH);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
