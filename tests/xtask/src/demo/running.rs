//! A daemon and containers for the demo; nothing of them is left afterwards.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::numbers::Limits;
use crate::command;
use crate::place::Place;

/// How long the daemon may take to serve.
const PATIENCE: Duration = Duration::from_secs(10);

/// A `portholefs` that runs until this value is dropped.
#[derive(Debug)]
pub struct Running {
    daemon: Child,
    /// Where the demo's mount point, state and log are.
    folder: PathBuf,
    binaries: PathBuf,
}

impl Running {
    /// Starts the daemon on a mount point of the demo's own.
    pub fn start(place: &Place) -> Result<Self> {
        let folder = place.made(format!("demo-{}", std::process::id()))?;
        let log = std::fs::File::create(folder.join("log"))?;
        let daemon = Command::new(place.release().join("portholefs"))
            .arg("serve")
            .arg(folder.join("fs"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start portholefs")?;
        let mut running = Self { daemon, folder, binaries: place.release() };
        running.wait()?;
        Ok(running)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let probe = self.folder.join("fs/proc/meminfo");
        while std::fs::read(&probe).map_or(true, |text| text.is_empty()) {
            if self.daemon.try_wait()?.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("portholefs does not serve {}:\n{log}", probe.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// `porthole run` with `limits`; the program's words are still missing.
    pub fn container(&self, limits: &Limits, options: &[&str]) -> Command {
        let mut command = Command::new(self.binaries.join("porthole"));
        command.arg("--state-dir").arg(self.folder.join("state"));
        command.arg("run").arg("--view").arg(self.folder.join("fs"));
        command.args([
            "-m",
            &format!("{}m", limits.memory_mib),
            "--cpus",
            &limits.cpus.to_string(),
        ]);
        command.args(options);
        command
    }

    /// Stops the daemon, which unmounts, and removes the folder.
    fn stop(&mut self) -> Result<()> {
        command::run(Command::new("kill").arg(self.daemon.id().to_string()))?;
        self.daemon.wait()?;
        remove(&self.folder)
    }
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("xtask: {error:#}");
        }
    }
}
