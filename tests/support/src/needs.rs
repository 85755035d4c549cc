//! What a test needs of the machine.
//!
//! A need that is not met is said aloud, with the command that meets it: the
//! test is shown as ignored. With `PORTHOLE_TESTS_SKIP=never` (CI) it fails.

use std::path::Path;

/// One thing that a test cannot run without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// What every test of a real container needs: root and FUSE.
    Container,
    /// To be root.
    Root,
    /// `/dev/fuse`, and leave to mount.
    Fuse,
    /// Some cgroup controllers on v1 hierarchies.
    CgroupV1,
    /// Nothing but cgroup2.
    CgroupV2,
    /// A cgroup controller, on either version.
    Controller(&'static str),
    /// A program in one of the system's folders, with the Debian package that has it.
    Program(&'static str, &'static str),
    /// A program that only the VM of the long tier has, because it is large.
    LargeProgram(&'static str, &'static str),
    /// A file, with the Debian package that has it.
    File(&'static str, &'static str),
    /// A file of a package that only the VM of the long tier has.
    LargeFile(&'static str, &'static str),
    /// The clone that this test was built from; the VM has the programs alone.
    Workspace,
    /// A program below `target/tools`, where setup puts what no Debian package has.
    Tool(&'static str),
    /// At least so many CPUs.
    Cpus(usize),
    /// Swap space.
    Swap,
    /// A processor, and not a program that imitates one: timings mean something.
    NativeSpeed,
    /// The same or the long tier: it takes minutes on an imitated one.
    Speed,
    /// Pressure that is counted for each group of a cgroup2 tree.
    Pressure,
    /// Pressure of groups on which a container may set a trigger.
    Triggers,
    /// Maps of BPF.
    Bpf,
    /// Time namespaces: Linux 5.6.
    TimeNamespaces,
    /// User namespaces for whoever makes one: nested containers begin with them.
    UserNamespaces,
    /// The long tier: `cargo xtask test --full`.
    Full,
}

impl Need {
    /// `Err` with the reason and the way out when the need is not met.
    pub fn check(self) -> Result<(), String> {
        let (met, reason) = match self {
            Self::Container => return Self::Root.check().and_then(|()| Self::Fuse.check()),
            Self::Root => {
                (nix::unistd::geteuid().is_root(), "not root (sudo -E cargo xtask test)".into())
            }
            Self::Fuse => (Path::new("/dev/fuse").exists(), "no /dev/fuse (modprobe fuse)".into()),
            Self::CgroupV1 => (
                !v1_controllers().is_empty(),
                "no controller is on a cgroup v1 hierarchy (run on a v1 or hybrid host)".into(),
            ),
            Self::CgroupV2 => {
                (is_pure_v2(), "/sys/fs/cgroup is not cgroup2 (cargo xtask vm)".into())
            }
            Self::Controller(name) => {
                (has_controller(name), format!("no {name} cgroup controller (cargo xtask vm)"))
            }
            Self::Program(name, package) | Self::LargeProgram(name, package) => {
                (has_program(name), format!("no {name} in /usr (apt-get install {package})"))
            }
            Self::File(path, package) | Self::LargeFile(path, package) => {
                (Path::new(path).exists(), format!("no {path} (apt-get install {package})"))
            }
            Self::Workspace => (
                Path::new(env!("CARGO_MANIFEST_DIR")).exists(),
                "the clone that this was built from is not here (cargo xtask test)".into(),
            ),
            Self::Tool(path) => (
                crate::binaries::tool(path).is_ok_and(|tool| tool.exists()),
                format!("no {path} in target/tools (cargo xtask setup)"),
            ),
            Self::Cpus(count) => (
                online_cpus() >= count,
                format!("fewer than {count} CPUs, only {} (cargo xtask vm)", online_cpus()),
            ),
            Self::Swap => (swap_total() > 0, "no swap space (cargo xtask vm)".into()),
            Self::NativeSpeed => {
                (!is_imitated(), "timings mean nothing on an imitated processor".into())
            }
            Self::Speed if is_imitated() => return Self::Full.check(),
            Self::Speed => (true, String::new()),
            Self::Pressure => (
                Path::new("/proc/pressure/memory").exists() && (is_pure_v2() || is_hybrid()),
                "no pressure is counted by group (boot with psi=1, with a cgroup2 tree)".into(),
            ),
            Self::Triggers => return Self::Pressure.check().and_then(|()| triggers()),
            Self::UserNamespaces => return user_namespaces(),
            Self::Bpf => (
                Path::new("/proc/sys/kernel/unprivileged_bpf_disabled").exists(),
                "no bpf(2) in this kernel (CONFIG_BPF_SYSCALL)".into(),
            ),
            Self::TimeNamespaces => (
                Path::new("/proc/self/ns/time").exists(),
                "no time namespaces (Linux 5.6 or newer)".into(),
            ),
            Self::Full => (
                std::env::var_os("PORTHOLE_TESTS_FULL").is_some(),
                "only in the long tier (cargo xtask test --full)".into(),
            ),
        };
        if met { Ok(()) } else { Err(reason) }
    }
}

impl Need {
    /// Whether it is met by another kind of machine or another tier, and not by
    /// installing something on this one.
    pub fn is_met_elsewhere(self) -> bool {
        match self {
            Self::CgroupV1
            | Self::CgroupV2
            | Self::Controller(_)
            | Self::Cpus(_)
            | Self::Swap
            | Self::NativeSpeed
            | Self::Speed
            | Self::Pressure
            | Self::Triggers
            | Self::Bpf
            | Self::TimeNamespaces
            | Self::UserNamespaces
            | Self::LargeProgram(..)
            | Self::LargeFile(..)
            | Self::Workspace
            | Self::Full => true,
            Self::Container
            | Self::Root
            | Self::Fuse
            | Self::Program(..)
            | Self::File(..)
            | Self::Tool(_) => false,
        }
    }
}

/// Whether a mount can be put beneath another: Linux 6.5.
pub fn can_mount_beneath() -> bool {
    kernel_version() >= (6, 5)
}

/// Major and minor version of the running kernel; zeros when it has no such name.
fn kernel_version() -> (u32, u32) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// `Err` where the kernel makes no user namespaces, or for root alone.
fn user_namespaces() -> Result<(), String> {
    let says =
        |path: &str, no: &str| std::fs::read_to_string(path).is_ok_and(|text| text.trim() == no);
    let met = Path::new("/proc/self/ns/user").exists()
        && !says("/proc/sys/user/max_user_namespaces", "0")
        && !says("/proc/sys/kernel/unprivileged_userns_clone", "0");
    let reason = "no user namespaces (sysctl user.max_user_namespaces=10000)";
    if met { Ok(()) } else { Err(reason.into()) }
}

/// `Err` where cgroup2 is mounted so that a container cannot write to the files of
/// its own group at all.
fn triggers() -> Result<(), String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let delegates = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(2);
        words.next() == Some("cgroup2")
            && words.next().is_some_and(|options| options.split(',').any(|one| one == "nsdelegate"))
    });
    let reason = "no container may set a trigger: cgroup2 is mounted with nsdelegate";
    if delegates { Err(reason.into()) } else { Ok(()) }
}

