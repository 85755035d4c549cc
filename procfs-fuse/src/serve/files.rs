//! The files of one machine: the catalogue's rows that the machine has.
//!
//! A plain path is looked for, a file of every block device where each of them is; what
//! is in a directory that is served as a whole is found by [`names`](super::names).
//!
//! What this module does not do: ask who looks. The names here are the same for
//! everybody.

use std::fs;
use std::path::Path;

use super::names::{Names, is_in_whole};
use super::numbers::{Numbered, Numbers, path_of};
use crate::catalog::{CATALOG, Entry, WHOLE};

/// One name that is served.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its path below the mount point and below `/`; a part of it may be `cpu*` or
    /// `memory*`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A directory.
    Directory {
        /// Number of names that lead to it, those in it included.
        links: u32,
    },
    /// A file.
    File {
        /// Its row.
        entry: &'static Entry,
        /// Size that the host's own has, in bytes; `None` outside of directories
        /// that are served as a whole.
        size: Option<u64>,
    },
    /// A symbolic link.
    Link,
}

/// A file that somebody opened.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Its row in the catalogue.
    pub entry: &'static Entry,
    /// Its path, in which one part may be `cpu*` or `memory*`.
    pub path: &'a str,
    /// The number that stands for the `*`, as the reader counts.
    pub which: Option<u32>,
}

impl File<'_> {
    /// What it is about, when that is one of several.
    pub(super) fn numbered(&self) -> Option<Numbered> {
        self.which.and_then(|_number| Some(Numbered::in_path(self.path)?.0))
    }
}

impl Listed {
    /// The files of this name on the machine below `root`, by paths: one, or where
    /// it is about a CPU or a block of memory one for each that has it, told in the
    /// `numbers` of these.
    pub fn files(&self, root: &Path, numbers: impl FnOnce(Numbered) -> Numbers) -> Vec<String> {
        if !matches!(self.kind, Kind::File { .. }) {
            return Vec::new();
        }
        let Some((numbered, before)) = Numbered::in_path(&self.path) else {
            return vec![self.path.clone()];
        };
        let numbers = numbers(numbered);
        let is_there = |number: &u32| {
            numbers.path(&self.path, Some(*number)).is_some_and(|path| root.join(path).exists())
        };
        let found = numbers.in_directory(numbered, &root.join(before)).into_iter();
        found.filter(is_there).map(|number| path_of(&self.path, number)).collect()
    }

    /// The file that `path` names, if it is one of these.
    pub fn file_at(&self, path: &str) -> Option<File<'_>> {
        let Kind::File { entry, .. } = self.kind else { return None };
        let which = match Numbered::in_path(&self.path) {
            Some((_numbered, before)) => {
                let name = path.strip_prefix(before)?.split('/').next()?;
                Some(Numbered::in_name(name)?.1)
            }
            None => None,
        };
        let is_here = which.map_or(self.path == path, |which| path_of(&self.path, which) == path);
        is_here.then_some(File { entry, path: &self.path, which })
    }
}

/// Everything that the machine below `root` has: single files in the catalogue's
/// order, then what is in whole directories in the order of paths.
pub fn list(root: &Path) -> Vec<Listed> {
    let single = single_files(root)
        .map(|(entry, path)| Listed { path, kind: Kind::File { entry, size: None } });
    let names = Names::new(root);
    let found = names.walk().filter_map(|found| {
        Some(Listed { kind: names.kind_at(&found.host, &found.path)?, path: found.path })
    });
    let mut whole: Vec<Listed> = found.collect();
    whole.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    single.chain(whole).collect()
}

/// What a container is given, by paths: files, and the directories that are
/// mounted as a whole. Not what is about a block device without a medium, of which
/// there may be hundreds: nobody can have used it.
pub fn mounts(root: &Path) -> Vec<String> {
    let directories = WHOLE.iter().filter(|dir| root.join(dir).exists());
    let directories = directories.map(|dir| (*dir).to_owned());
    let has_medium =
        |path: &Path| !fs::read(path.with_file_name("size")).is_ok_and(|size| size == b"0\n");
    let files = single_files(root).map(|(_entry, path)| path);
    files.filter(|path| has_medium(&root.join(path))).chain(directories).collect()
}

/// The rows of single files whose path is theirs.
pub(super) fn plain_rows() -> impl Iterator<Item = &'static Entry> {
    rows().filter(|entry| links_in(entry.path).is_none())
}

/// Those of the other rows that the machine below `root` has, where the link leads
/// that stands for the `*` in the row. The kernel's files are mounted on where they
/// are, and every link to them shows ours then.
pub(super) fn linked_files(root: &Path) -> Vec<(&'static Entry, String)> {
    let rows = rows().filter_map(|entry| Some((entry, links_in(entry.path)?)));
    rows.flat_map(|(entry, (links, file))| {
        let entries = fs::read_dir(root.join(links)).into_iter().flatten().flatten();
        let found = entries.filter_map(|link| below(root, &link.path().join(file)));
        let mut paths: Vec<_> = found.filter(|path| root.join(path).exists()).collect();
        paths.sort_unstable();
        paths.into_iter().map(move |path| (entry, path))
    })
    .collect()
}

