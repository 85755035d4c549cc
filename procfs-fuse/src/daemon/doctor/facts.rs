//! What is so on this machine, without judgement.
//!
//! A file that cannot be read is a fact that is not known; the check that needs it says
//! what that means.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;

use crate::daemon::health;
use crate::daemon::lock::{self, LockError, Status};
use crate::daemon::preflight;
use crate::host::mountinfo::MountTable;

/// How long a read through the mount may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Engines by the names of their programs, and of their units.
const ENGINES: [(&str, &str); 4] =
    [("dockerd", "docker"), ("containerd", "containerd"), ("crio", "crio"), ("kubelet", "kubelet")];

/// Everything that checks look at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where the daemon in question mounts.
    pub mount_point: PathBuf,
    /// We are root.
    pub is_root: bool,
    /// `/dev/fuse` is there.
    pub has_fuse: bool,
    /// Major and minor version.
    pub kernel: (u32, u32),
    /// Our mount table.
    pub mountinfo: String,
    /// Controllers that can be used, v1's by their hierarchies.
    pub controllers: Vec<String>,
    /// Those that groups below the root of cgroup2 do not have.
    pub not_handed_down: Vec<String>,
    /// There is swap.
    pub has_swap: bool,
    /// Groups tell how much of it they use.
    pub counts_swap: bool,
    /// `/proc/pressure` is there.
    pub has_pressure: bool,
    /// We are in the host's pid namespace.
    pub sees_all_processes: bool,
    /// What is known of the daemon.
    pub state: State,
    /// Engines that run.
    pub engines: Vec<Engine>,
    /// SELinux refuses, and does not only log.
    pub selinux_enforces: bool,
}

/// Whether a daemon serves.
#[derive(Debug, Clone)]
pub enum State {
    /// There is none.
    Absent,
    /// Its keeper was killed; how it is left.
    Orphaned(String),
    /// There is one.
    Serving(Serving),
}

/// A daemon that is there.
#[derive(Debug, Clone)]
pub struct Serving {
    /// Its worker's version.
    pub version: String,
    /// Its keeper's pid.
    pub keeper: u32,
    /// How a read was answered.
    pub answer: Answer,
    /// `oom_score_adj` of the keeper.
    pub oom_score_adjustment: Option<i32>,
    /// How many descriptors the worker may have.
    pub descriptors: Option<u64>,
    /// Workers have a control group of their own.
    pub has_own_group: bool,
}

/// How a read through the mount was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Right,
    /// By a worker that only copies the host's files.
    Fallback,
    /// Not at all; why.
    Failed(String),
}

/// An engine that runs.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The name of its unit.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Our tree is mounted in its mount namespace.
    pub sees_the_mount: bool,
}

impl Facts {
    /// Looks at this machine.
    pub fn of_this_machine(mount_point: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let subtree = text("/sys/fs/cgroup/cgroup.subtree_control");
        let unified = text("/sys/fs/cgroup/cgroup.controllers");
        Self {
            mount_point: mount_point.to_owned(),
            is_root: geteuid().is_root(),
            has_fuse: Path::new("/dev/fuse").exists(),
            kernel: version(&text("/proc/sys/kernel/osrelease")),
            mountinfo: text("/proc/self/mountinfo"),
            controllers: controllers(&text("/proc/cgroups"), &unified),
            not_handed_down: not_handed_down(&unified, &subtree),
            has_swap: text("/proc/swaps").lines().count() > 1,
            counts_swap: counts_swap(Path::new("/sys/fs/cgroup")),
            has_pressure: Path::new("/proc/pressure").exists(),
            sees_all_processes: preflight::sees_all_processes(),
            state: State::at(mount_point),
            engines: engines(mount_point),
            selinux_enforces: text("/sys/fs/selinux/enforce").trim() == "1",
        }
    }

    /// True when a controller can be used.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }

    /// True when there is nothing but cgroup2.
    pub fn is_unified(&self) -> bool {
        MountTable::parse(&self.mountinfo)
            .mounted_at(Path::new("/sys/fs/cgroup"))
            .is_some_and(|mount| mount.fs_type == "cgroup2")
    }

