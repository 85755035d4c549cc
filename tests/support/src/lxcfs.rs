//! Debian's lxcfs, with every option that makes its files truer.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;

/// How long it may take to serve.
const PATIENCE: Duration = Duration::from_secs(30);

/// An lxcfs that serves until this value is dropped.
#[derive(Debug)]
pub struct Lxcfs {
    child: Child,
    folder: tempfile::TempDir,
}

impl Lxcfs {
    /// Starts one and waits until it serves.
    pub fn start() -> Result<Self> {
        let folder = crate::folder()?;
        let mount_point = folder.path().join("lxcfs");
        std::fs::create_dir(&mount_point)?;
        let mut command = Command::new("lxcfs");
        command.args(["-f", "-l", "--enable-cfs", "--enable-pidfd", "-p"]);
        command.arg(folder.path().join("pid")).arg(&mount_point);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let lxcfs = Self { child: child.context("cannot start lxcfs")?, folder };
        lxcfs.wait(&mount_point.join("proc/meminfo"))?;
        Ok(lxcfs)
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Where its tree is mounted.
    pub fn mount_point(&self) -> PathBuf {
        self.folder.path().join("lxcfs")
    }

    fn wait(&self, file: &Path) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while std::fs::read(file).map_or(true, |text| text.is_empty()) {
            ensure!(Instant::now() < deadline, "lxcfs does not serve {}", file.display());
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
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
