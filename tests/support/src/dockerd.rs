//! A dockerd of the test's own: its own socket, data, control groups and
//! containerd, no bridge and no firewall rules.
//!
//! The dockerd that the machine may be running is not touched, and nothing is
//! left when a [`Dockerd`] is dropped. What it needs from Debian: the package
//! docker.io, which brings containerd and runc.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Group, group};

/// Debian's programs before any of the same name elsewhere: the docker of a
/// newer vendor may refuse an older dockerd.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Two seconds when the machine is idle; a busy one, or a virtual one without KVM,
/// gets its time.
const START_LIMIT: Duration = Duration::from_secs(180);

/// What dockerd says when its containerd was not up within 15 seconds, as may happen
/// where programs are slow.
const TOO_SLOW: &str = "timeout waiting for containerd to start";

/// How often it is tried again then: programs that were read once are faster.
const TRIES: u32 = 4;

/// dockerd stops its containerd and unmounts its data before it ends.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// Folders that engines share below `/run`, deepest first: dockerd and the
/// shims of its containers make them wherever their own folders are.
const SHARED_FOLDERS: [&str; 4] =
    ["/run/containerd/s", "/run/containerd", "/run/docker/plugins", "/run/docker"];

/// A running dockerd; dropping it ends it and removes what it made.
#[derive(Debug)]
pub struct Dockerd {
    process: Child,
    folder: TempDir,
    /// The group of its containers.
    cgroup: String,
    /// Its own group, as a service has one. On v2 it learns there whether swap can be
    /// limited: the root group has no file that says so.
    _own: Group,
    /// Those of [`SHARED_FOLDERS`] that were not there before.
    shared_folders: Vec<&'static str>,
}

impl Dockerd {
    /// Starts dockerd and waits until it answers.
    pub fn start() -> Result<Self> {
        let mut started = Self::start_once();
        for _again in 1..TRIES {
            match started {
                Err(error) if error.to_string().contains(TOO_SLOW) => {
                    started = Self::start_once();
                }
                other => return other,
            }
        }
        started
    }

    fn start_once() -> Result<Self> {
        // Short, since the path of a socket may have 107 bytes at most.
        let folder = tempfile::Builder::new().prefix("dockerd-").tempdir_in("/tmp")?;
        let cgroup = folder.path().file_name().context("a folder has a name")?;
        let cgroup = cgroup.to_string_lossy().into_owned();
        let shared_folders =
            SHARED_FOLDERS.into_iter().filter(|folder| !Path::new(folder).exists()).collect();
        let own = Group::new(&["memory"])?;
        let process = spawn(folder.path(), &cgroup, &own)?;
        let mut dockerd = Self { process, folder, cgroup, _own: own, shared_folders };
        dockerd.wait_until_it_answers()?;
        Ok(dockerd)
    }

    /// A command that talks to this dockerd: `docker`, `docker-compose` or a
    /// script that runs them.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PATH", PATH).env("DOCKER_HOST", self.host()).stdin(Stdio::null());
        // Nobody's configuration, and none is written.
        command.env("DOCKER_CONFIG", self.folder.path().join("config"));
        command
    }

    /// `docker ARGS`.
    pub fn docker(&self, args: &[&str]) -> Command {
        let mut command = self.command("/usr/bin/docker");
        command.args(args);
        command
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < START_LIMIT {
            if let Some(status) = self.process.try_wait()? {
                bail!("dockerd ended with {status}: {}", self.log());
            }
            let asked =
                self.docker(&["version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if asked.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("dockerd did not answer within {START_LIMIT:?}: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_else(|error| error.to_string())
    }

    /// Ends dockerd as an administrator would, so that it unmounts its data.
    fn stop(&mut self) -> Result<()> {
        if self.process.try_wait()?.is_some() {
            // Whoever waited for an answer has told why.
            return Ok(());
        }
        let containers = self.docker(&["ps", "--all", "--quiet"]).output()?;
        let containers = String::from_utf8_lossy(&containers.stdout).into_owned();
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            self.docker(&["rm", "--force", "--volumes"]).args(containers).output()?;
        }
        kill(Pid::from_raw(i32::try_from(self.process.id())?), Signal::SIGTERM)?;
        let start = Instant::now();
        while self.process.try_wait()?.is_none() {
            if start.elapsed() > STOP_LIMIT {
                self.process.kill()?;
                self.process.wait()?;
                bail!("dockerd did not end within {STOP_LIMIT:?}: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Removes what a dockerd leaves behind when it has ended.
    fn clean(&self) -> Result<()> {
        for mount in mounts_below(self.folder.path())?.iter().rev() {
            umount2(mount, MntFlags::MNT_DETACH)?;
        }
        for group in groups_named(&self.cgroup)? {
            group::remove(&group).with_context(|| format!("cannot remove {}", group.display()))?;
        }
        for folder in &self.shared_folders {
            // Somebody else's engine may have come to use it in the meantime.
            let _left_when_not_empty = fs::remove_dir(folder);
        }
        Ok(())
    }
}

#[expect(clippy::panic, reason = "a test that leaves something behind fails")]
impl Drop for Dockerd {
    fn drop(&mut self) {
        let stopped = self.stop();
        let cleaned = self.clean();
        // A panic while another unwinds would hide the first.
        if let Err(error) = stopped.and(cleaned)
            && !std::thread::panicking()
        {
            panic!("dockerd left something behind: {error:#}");
        }
    }
}

fn spawn(folder: &Path, cgroup: &str, own: &Group) -> Result<Child> {
    // An empty configuration, so that the machine's own is not read.
    let configuration = folder.join("daemon.json");
    fs::write(&configuration, "{}")?;
    let log = File::create(folder.join("log"))?;
    let at = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    own.command(&["/usr/sbin/dockerd"])
        .env("PATH", PATH)
        .arg(format!("--host=unix://{}", folder.join("socket").display()))
        .args([at("config-file", "daemon.json"), at("data-root", "data")])
        .args([at("exec-root", "exec"), at("pidfile", "pid")])
        .arg(format!("--cgroup-parent=/{cgroup}"))
        .arg("--exec-opt=native.cgroupdriver=cgroupfs")
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
        // Lowering it needs CAP_SYS_RESOURCE, which a build machine may lack.
        .arg("--oom-score-adjust=0")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start /usr/sbin/dockerd")
}

/// Mount points below `folder`, in the order in which they were mounted.
fn mounts_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    Ok(points.filter(|point| point.starts_with(folder)).collect())
}

/// The control groups of this name directly below the root of any hierarchy.
fn groups_named(name: &str) -> Result<Vec<PathBuf>> {
    let top = Path::new("/sys/fs/cgroup");
    ensure!(top.is_dir(), "{} is not there", top.display());
    let hierarchies = fs::read_dir(top)?.collect::<Result<Vec<_>, _>>()?;
    // systemd has links beside them: cpu and cpuacct lead to cpu,cpuacct.
    let hierarchies =
        hierarchies.into_iter().map(|entry| entry.path()).filter(|path| !path.is_symlink());
    Ok(hierarchies
        .chain([top.to_owned()])
        .map(|hierarchy| hierarchy.join(name))
        .filter(|group| group.is_dir())
        .collect())
}
