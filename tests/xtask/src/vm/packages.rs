//! Which of this machine's files go into the VM: whole Debian packages, and all
//! that those depend on, as dpkg knows them.
//!
//! Copying packages and not programs means that nobody keeps a list of
//! libraries, terminfo entries and Python modules by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;

/// How many programs a VM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What most tests need.
    Small,
    /// All whose numbers are compared.
    Whole,
}

/// What each VM has: a small system, and the programs that most tests drive.
const SMALL: &[&str] = &[
    "atop",
    "bash",
    "bsdutils",
    "btop",
    "bubblewrap",
    "busybox-static",
    "conky-cli",
    "coreutils",
    "dash",
    "diffutils",
    "earlyoom",
    "findutils",
    "gawk",
    "grep",
    "htop",
    "hwloc-nox",
    "iproute2",
    "libc-bin",
    "libcap2-bin",
    "libseccomp2",
    "mawk",
    "mount",
    "ncurses-base",
    "ncurses-bin",
    "numactl",
    "nmon",
    "procps",
    "python3",
    "python3-psutil",
    "sed",
    "statgrab",
    "strace",
    "sysstat",
    "tzdata",
    "util-linux",
];

/// What makes it whole; three times as large.
const LARGE: &[&str] = &[
    "cmake",
    "collectl",
    "docker.io",
    "erlang-base",
    "gcc",
    "gcc-multilib",
    "glances",
    "guile-3.0",
    "inxi",
    "libc6-dev",
    "libsys-info-perl",
    "libsys-statistics-linux-perl",
    "libunix-processors-perl",
    "lxcfs",
    "make",
    "musl-tools",
    "neofetch",
    "nginx-light",
    "ninja-build",
    "nodejs",
    "openjdk-17-jre-headless",
    "p7zip-full",
    "parallel",
    "perl",
    "php8.2-cli",
    "pigz",
    "prometheus-node-exporter",
    "redis-server",
    "ruby",
    "s-tui",
    "screenfetch",
    "smem",
    "squashfs-tools",
    "stress-ng",
    "tar",
    "xz-utils",
    "zstd",
];

/// Dependencies that only matter when a package is installed or configured.
const LEFT_OUT: &[&str] = &[
    "cdebconf",
    "debconf",
    "dpkg",
    "init-system-helpers",
    "libc6-dev",
    "lsb-base",
    "perl",
    "sysvinit-utils",
    "ucf",
];

/// Folders that no program needs to run.
const NOT_COPIED: &[&str] = &[
    "/usr/share/bash-completion/",
    "/usr/share/bug/",
    "/usr/share/doc/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/man/",
    "/usr/lib/systemd/",
    "/lib/systemd/",
    "/var/",
    "/boot/",
];

/// The packages of the VM, each with its version: the key of the cache.
#[derive(Debug, PartialEq, Eq)]
pub struct Closure(BTreeMap<String, String>);

impl Closure {
    /// Asks dpkg what is installed and follows the dependencies.
    pub fn find(extent: Extent) -> Result<Self> {
        let format = "${binary:Package}\t${Version}\t${Pre-Depends}, ${Depends}\t${Provides}\n";
        let table = command::output(Command::new("dpkg-query").args(["-W", "-f", format]))?;
        match extent {
            Extent::Small => Self::of(SMALL, &table),
            Extent::Whole => Self::of(&[SMALL, LARGE].concat(), &table),
        }
    }

    /// Follows the dependencies of `wanted` through dpkg's `table`; a package
    /// that is not installed is skipped, because only some tests need it.
    fn of(wanted: &[&str], table: &str) -> Result<Self> {
        let installed = parse(table);
        let mut found = BTreeMap::new();
        let mut open: Vec<&str> = wanted.to_vec();
        while let Some(name) = open.pop() {
            let Some(package) = installed.get(name) else { continue };
            if found.insert(package.name.to_owned(), package.version.to_owned()).is_none() {
                open.extend(package.depends.iter().filter(|name| !LEFT_OUT.contains(name)));
            }
        }
        if found.is_empty() {
            bail!("dpkg knows none of the packages that the VM is made of");
        }
        Ok(Self(found))
    }

