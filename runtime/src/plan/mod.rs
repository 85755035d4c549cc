//! Everything that is decided about a container before anything is done.
//!
//! A plan is plain data: it can be printed, compared and tested without root.
//! `porthole run` makes one from its options; the runtime for engines will make
//! the same one from a bundle's `config.json`.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

mod security;
mod written;

use std::num::NonZeroU64;
use std::path::PathBuf;

use cgroupfs::cpu_list::CpuList;
use cgroupfs::limit::Limit;
use serde::{Deserialize, Serialize};

pub use security::{Seccomp, Security};

/// A container, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Unique id: 64 hexadecimal digits. Also the name of its cgroup, below `porthole/`.
    pub id: String,
    /// Host name inside; `sethostname(2)`.
    pub hostname: String,
    /// What becomes `/`.
    pub root: Root,
    /// Volumes, in the order in which they are mounted.
    pub volumes: Vec<Volume>,
    /// What is run.
    pub process: Process,
    /// The network it gets.
    pub network: Network,
    /// When its clocks began.
    pub clock: Clock,
    /// What its processes may do.
    pub security: Security,
    /// What it may use.
    pub resources: Resources,
    /// Where the files that tell its size come from.
    pub view: View,
    /// Who answers system calls that tell it.
    #[serde(default)]
    pub calls: Calls,
}

impl Plan {
    /// Whether a whole proc and a whole sysfs are kept beside those that the view
    /// covers in part: nobody masks any of them, so containers in the container
    /// shall work as they would without the view.
    pub fn keeps_whole_instances(&self) -> bool {
        matches!(self.view, View::Mounted(_)) && self.security.leaves_all_paths()
    }
}

/// What becomes the container's `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// Where the files come from.
    pub source: RootSource,
    /// `--read-only`: no writable layer above them.
    pub read_only: bool,
}

/// Where the files of the container's `/` come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootSource {
    /// The host's `/usr`, read-only, below a writable layer in memory, with a
    /// fresh minimal `/etc`: nothing else of the host is visible.
    HostSystem,
    /// A directory with a root file system: the lower layer, never written to.
    Directory(PathBuf),
}

/// `-v SOURCE:TARGET[:ro]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// An absolute path on the host.
    pub source: PathBuf,
    /// An absolute path in the container, made when it is missing.
    pub target: PathBuf,
    /// Not writable from inside.
    pub read_only: bool,
}

/// A process to run inside: the container's first, or one of `porthole exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; never empty. The program is looked up in `PATH` inside.
    pub args: Vec<String>,
    /// The whole environment, `NAME=value`.
    pub env: Vec<String>,
    /// Working directory inside, absolute; made when it is missing.
    pub cwd: PathBuf,
    /// User and group, as numbers or as names of the container's `/etc/passwd`.
    pub user: User,
    /// A terminal of its own is its standard input, output and error.
    pub terminal: bool,
    /// A small init is process 1, reaps orphans and forwards signals.
    pub init: bool,
}

/// Who a process runs as: the words of `-u USER[:GROUP]`, not yet looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User name or number; `"0"` by default.
    pub user: String,
    /// Group name or number; the user's own when `None`.
    pub group: Option<String>,
}

/// The network a container gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A namespace of its own with nothing but loopback.
    None,
    /// The host's.
    Host,
}

/// When the clocks of a container began: what `uptime` counts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clock {
    /// With the container: a time namespace in which boot time and monotonic
    /// time start at 0.
    #[default]
    Container,
    /// With the machine.
    Host,
}

/// What a container may use; an absent value is not limited here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// `-m`: memory, in bytes.
    pub memory: Option<u64>,
    /// `--memory-swap` less the memory: swap alone, in bytes. `None` leaves the
    /// kernel's default.
    #[serde(with = "written::limit")]
    pub swap: Option<Limit>,
    /// `--cpus` as CPU time per [`CPU_PERIOD_US`], in microseconds.
    pub cpu_quota_us: Option<NonZeroU64>,
    /// `--cpuset-cpus`.
    #[serde(with = "written::cpu_list")]
    pub cpuset: Option<CpuList>,
    /// `--pids-limit`: processes and threads.
    pub pids: Option<u64>,
}

/// The period that quotas are given for, in microseconds: the kernel's default.
pub const CPU_PERIOD_US: u64 = 100_000;

/// Who answers the system calls that tell how big the machine is: `sysinfo(2)`,
/// `sched_getaffinity(2)` and its counterpart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calls {
    /// The daemon that serves the files, as it does in them; the kernel, where that
    /// cannot be had.
    AsFiles,
    /// `--no-syscall-view`: the kernel, with the host's numbers.
    #[default]
    Host,
}

/// Where the files that tell the container's size come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum View {
    /// Mount every file that the daemon at this mount point serves.
    Mounted(PathBuf),
    /// `--no-view`: the container sees the host's files.
    Host,
}
