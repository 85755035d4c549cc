//! Installing the Debian packages that a command needs, and no others.
//!
//! Only what is missing is installed, in one `apt-get` call that is announced
//! with the reason for every package. Without root or apt nothing is tried: the
//! error names what is missing and the command that gets it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// What a package is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Compiling the workspace.
    Build,
    /// `cargo xtask demo`.
    Demo,
    /// `cargo xtask vm`.
    Vm,
    /// The tests that run on this machine.
    Test,
    /// What only `cargo xtask test --full` runs.
    Full,
}

impl For {
    /// What a command also needs: a demo is built first, a full test is a test.
    fn includes(self, other: Self) -> bool {
        let below: &[Self] = match self {
            Self::Build => &[],
            Self::Demo => &[Self::Build],
            Self::Vm => &[Self::Build, Self::Test],
            Self::Test => &[Self::Build, Self::Demo, Self::Vm],
            Self::Full => &[Self::Build, Self::Demo, Self::Vm, Self::Test],
        };
        self == other || below.contains(&other)
    }
}

/// A Debian package and how to see that it is there, on any system.
struct Package {
    name: &'static str,
    proof: Proof,
    wanted: For,
    why: &'static str,
}

/// What shows that a package is installed.
enum Proof {
    /// A program in one of the system's folders: a container sees no others.
    Program(&'static str),
    /// A path.
    File(&'static str),
    /// A library that programs can be linked with.
    Library(&'static str),
}

const PROGRAM_FOLDERS: &[&str] = &["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
const LIBRARY_FOLDERS: &[&str] =
    &["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

impl Proof {
    fn holds(&self) -> bool {
        let any = |folders: &[&str], file: &str| {
            folders.iter().any(|folder| Path::new(folder).join(file).exists())
        };
        match self {
            Self::Program(name) => any(PROGRAM_FOLDERS, name),
            Self::File(path) => Path::new(path).exists(),
            Self::Library(name) => any(LIBRARY_FOLDERS, &format!("lib{name}.so")),
        }
    }
}

/// A module that a tool of the tests uses; its documents show that it is there.
const fn module(name: &'static str, documents: &'static str) -> Package {
    Package { name, proof: Proof::File(documents), wanted: For::Test, why: TOOL }
}

const fn program(
    name: &'static str,
    program: &'static str,
    wanted: For,
    why: &'static str,
) -> Package {
    Package { name, proof: Proof::Program(program), wanted, why }
}

/// Why programs are installed that tests/e2e/tools asks how big their machine is.
const TOOL: &str = "what it says of the machine is checked";

/// Every package that a command of ours may need.
const PACKAGES: &[Package] = &[
    Package {
        name: "libseccomp-dev",
        proof: Proof::Library("seccomp"),
        wanted: For::Build,
        why: "porthole is linked with it",
    },
    program("procps", "top", For::Demo, "top and free are what is shown"),
    program("busybox-static", "busybox", For::Test, "its top and free are checked"),
    program("htop", "htop", For::Test, "its meters are checked"),
    program("hwloc-nox", "hwloc-ls", For::Test, "the topology that it builds is checked"),
    program("numactl", "numactl", For::Test, "its nodes are checked"),
    program("bubblewrap", "bwrap", For::Test, "containers in containers are tried with it"),
    program("podman", "podman", For::Test, "containers in containers are tried with it, too"),
    program("sysstat", "mpstat", For::Test, "mpstat's CPU shares are checked"),
    program("python3", "python3", For::Test, "os.cpu_count() is checked"),
    Package {
        name: "python3-psutil",
        proof: Proof::File("/usr/lib/python3/dist-packages/psutil/__init__.py"),
        wanted: For::Test,
        why: "psutil's numbers are checked",
    },
    program("atop", "atop", For::Test, TOOL),
    program("btop", "btop", For::Test, TOOL),
    program("cmake", "cmake", For::Test, TOOL),
    program("collectl", "collectl", For::Test, TOOL),
    program("conky-cli", "conky", For::Test, TOOL),
    program("earlyoom", "earlyoom", For::Test, TOOL),
    program("erlang-base", "erl", For::Full, TOOL),
    program("gcc", "gcc", For::Test, "system calls are made in C"),
    Package {
        name: "gcc-multilib",
        proof: Proof::File("/usr/share/doc/gcc-multilib"),
        wanted: For::Test,
        why: "system calls are made by a 32-bit program, too",
    },
    program("glances", "glances", For::Test, TOOL),
    program("inxi", "inxi", For::Test, TOOL),
    module("libsys-info-perl", "/usr/share/doc/libsys-info-perl"),
    module("libsys-statistics-linux-perl", "/usr/share/doc/libsys-statistics-linux-perl"),
    module("libunix-processors-perl", "/usr/share/doc/libunix-processors-perl"),
    program("musl-tools", "musl-gcc", For::Test, TOOL),
    program("guile-3.0", "guile-3.0", For::Full, TOOL),
    program("make", "make", For::Test, TOOL),
    program("neofetch", "neofetch", For::Test, TOOL),
    program("nginx-light", "nginx", For::Test, TOOL),
    program("ninja-build", "ninja", For::Test, TOOL),
    Package {
        name: "openjdk-17-jre-headless",
        proof: Proof::File("/usr/lib/jvm/java-17-openjdk-amd64/bin/java"),
        wanted: For::Full,
        why: TOOL,
    },
    program("squashfs-tools", "mksquashfs", For::Test, TOOL),
    program("nmon", "nmon", For::Test, TOOL),
    program("nodejs", "node", For::Test, TOOL),
    program("p7zip-full", "7z", For::Test, TOOL),
    program("parallel", "parallel", For::Test, TOOL),
    program("php8.2-cli", "php8.2", For::Test, TOOL),
    program("pigz", "pigz", For::Test, TOOL),
    program("prometheus-node-exporter", "prometheus-node-exporter", For::Test, TOOL),
    program("redis-server", "redis-server", For::Test, TOOL),
    program("ruby", "ruby", For::Test, TOOL),
    program("s-tui", "s-tui", For::Test, TOOL),
    program("screenfetch", "screenfetch", For::Test, TOOL),
    program("smem", "smem", For::Test, TOOL),
    program("statgrab", "statgrab", For::Test, TOOL),
    program("stress-ng", "stress-ng", For::Test, TOOL),
    program("zstd", "zstd", For::Test, TOOL),
    program("docker.io", "dockerd", For::Test, "the docker line of deploy/ is run for real"),
    program(
        "docker-compose",
        "docker-compose",
        For::Test,
        "the compose file of deploy/ is run too",
    ),
    program("systemd", "systemd-analyze", For::Test, "the unit of deploy/ is checked"),
    program("kubernetes-client", "kubectl", For::Test, "the kustomization of deploy/ is built"),
    Package {
        name: "python3-venv",
        proof: Proof::File("/usr/share/doc/python3-venv"),
        wanted: For::Test,
        why: "the manifests of deploy/ are checked by a program of PyPI",
    },
    program("qemu-system-x86", "qemu-system-x86_64", For::Vm, "boots the cgroup v2 machine"),
    program("cpio", "cpio", For::Vm, "packs the machine's initial RAM disk"),
    program("e2fsprogs", "mkfs.ext4", For::Vm, "makes the machine's root disk"),
    program("xz-utils", "xz", For::Vm, "unpacks the machine's kernel modules"),
    program("lxcfs", "lxcfs", For::Full, "the benchmark compares us with it"),
    program("strace", "strace", For::Full, "the benchmark counts system calls with it"),
    program("crun", "crun", For::Full, "the benchmark starts containers with it"),
    program("runc", "runc", For::Full, "the benchmark starts containers with it"),
];

/// Makes sure that everything `wanted` is here, installing what is missing.
pub fn install(wanted: For) -> Result<()> {
    let missing: Vec<&Package> = PACKAGES
        .iter()
        .filter(|package| wanted.includes(package.wanted) && !package.proof.holds())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if let Some(reason) = cannot_install() {
        bail!("{}", refusal(&reason, &missing));
    }
    for package in &missing {
        println!("setup: installing {}: {}", package.name, package.why);
    }
    // The lists of a fresh machine are empty or old; a package may have moved on.
    apt_get(&["update", "-qq"])?;
    let names = missing.iter().map(|package| package.name);
    apt_get(
        &["install", "-qq", "-y", "--no-install-recommends"]
            .into_iter()
            .chain(names)
            .collect::<Vec<_>>(),
    )
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    // A service that starts on installation (dockerd) is not ours to start.
    apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command::run(&mut apt)
}

/// Why nothing can be installed here; `None` when it can.
fn cannot_install() -> Option<String> {
    if !command::exists("apt-get") {
        return Some("this system has no apt-get".into());
    }
    if !is_root() {
        return Some("installing needs root".into());
    }
    None
}

/// Whether we run as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // /proc/self belongs to whom we run as.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// What is missing, why it is needed, and the command that gets it.
fn refusal(reason: &str, missing: &[&Package]) -> String {
    let mut text = format!("{reason}, and these are missing:\n");
    for package in missing {
        text += &format!("  {}: {}\n", package.name, package.why);
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    text + &format!("on Debian: sudo apt-get install {}", names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_packages_the_reasons_and_the_command() {
        let missing: Vec<_> =
            PACKAGES.iter().filter(|package| ["procps", "cpio"].contains(&package.name)).collect();
        assert_eq!(
            refusal("installing needs root", &missing),
            "installing needs root, and these are missing:\n\
             \x20 procps: top and free are what is shown\n\
             \x20 cpio: packs the machine's initial RAM disk\n\
             on Debian: sudo apt-get install procps cpio"
        );
    }

    #[test]
    fn a_full_test_needs_what_every_other_command_needs() {
        assert!(PACKAGES.iter().all(|package| For::Full.includes(package.wanted)));
        assert!(!For::Demo.includes(For::Vm));
        assert!(For::Vm.includes(For::Build));
    }

    #[test]
    fn a_proof_looks_at_the_machine() {
        assert!(Proof::Program("sh").holds());
        assert!(!Proof::Program("no-such-program").holds());
        assert!(!Proof::Library("no-such-library").holds());
        assert!(Proof::File("/proc/self").holds());
    }
}