    /// Names and versions, one a line.
    pub fn key(&self) -> String {
        self.0.iter().map(|(name, version)| format!("{name} {version}\n")).collect()
    }

    /// The files of the packages, and the compiled form of Python's modules:
    /// without it every start of Python would compile them again.
    pub fn files(&self) -> Result<BTreeSet<String>> {
        let listed = command::output(Command::new("dpkg").arg("-L").args(self.0.keys()))?;
        let mut files: BTreeSet<String> = listed
            .lines()
            .filter(|line| line.starts_with('/') && *line != "/.")
            .filter(|line| !NOT_COPIED.iter().any(|folder| line.starts_with(folder)))
            .filter(|line| std::fs::symlink_metadata(line).is_ok())
            .map(str::to_owned)
            .collect();
        let folders: BTreeSet<&str> = files
            .iter()
            .filter(|file| file.ends_with(".py"))
            .filter_map(|file| file.rsplit_once('/'))
            .map(|(folder, _module)| folder)
            .collect();
        let compiled: Vec<_> = folders.into_iter().flat_map(compiled_modules).collect();
        files.extend(compiled);
        Ok(files)
    }
}

fn compiled_modules(folder: &str) -> Vec<String> {
    let cache = format!("{folder}/__pycache__");
    let entries = std::fs::read_dir(&cache).into_iter().flatten().flatten();
    entries.map(|entry| format!("{cache}/{}", entry.file_name().to_string_lossy())).collect()
}

/// One installed package.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    depends: Vec<&'a str>,
}

/// dpkg's table by package name, and by what a package provides.
fn parse(table: &str) -> BTreeMap<&str, Package<'_>> {
    let mut packages = BTreeMap::new();
    for line in table.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(version), Some(depends), Some(provides)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let plain = name.split(':').next().unwrap_or(name);
        for alias in names(provides).into_iter().chain([plain]) {
            let package = Package { name, version, depends: names(depends) };
            // A real package wins over one that only provides its name.
            if alias == plain || !packages.contains_key(alias) {
                packages.insert(alias, package);
            }
        }
    }
    packages
}

/// The names in `libc6 (>= 2.36), mawk | awk:any`.
fn names(relation: &str) -> Vec<&str> {
    relation
        .split([',', '|'])
        .filter_map(|word| word.split_ascii_whitespace().next())
        .map(|name| name.split(':').next().unwrap_or(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
top:amd64\t1\t, libc6 (>= 2.36), awk | nawk\t\n\
libc6:amd64\t2\t, \t\n\
mawk\t3\t, libc6:any\tawk, nawk\n\
perl\t4\t, libc6\t\n\
ucf\t5\t, perl\t\n";

    #[track_caller]
    fn check(wanted: &[&str], expected: &str) {
        assert_eq!(Closure::of(wanted, TABLE).unwrap().key(), expected, "wanted: {wanted:?}");
    }

    #[test]
    fn dependencies_are_followed_through_alternatives_and_provides() {
        check(&["top"], "libc6:amd64 2\nmawk 3\ntop:amd64 1\n");
        check(&["awk"], "libc6:amd64 2\nmawk 3\n");
    }

    #[test]
    fn what_only_installs_packages_is_left_out() {
        check(&["ucf"], "ucf 5\n");
    }

    #[test]
    fn an_unknown_package_is_skipped_and_nothing_at_all_is_an_error() {
        check(&["libc6", "no-such"], "libc6:amd64 2\n");
        let error = Closure::of(&["no-such"], TABLE).unwrap_err();
        assert_eq!(error.to_string(), "dpkg knows none of the packages that the VM is made of");
    }
}