fn single_files(root: &Path) -> impl Iterator<Item = (&'static Entry, String)> {
    let there = plain_rows().filter(|entry| root.join(entry.path).exists());
    there.map(|entry| (entry, entry.path.to_owned())).chain(linked_files(root))
}

fn rows() -> impl Iterator<Item = &'static Entry> {
    CATALOG.iter().filter(|entry| !is_in_whole(entry.path))
}

/// The directory of links, and the file in each, that a row with a `*` is about.
fn links_in(pattern: &str) -> Option<(&str, &str)> {
    pattern.split_once("/*/")
}

/// `path` without links and without `root`.
fn below(root: &Path, path: &Path) -> Option<String> {
    let (root, path) = (root.canonicalize().ok()?, path.canonicalize().ok()?);
    Some(path.strip_prefix(root).ok()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A machine with two CPUs, of which the first cannot be taken offline.
    fn machine() -> tempfile::TempDir {
        let machine = tempfile::tempdir().unwrap();
        let write = |path: &str, mode: u32| {
            let path = machine.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        write("proc/meminfo", 0o444);
        for cpu in ["sys/devices/system/cpu/cpu0", "sys/devices/system/cpu/cpu1"] {
            write(&format!("{cpu}/topology/core_id"), 0o444);
            write(&format!("{cpu}/topology/core_cpus_list"), 0o444);
            write(&format!("{cpu}/thermal_throttle/core_throttle_count"), 0o444);
            write(&format!("{cpu}/crash_notes"), 0o400);
            symlink("../../../../bus/cpu", machine.path().join(cpu).join("subsystem")).unwrap();
        }
        write("sys/devices/system/cpu/cpu1/online", 0o644);
        write("sys/devices/system/cpu/cpufreq/policy0/related_cpus", 0o444);
        for cpu in ["cpu0", "cpu1"] {
            let link = machine.path().join("sys/devices/system/cpu").join(cpu).join("cpufreq");
            symlink("../cpufreq/policy0", link).unwrap();
        }
        write("sys/devices/system/cpu/possible", 0o444);
        write("sys/devices/virtual/block/loop0/stat", 0o444);
        fs::create_dir(machine.path().join("sys/block")).unwrap();
        write("sys/devices/virtual/block/loop1/stat", 0o444);
        fs::write(machine.path().join("sys/devices/virtual/block/loop1/size"), "0\n").unwrap();
        for device in ["loop0", "loop1"] {
            let target = Path::new("../devices/virtual/block").join(device);
            symlink(target, machine.path().join("sys/block").join(device)).unwrap();
        }
        machine
    }

    #[test]
    fn only_what_the_machine_has_and_everybody_may_read() {
        let machine = machine();
        let names = Names::new(machine.path());
        let shown = |listed: &Listed| {
            let kind = match listed.kind {
                Kind::Directory { .. } => "directory",
                Kind::File { entry, .. } => entry.path,
                Kind::Link => "link",
            };
            let uneven = if names.is_everywhere(&listed.path) { "" } else { ", not everywhere" };
            format!("{}: {kind}{uneven}", listed.path)
        };
        let found: Vec<_> = list(machine.path()).iter().map(shown).collect();
        let cpu = "sys/devices/system/cpu";
        let expected = [
            "proc/meminfo: proc/meminfo".to_owned(),
            "sys/devices/virtual/block/loop0/stat: sys/block/*/stat".to_owned(),
            "sys/devices/virtual/block/loop1/stat: sys/block/*/stat".to_owned(),
            format!("{cpu}/cpu*: directory"),
            format!("{cpu}/cpu*/cpufreq: directory"),
            format!("{cpu}/cpu*/cpufreq/related_cpus: {cpu}/cpu*/cpufreq/*_cpus"),
            format!("{cpu}/cpu*/online: {cpu}/**, not everywhere"),
            format!("{cpu}/cpu*/subsystem: link"),
            format!("{cpu}/cpu*/topology: directory"),
            format!("{cpu}/cpu*/topology/core_cpus_list: {cpu}/cpu*/topology/*_list"),
            format!("{cpu}/cpu*/topology/core_id: {cpu}/**"),
            format!("{cpu}/cpufreq: directory"),
            format!("{cpu}/possible: {cpu}/**"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_directory_is_mounted_as_a_whole() {
        let expected =
            ["proc/meminfo", "sys/devices/virtual/block/loop0/stat", "sys/devices/system/cpu"];
        assert_eq!(mounts(machine().path()), expected);
    }
}
