//! Control groups of the tests' own, the same on cgroup v1 and v2.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::leaks;

/// How long the kernel may take to see that a group's last process is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A group in the hierarchies of some controllers; removed with this value.
#[derive(Debug)]
pub struct Group {
    controllers: Vec<&'static str>,
    /// Its folders: one per v1 hierarchy, or one in the v2 tree.
    folders: Vec<PathBuf>,
}

impl Group {
    /// Makes a group below the roots of the hierarchies of `controllers`. Where
    /// CPU time is limited it is accounted for too, as every engine does it.
    pub fn new(controllers: &[&'static str]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}{count}", leaks::prefix());
        let mut controllers = controllers.to_vec();
        if controllers.iter().any(|name| name.starts_with("cpu")) {
            controllers.push("cpuacct");
        }
        Self::make(&controllers, |controller| Ok(hierarchy(controller)?.join(&name)))
    }

    /// Makes a group below this one, with the same controllers.
    pub fn child(&self, name: &str) -> Result<Self> {
        // cpuacct is no controller of v2: its numbers are in cpu.stat always.
        let enabled = self.controllers.iter().filter(|name| is_v2(name) && **name != "cpuacct");
        for controller in enabled {
            self.write(
                controller,
                "cgroup.subtree_control",
                "cgroup.subtree_control",
                &format!("+{controller}"),
            )?;
        }
        Self::make(&self.controllers, |controller| Ok(self.folder(controller)?.join(name)))
    }

    fn make(controllers: &[&'static str], path: impl Fn(&str) -> Result<PathBuf>) -> Result<Self> {
        let mut group = Self { controllers: controllers.to_vec(), folders: Vec::new() };
        for controller in controllers {
            let folder = path(controller)?;
            if !group.folders.contains(&folder) {
                std::fs::create_dir(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                group.folders.push(folder);
            }
            if *controller == "cpuset" && !is_v2(controller) {
                group.fill_cpuset()?;
            }
        }
        Ok(group)
    }

    /// On v1 a cpuset begins empty, and nobody can enter it before it is filled.
    fn fill_cpuset(&self) -> Result<()> {
        let folder = self.folder("cpuset")?;
        let parent = folder.parent().context("a group has a parent")?.to_owned();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let all = std::fs::read_to_string(parent.join(file))?;
            std::fs::write(folder.join(file), all.trim())?;
        }
        Ok(())
    }

    /// Limits memory, in bytes.
    pub fn limit_memory(&self, bytes: u64) -> Result<()> {
        self.write("memory", "memory.limit_in_bytes", "memory.max", &bytes.to_string())
    }

    /// Limits swap alone to `swap` bytes, beside `memory` bytes of memory: v1
    /// counts both together.
    pub fn limit_swap(&self, memory: u64, swap: u64) -> Result<()> {
        let value = if is_v2("memory") { swap } else { memory + swap };
        self.write("memory", "memory.memsw.limit_in_bytes", "memory.swap.max", &value.to_string())
    }

    /// Limits CPU time: microseconds of CPU in every period of 100 ms.
    pub fn limit_cpu(&self, quota_us: u64) -> Result<()> {
        if is_v2("cpu") {
            return self.write("cpu", "", "cpu.max", &format!("{quota_us} 100000"));
        }
        self.write("cpu", "cpu.cfs_quota_us", "", &quota_us.to_string())
    }

    /// Has none of its processes run any more; a group with `freezer` alone.
    pub fn freeze(&self) -> Result<()> {
        self.write("freezer", "freezer.state", "cgroup.freeze", file("freezer", "FROZEN", "1"))
    }

    /// Has them run again.
    pub fn thaw(&self) -> Result<()> {
        self.write("freezer", "freezer.state", "cgroup.freeze", file("freezer", "THAWED", "0"))
    }

    /// Moves a process into the group.
    pub fn enter(&self, pid: Pid) -> Result<()> {
        for folder in &self.folders {
            std::fs::write(folder.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("{pid} cannot enter {}", folder.display()))?;
        }
        Ok(())
    }

    /// Limits the CPUs to a list such as `1-2`.
    pub fn limit_cpuset(&self, list: &str) -> Result<()> {
        self.write("cpuset", "cpuset.cpus", "cpuset.cpus", list)
    }

    /// Writes to a file of the group, named as on v1 and as on v2.
    pub fn write(&self, controller: &str, v1: &str, v2: &str, text: &str) -> Result<()> {
        let path = self.folder(controller)?.join(file(controller, v1, v2));
        std::fs::write(&path, text)
            .with_context(|| format!("cannot write {text:?} to {}", path.display()))
    }

    /// What a file of the group says, named as on v1 and as on v2.
    pub fn read(&self, controller: &str, v1: &str, v2: &str) -> Result<String> {
        let path = self.folder(controller)?.join(file(controller, v1, v2));
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Its folder in the hierarchy of `controller`.
    pub fn folder(&self, controller: &str) -> Result<&Path> {
        let mount = hierarchy(controller)?;
        let folder = self.folders.iter().find(|folder| folder.starts_with(&mount));
        folder
            .map(PathBuf::as_path)
            .with_context(|| format!("the group has no {controller} folder"))
    }

    /// A command that enters the group and becomes `program`.
    pub fn command(&self, program: &[&str]) -> Command {
        let mut script = String::new();
        for folder in &self.folders {
            // 0 is whoever writes it.
            script += &format!("echo 0 >{}/cgroup.procs && ", folder.display());
        }
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script}exec \"$@\""), "sh"]).args(program);
        command.env(leaks::MARK, leaks::mark());
        command
    }

    /// A command that enters the group and becomes `program` as process 1 of a
    /// pid namespace of its own: a container as far as `portholefs` can tell,
    /// made by nobody's runtime.
    pub fn container(&self, program: &[&str]) -> Command {
        self.command(
            &[&["unshare", "--fork", "--pid", "--mount", "--mount-proc", "--"], program].concat(),
        )
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for folder in &self.folders {
            if let Err(error) = remove(folder) {
                eprintln!("cannot remove {}: {error}", folder.display());
            }
        }
    }
}

/// Removes a group; one whose last process has just ended is busy for a moment.
pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match std::fs::remove_dir(folder) {
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// Where the hierarchy of a controller is mounted.
pub fn hierarchy(controller: &str) -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let v1 = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = kind == "cgroup" && options.split(',').any(|option| option == controller);
        is_it.then(|| PathBuf::from(point))
    });
    let unified = Path::new("/sys/fs/cgroup");
    let v2 = || unified.join("cgroup.controllers").exists().then(|| unified.to_owned());
    v1.or_else(v2).with_context(|| format!("no hierarchy has the {controller} controller"))
}

/// Whether a controller is on cgroup2.
pub fn is_v2(controller: &str) -> bool {
    hierarchy(controller).is_ok_and(|mount| mount.join("cgroup.controllers").exists())
}

/// The name of a file that v1 and v2 call differently.
pub fn file<'a>(controller: &str, v1: &'a str, v2: &'a str) -> &'a str {
    if is_v2(controller) { v2 } else { v1 }
}