    /// A machine on which nothing is missing.
    #[cfg(test)]
    pub fn of_a_good_machine() -> Self {
        Self {
            mount_point: PathBuf::from("/var/lib/porthole/fs"),
            is_root: true,
            has_fuse: true,
            kernel: (6, 12),
            mountinfo: "1 0 8:1 / / rw shared:1 - ext4 /dev/vda rw\n\
                        2 1 0:20 / /sys rw shared:2 - sysfs sysfs rw\n\
                        3 2 0:21 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n\
                        4 1 0:50 / /var/lib/porthole/fs ro shared:5 - fuse.portholefs portholefs ro\n"
                .to_owned(),
            controllers: ["cpuset", "cpu", "io", "memory"].map(str::to_owned).into(),
            not_handed_down: Vec::new(),
            has_swap: true,
            counts_swap: true,
            has_pressure: true,
            sees_all_processes: true,
            state: State::Serving(Serving {
                version: "1.2.3".to_owned(),
                keeper: 9,
                answer: Answer::Right,
                oom_score_adjustment: Some(-900),
                descriptors: Some(65_536),
                has_own_group: true,
            }),
            engines: vec![Engine { name: "docker".to_owned(), pid: 7, sees_the_mount: true }],
            selinux_enforces: false,
        }
    }
}

impl State {
    fn at(mount_point: &Path) -> Self {
        match lock::status(mount_point) {
            Ok(status) => Self::Serving(Serving::of(mount_point, &status)),
            Err(error @ LockError::Orphaned { .. }) => Self::Orphaned(error.to_string()),
            Err(_none) => Self::Absent,
        }
    }
}

impl Serving {
    fn of(mount_point: &Path, status: &Status) -> Self {
        let of = |pid: u32, name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let answer = match health::check(mount_point, PATIENCE) {
            Err(error) => Answer::Failed(error.to_string()),
            Ok(()) if status.fallback => Answer::Fallback,
            Ok(()) => Answer::Right,
        };
        let score = of(status.keeper_pid, "oom_score_adj");
        Self {
            version: status.version.clone(),
            keeper: status.keeper_pid,
            answer,
            oom_score_adjustment: score.and_then(|text| text.trim().parse().ok()),
            descriptors: of(status.worker_pid, "limits").and_then(|text| descriptor_limit(&text)),
            has_own_group: status.separate_group,
        }
    }
}

/// Major and minor version of a kernel's release; zeros when it has no such name.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Controllers of `/proc/cgroups` that are on a v1 hierarchy, and those of cgroup2.
fn controllers(cgroups: &str, unified: &str) -> Vec<String> {
    let on_v1 = cgroups.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (name, hierarchy) = (fields.next()?, fields.next()?);
        (hierarchy != "0").then_some(name)
    });
    on_v1.chain(unified.split_ascii_whitespace()).map(str::to_owned).collect()
}

fn not_handed_down(unified: &str, subtree: &str) -> Vec<String> {
    /// Those of which containers are told something.
    const WANTED: [&str; 5] = ["memory", "cpu", "cpuset", "io", "pids"];
    let has = |text: &str, name: &str| text.split_ascii_whitespace().any(|word| word == name);
    let missing = WANTED.iter().filter(|name| has(unified, name) && !has(subtree, name));
    missing.map(|name| (*name).to_owned()).collect()
}

/// True when groups have a file of the swap they use. On cgroup2 the root has none.
fn counts_swap(cgroups: &Path) -> bool {
    let groups = fs::read_dir(cgroups).into_iter().flatten().flatten();
    let is_counted = |group: &Path| group.join("memory.swap.current").exists();
    let v1 = cgroups.join("memory/memory.memsw.usage_in_bytes");
    v1.exists() || groups.map(|group| group.path()).any(|group| is_counted(&group))
}

/// The soft limit of open files in a `/proc/PID/limits`.
fn descriptor_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn engines(mount_point: &Path) -> Vec<Engine> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let engine = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let program = fs::read_to_string(entry.path().join("comm")).ok()?;
        let (_, name) = ENGINES.iter().find(|(comm, _)| *comm == program.trim_end())?;
        let mountinfo = fs::read_to_string(entry.path().join("mountinfo")).ok()?;
        let mount = MountTable::parse(&mountinfo);
        let sees_the_mount = mount.mounted_at(mount_point).is_some();
        Some(Engine { name: (*name).to_owned(), pid, sees_the_mount })
    };
    processes.filter_map(engine).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_two_numbers() {
        assert_eq!(version("6.12.5+deb13-amd64\n"), (6, 12));
        assert_eq!(version("6.1.0-49\n"), (6, 1));
        assert_eq!(version(""), (0, 0));
    }

    #[test]
    fn controllers_of_both_versions_count() {
        let cgroups =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t5\t1\nhugetlb\t0\t1\t1\n";
        assert_eq!(controllers(cgroups, "memory pids\n"), ["cpu", "memory", "pids"]);
        assert_eq!(not_handed_down("cpuset memory rdma\n", "memory\n"), ["cpuset"]);
    }

    #[test]
    fn the_limit_of_descriptors_is_the_soft_one() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(descriptor_limit(limits), Some(1024));
        assert_eq!(descriptor_limit(""), None);
    }
}
