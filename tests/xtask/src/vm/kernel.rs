//! Debian's kernel for the VM: fetched with apt, unpacked without being
//! installed, and kept in the target folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::modules;
use crate::command;
use crate::place::Place;

/// One of the kernels that Debian ships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// Debian 12, "bookworm".
    #[value(name = "6.1")]
    V6_1,
    /// Debian 13, "trixie".
    #[value(name = "6.12")]
    V6_12,
}

impl Version {
    /// The release of Debian that ships it.
    fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm",
            Self::V6_12 => "trixie",
        }
    }

    /// What qemu must imitate. 6.12 uses cmpxchg16b where tcg's is not sound:
    /// with it, the guest dies of double faults at random.
    fn cpu(self) -> &'static str {
        match self {
            Self::V6_1 => "max",
            Self::V6_12 => "qemu64,-cx16",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
        })
    }
}

/// A kernel ready to boot.
#[derive(Debug)]
pub struct Kernel {
    /// The compressed image.
    pub image: PathBuf,
    /// An initial RAM disk with the modules that find the root disk.
    pub initramfs: PathBuf,
    /// qemu's `-cpu`.
    pub cpu: &'static str,
}

/// Modules that the VM needs; what these need is loaded before them. One that is
/// not there is built in.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "fuse", "overlay"];

/// Loads the modules, then leaves for the root disk.
const INITRAMFS: &str = include_str!("../../../vm/initramfs.sh");

/// Gets the kernel, from the cache when it is there.
pub fn fetch(place: &Place, version: Version) -> Result<Kernel> {
    let folder = place.made(format!("vm/kernel-{version}"))?;
    let unpacked = folder.join("unpacked");
    if !unpacked.is_dir() {
        let package = download(&folder, version)?;
        unpack(&package, &unpacked)?;
    }
    let image = one_named(&unpacked.join("boot"), "vmlinuz-")?;
    let initramfs = folder.join("initramfs.cpio");
    make_initramfs(&unpacked, &folder.join("initramfs"), &initramfs)?;
    Ok(Kernel { image, initramfs, cpu: version.cpu() })
}

/// Downloads the package into `folder` through apt, which checks its signature.
fn download(folder: &Path, version: Version) -> Result<PathBuf> {
    let apt = Apt::for_suite(folder, version.suite())?;
    let depends =
        command::output(apt.command("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let package = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .with_context(|| format!("{} has no kernel for virtual machines", version.suite()))?;
    println!("vm: fetching {package}");
    let mut get = apt.command("apt-get");
    // As root, apt would change to a user that may not write here.
    get.args(["-o", "APT::Sandbox::User=root", "-qq", "download", package]).current_dir(folder);
    command::run(&mut get)?;
    one_named(folder, &format!("{package}_"))
}

/// apt for one suite: this machine's own set-up when it has the suite, else a
/// private one with this machine's servers and keys, so that nothing changes here.
struct Apt {
    private: Vec<String>,
}

impl Apt {
    fn for_suite(folder: &Path, suite: &str) -> Result<Self> {
        let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
        let targets = command::output(Command::new("apt-get").args([
            "indextargets",
            "--format",
            format,
            "Created-By: Packages",
        ]))?;
        if targets.lines().any(|line| line.split(' ').nth(1) == Some(suite)) {
            return Ok(Self { private: Vec::new() });
        }
        let own = folder.join("apt");
        std::fs::create_dir_all(own.join("lists/partial"))?;
        let list = own.join("sources.list");
        std::fs::write(&list, sources(&targets, suite)?)?;
        let apt = Self {
            private: vec![
                format!("Dir::Etc::sourcelist={}", list.display()),
                "Dir::Etc::sourceparts=-".into(),
                format!("Dir::State::lists={}", own.join("lists").display()),
                format!("Dir::Cache={}", own.display()),
                "APT::Sandbox::User=root".into(),
            ],
        };
        command::run(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.private {
            command.args(["-o", option]);
        }
        command
    }
}

/// The line of a `sources.list` for `suite`, at the server that this machine's
/// own release comes from.
fn sources(targets: &str, suite: &str) -> Result<String> {
    let own = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_uri, rest)| rest.ends_with(" main") && !rest.contains('-'));
    let Some((uri, _release)) = own else {
        bail!("apt has no server of a whole Debian release (cat /etc/apt/sources.list)");
    };
    Ok(format!("deb {uri} {suite} main\n"))
}

fn unpack(package: &Path, to: &Path) -> Result<()> {
    let half = to.with_extension("half");
    command::run(Command::new("dpkg").arg("-x").arg(package).arg(&half))?;
    std::fs::rename(&half, to)?;
    std::fs::remove_file(package)?;
    Ok(())
}

/// The one entry of `folder` whose name begins with `prefix`.
fn one_named(folder: &Path, prefix: &str) -> Result<PathBuf> {
    std::fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .with_context(|| format!("there is no {prefix}* in {}", folder.display()))
}

/// A static busybox, the modules in their order, and a script that uses them.
fn make_initramfs(unpacked: &Path, tree: &Path, archive: &Path) -> Result<()> {
    if tree.exists() {
        std::fs::remove_dir_all(tree)?;
    }
    for folder in ["bin", "dev", "modules", "proc", "root", "sys"] {
        std::fs::create_dir_all(tree.join(folder))?;
    }
    std::fs::copy("/bin/busybox", tree.join("bin/busybox")).context("cannot copy /bin/busybox")?;
    std::os::unix::fs::symlink("busybox", tree.join("bin/sh"))?;
    for (order, (name, module)) in modules::in_order(unpacked, MODULES)?.iter().enumerate() {
        std::fs::write(tree.join(format!("modules/{order:02}-{name}.ko")), module)?;
    }
    super::image::write_script(&tree.join("init"), INITRAMFS)?;
    let pack = format!(
        "cd {} && find . | cpio --quiet -o -H newc >{}",
        command::quoted(&tree.to_string_lossy()),
        command::quoted(&archive.to_string_lossy()),
    );
    command::run(Command::new("sh").args(["-c", &pack]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "\
http://security.example/ bookworm-security main
http://mirror.example/debian/ bookworm main
http://mirror.example/debian/ bookworm-updates main
";

    #[test]
    fn another_suite_comes_from_the_server_of_our_own_release() {
        assert_eq!(
            sources(TARGETS, "trixie").unwrap(),
            "deb http://mirror.example/debian/ trixie main\n"
        );
    }

    #[test]
    fn without_a_server_the_error_says_where_to_look() {
        let error =
            sources("http://security.example/ bookworm-security main\n", "trixie").unwrap_err();
        assert_eq!(
            error.to_string(),
            "apt has no server of a whole Debian release (cat /etc/apt/sources.list)"
        );
    }
}
