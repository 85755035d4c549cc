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
    /// The newest that Debian has, in "sid".
    #[value(name = "7")]
    V7,
}

impl Version {
    /// The release of Debian that ships it.
    fn suite(self) -> &'static str {
        match self {
            Self::V6_1 => "bookworm",
            Self::V6_12 => "trixie",
            Self::V7 => "sid",
        }
    }

    /// What qemu must imitate. 6.12 uses cmpxchg16b where tcg's is not sound:
    /// with it, the guest dies of double faults at random.
    fn cpu(self) -> &'static str {
        match self {
            Self::V6_1 | Self::V7 => "max",
            Self::V6_12 => "qemu64,-cx16",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::V7 => "7",
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
        let packages = download(&folder, version)?;
        unpack(&packages, &unpacked)?;
    }
    let image = image(&unpacked)?;
    let initramfs = folder.join("initramfs.cpio");
    make_initramfs(&unpacked, &folder.join("initramfs"), &initramfs)?;
    Ok(Kernel { image, initramfs, cpu: version.cpu() })
}

/// Downloads the packages into `folder` through apt, which checks their signature.
fn download(folder: &Path, version: Version) -> Result<Vec<PathBuf>> {
    let apt = Apt::for_suite(folder, version.suite())?;
    let depends = |package: &str| {
        command::output(apt.command("apt-cache").args(["depends", "--important", package]))
    };
    let newest = depends("linux-image-cloud-amd64")?;
    let kernel = parts(&newest, &["linux-image-"]);
    let [kernel] = kernel.as_slice() else {
        bail!("{} has no kernel for virtual machines", version.suite());
    };
    let needed = depends(kernel)?;
    let packages = [vec![*kernel], parts(&needed, &["linux-binary-", "linux-modules-"])].concat();
    println!("vm: fetching {}", packages.join(" "));
    let mut get = apt.command("apt-get");
    // As root, apt would change to a user that may not write here.
    get.args(["-o", "APT::Sandbox::User=root", "-qq", "download"]).args(&packages);
    command::run(get.current_dir(folder))?;
    packages.iter().map(|package| one_named(folder, &format!("{package}_"))).collect()
}

/// Those of the packages that apt says another one depends on whose names begin
/// so. What is one package in older releases is a kernel and its modules in newer.
fn parts<'a>(depends: &'a str, prefixes: &[&str]) -> Vec<&'a str> {
    let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).collect()
}

/// The kernel's image: newer packages have it beside the modules.
fn image(unpacked: &Path) -> Result<PathBuf> {
    let boot = unpacked.join("boot");
    if boot.is_dir() {
        return one_named(&boot, "vmlinuz-");
    }
    let modules = one_named(&unpacked.join("usr/lib/modules"), "")?;
    one_named(&modules, "vmlinuz")
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

fn unpack(packages: &[PathBuf], to: &Path) -> Result<()> {
    let half = to.with_extension("half");
    for package in packages {
        command::run(Command::new("dpkg").arg("-x").arg(package).arg(&half))?;
        std::fs::remove_file(package)?;
    }
    std::fs::rename(&half, to)?;
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
    fn a_kernel_is_one_package_or_several() {
        let split = "linux-image-7.2.13-cloud-amd64\n  PreDepends: linux-base\n |Depends: dracut\n  \
                     Depends: linux-binary-7.2.13-cloud-amd64\n  \
                     Depends: linux-modules-7.2.13-cloud-amd64\n";
        let prefixes = ["linux-binary-", "linux-modules-"];
        assert_eq!(
            parts(split, &prefixes),
            ["linux-binary-7.2.13-cloud-amd64", "linux-modules-7.2.13-cloud-amd64"]
        );
        assert!(parts("linux-image-6.1.0-cloud-amd64\n  Depends: kmod\n", &prefixes).is_empty());
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