/// Whether `/sys/fs/cgroup` is one cgroup2 tree.
pub fn is_pure_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Whether there is a cgroup2 tree beside v1 hierarchies.
fn is_hybrid() -> bool {
    Path::new("/sys/fs/cgroup/unified/cgroup.controllers").exists()
}

/// Controllers on v1 hierarchies, of `/proc/cgroups`: those with a hierarchy number.
fn v1_controllers() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    let with_hierarchy = rows.filter_map(|row| {
        let mut fields = row.split_ascii_whitespace();
        let (name, hierarchy) = (fields.next()?, fields.next()?);
        (hierarchy != "0").then(|| name.to_owned())
    });
    with_hierarchy.collect()
}

fn has_controller(name: &str) -> bool {
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    // On v2 every group can be frozen, without a controller.
    let is_everywhere = name == "freezer" && is_pure_v2();
    is_everywhere
        || unified.split_ascii_whitespace().any(|controller| controller == name)
        || v1_controllers().iter().any(|controller| controller == name)
}

/// Whether a container, which sees only `/usr` of the host, finds the program.
fn has_program(name: &str) -> bool {
    ["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(name).exists())
}

/// Whether the processor is a program: qemu without KVM says so.
pub fn is_imitated() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("QEMU"))
}

/// CPUs that are online on this machine.
pub fn online_cpus() -> usize {
    let list = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    list.trim().split(',').filter_map(range_length).sum()
}

/// The number of CPUs in `3` or `0-3`.
fn range_length(range: &str) -> Option<usize> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    Some(last.saturating_sub(first) + 1)
}

/// How long the host has been up, in seconds.
pub fn uptime() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

/// The host's swap, in bytes.
pub fn swap_total() -> u64 {
    host_meminfo("SwapTotal")
}

/// A line of the host's `/proc/meminfo`, in bytes; 0 when it is not there.
pub fn host_meminfo(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    crate::ran::meminfo(&text, key).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmet_need_names_the_reason_and_the_command() {
        assert_eq!(
            Need::Program("no-such-program", "no-such-package").check(),
            Err("no no-such-program in /usr (apt-get install no-such-package)".to_owned())
        );
        assert_eq!(Need::File("/proc/self", "procfs").check(), Ok(()));
    }

    #[test]
    fn ranges_have_a_length() {
        assert_eq!(range_length("0-3"), Some(4));
        assert_eq!(range_length("7"), Some(1));
        assert_eq!(range_length(""), None);
    }
}
