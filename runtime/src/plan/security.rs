//! What the processes of a container may do, decided.
//!
//! [`Security::default`] is what docker gives a container that asks for nothing,
//! but for device nodes, and no way to gain more ([`no_new_privileges`](Security::no_new_privileges)).
//! How it is done is the business of `security/` and `rootfs/masks.rs`.

use std::path::PathBuf;

use caps::Capability;
use serde::{Deserialize, Serialize};

/// What the processes of a container may do, and what of the kernel's files they may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// Capabilities of a process that runs as user 0, and the most that any
    /// process can have.
    pub capabilities: Vec<Capability>,
    /// No program gains rights by being executed (setuid bits, file capabilities).
    pub no_new_privileges: bool,
    /// Which system calls may be made.
    pub seccomp: Seccomp,
    /// Paths below `/proc` and `/sys` that are made empty.
    ///
    /// `*` stands for any one path component that begins like that. A path that
    /// the kernel does not have is passed over.
    pub masked_paths: Vec<PathBuf>,
    /// Paths below `/proc` and `/sys` that cannot be written to.
    pub read_only_paths: Vec<PathBuf>,
}

/// Which system calls may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Those of the table in `runtime/seccomp/table.rs`.
    Default,
    /// All.
    Unconfined,
}

/// What an ordinary program running as root needs to install packages, change
/// users and listen on low ports; nothing that reaches out of the container.
///
/// docker's list also has CAP_MKNOD. It is safe there because a device cgroup
/// decides which nodes can be opened; there is none here, and a node of the
/// host's disk is the host (docs/decisions/no-device-nodes.md).
const DEFAULT_CAPABILITIES: [Capability; 13] = [
    Capability::CAP_AUDIT_WRITE,
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
    Capability::CAP_FSETID,
    Capability::CAP_KILL,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
    Capability::CAP_SETFCAP,
    Capability::CAP_SETGID,
    Capability::CAP_SETPCAP,
    Capability::CAP_SETUID,
    Capability::CAP_SYS_CHROOT,
];

/// Files of the whole machine: its memory, keys, timers, hardware and firmware.
///
/// `/proc/interrupts` is masked as docker masks it, though the daemon serves it with
/// the container's CPUs: the counts are the host's, and to whoever watches them
/// they tell when a key is pressed or a neighbour's packet comes in.
const MASKED_PATHS: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/system/cpu/cpu*/thermal_throttle",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Switches of the whole machine.
const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

impl Security {
    /// Whether `/proc` and `/sys` are left as the kernel shows them.
    pub fn leaves_all_paths(&self) -> bool {
        self.masked_paths.is_empty() && self.read_only_paths.is_empty()
    }
}

impl Default for Security {
    fn default() -> Self {
        Self {
            capabilities: DEFAULT_CAPABILITIES.to_vec(),
            no_new_privileges: true,
            seccomp: Seccomp::Default,
            masked_paths: MASKED_PATHS.map(PathBuf::from).to_vec(),
            read_only_paths: READ_ONLY_PATHS.map(PathBuf::from).to_vec(),
        }
    }
}
