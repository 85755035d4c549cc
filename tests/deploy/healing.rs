//! A docker container whose files have died: the next daemon replaces them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Ran, Verdict, binaries, daemon, leaks};

use crate::containers::{Host, on_host};
use crate::tools_image;

/// Far above the fraction of a second that it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon of this test's own, which may be killed.
struct Daemon {
    mount_point: PathBuf,
}

impl Daemon {
    fn start(mount_point: &Path) -> Result<Self> {
        let mut serve = Command::new(binaries::path("portholefs")?);
        serve.args(["serve", "--daemon"]).arg(mount_point).env(leaks::MARK, leaks::mark());
        Ran::new(&mut serve)?.succeeded()?;
        Ok(Self { mount_point: mount_point.to_owned() })
    }

    /// Keeper and worker.
    fn processes(&self) -> Result<Vec<Pid>> {
        let mut status = Command::new(binaries::path("portholefs")?);
        let status = Ran::new(status.args(["status", "--json"]).arg(&self.mount_point))?;
        let status: serde_json::Value = serde_json::from_str(&status.succeeded()?.stdout)?;
        let pid = |key: &str| {
            let pid = status[key].as_i64().with_context(|| format!("no {key} in {status}"))?;
            Ok(Pid::from_raw(i32::try_from(pid)?))
        };
        [pid("keeper_pid"), pid("worker_pid")].into_iter().collect()
    }

    /// Everything at once, so that nobody continues the session.
    fn kill(&self) -> Verdict {
        for process in self.processes()? {
            kill(process, Signal::SIGKILL)?;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Each fails only when there is nothing left to do.
        let _killed_before = self.kill();
        while daemon::is_mounted(&self.mount_point) {
            let flags = nix::mount::MntFlags::MNT_DETACH;
            let _detached_by_another = nix::mount::umount2(&self.mount_point, flags);
        }
    }
}

pub(crate) fn the_next_daemon_heals_a_running_container() -> Verdict {
    on_host(|host| {
        let folder = support::folder()?;
        let mount_point = folder.path().join("fs");
        let first = Daemon::start(&mount_point)?;
        let id = host.start_container(&mount_point, "64m")?;
        check_limit(host, &id)?;
        first.kill()?;
        let dead = ask(host, &id)?;
        dead.holds("the files have died", dead.stderr.contains("not connected"))?;
        let _second = Daemon::start(&mount_point)?;
        let start = Instant::now();
        while ask(host, &id)?.status != Some(0) {
            ensure!(start.elapsed() < PATIENCE, "not healed after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        check_limit(host, &id)?;
        Ran::new(host.dockerd.docker(&["rm", "--force"]).arg(&id))?.succeeded().map(drop)
    })
}

fn ask(host: &Host<'_>, id: &str) -> Result<Ran> {
    Ran::new(host.dockerd.docker(&["exec", id]).args(["cat", "/proc/meminfo"]))
}

/// Fails unless the container sees its limit.
fn check_limit(host: &Host<'_>, id: &str) -> Verdict {
    let asked = ask(host, id)?.succeeded()?;
    asked.equal("MemTotal", &asked.meminfo("MemTotal")?, &(64 << 20))
}

impl Host<'_> {
    /// A container that does nothing, with the files of `tree`; its id.
    fn start_container(&self, tree: &Path, memory: &str) -> Result<String> {
        let mut run = self.dockerd.command(crate::files::workspace().join("deploy/docker/run.sh"));
        run.env("PORTHOLE_TREE", tree).args(["--detach", "-m", memory, "--net", "none"]);
        let run = Ran::new(run.args([tools_image::IMAGE, "sleep", "600"]))?.succeeded()?;
        Ok(run.stdout.trim().to_owned())
    }
}
