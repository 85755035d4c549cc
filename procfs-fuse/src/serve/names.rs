//! Names: what the machine has where something is served.
//!
//! Kernels are built with and without some files, and a file that the host does
//! not have is none for its containers either. So a row of the catalogue is held
//! against what is there, and a name in a directory that is served as a whole is
//! given the first row that it matches.
//!
//! The one idea: nothing is looked for before somebody asks. A machine has a dozen
//! directories for each of its CPUs, and a worker that read all of them first would
//! keep the readers of its predecessor waiting.
//!
//! A directory named after a CPU is one for all of them here, `cpu*`, and that of a
//! block of memory `memory*`: which of them there are, and what their numbers mean,
//! depends on who looks, and nothing here asks who that is.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::files::{Kind, linked_files, plain_rows};
use super::numbers::{Numbered, path_of};
use crate::catalog::{CATALOG, Entry, HIDDEN, WHOLE, matches};

/// A link that is served as the directory that it leads to: frequencies belong to
/// policies, which are numbered by the host's CPUs.
const LINKED_DIRECTORY: &str = "cpufreq";

/// The names of one machine.
#[derive(Debug)]
pub struct Names {
    root: PathBuf,
    /// See [`linked_files`]; looked for when something is asked for that may be
    /// above one.
    linked: OnceLock<Vec<(&'static Entry, String)>>,
}

impl Names {
    /// Those of the machine below `root`; nothing is looked at yet.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), linked: OnceLock::new() }
    }

    /// What is served at `path`, where the machine has `host`; `None`: nothing.
    pub fn kind_at(&self, host: &Path, path: &str) -> Option<Kind> {
        if is_in_whole(path) {
            return kind_in_whole(host, path);
        }
        let _there = fs::metadata(host).ok()?;
        let plain = plain_rows().find(|entry| entry.path == path);
        let linked = || Some(self.linked().iter().find(|(_entry, known)| known == path)?.0);
        if let Some(entry) = plain.or_else(linked) {
            return Some(Kind::File { entry, size: None });
        }
        let mut parts = self.fixed().filter_map(|known| below(known, path)).peekable();
        parts.peek()?;
        Some(Kind::Directory { links: links_above(path, parts) })
    }

    /// The names that there may be in the directory `path`, which is the machine's
    /// `host`: those with numbers once, and without any. In the order in which they
    /// are listed.
    pub fn names_in(&self, host: &Path, path: &str) -> BTreeSet<String> {
        if is_in_whole(path) {
            let names = entries(host).filter_map(|entry| entry.file_name().into_string().ok());
            return names.map(|name| named_once(&name, path).0).collect();
        }
        let below = self.fixed().filter_map(|known| below(known, path));
        below.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
    }

    /// The paths of files that are served where links of the kernel's lead, and of the
    /// directories above them; some more than once.
    pub fn linked_paths(&self) -> impl Iterator<Item = &str> {
        self.linked().iter().flat_map(|(_entry, path)| with_those_above(path))
    }

    /// The first place where the machine has what is served at `path`.
    pub fn first_place(&self, path: &str) -> Option<PathBuf> {
        let Some((numbered, before)) = Numbered::in_path(path) else {
            return Some(self.root.join(path));
        };
        let numbers = numbered.all_in(&self.root.join(before)).into_iter();
        let mut places = numbers.map(|number| self.root.join(path_of(path, number)));
        places.find(|place| fs::symlink_metadata(place).is_ok())
    }

    /// True when each CPU that has a directory (or link) there has what is at `path`,
    /// and for what is about no CPU.
    pub fn is_everywhere(&self, path: &str) -> bool {
        let Some((Numbered::Cpu, before)) = Numbered::in_path(path) else { return true };
        let place = |cpu| self.root.join(path_of(path, cpu));
        let cpus = Numbered::Cpu.all_in(&self.root.join(before));
        cpus.into_iter().all(|cpu| fs::symlink_metadata(place(cpu)).is_ok())
    }

    /// Everything in the directories that are served as a whole.
    pub fn walk(&self) -> Walk {
        let found = |dir: &&str| Found { path: (*dir).to_owned(), host: self.root.join(dir) };
        Walk {
            seen: HashSet::new(),
            found: VecDeque::new(),
            unread: WHOLE.iter().map(found).collect(),
            others: VecDeque::new(),
        }
    }

    /// Every path that is not below another one of these: single files and whole
    /// directories.
    fn fixed(&self) -> impl Iterator<Item = &str> {
        let linked = self.linked().iter().map(|(_entry, path)| path.as_str());
        plain().chain(linked)
    }

    fn linked(&self) -> &[(&'static Entry, String)] {
        self.linked.get_or_init(|| linked_files(&self.root))
    }
}

/// The paths that are the same on every machine that has them, and those of the
/// directories above; some more than once.
pub fn plain_paths() -> impl Iterator<Item = &'static str> {
    plain().flat_map(with_those_above)
}

fn plain<'a>() -> impl Iterator<Item = &'a str> {
    plain_rows().map(|entry| entry.path).chain(WHOLE.iter().copied())
}

/// `path`, and every directory on the way there.
fn with_those_above(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(move |(slash, _)| path.split_at(slash).0);
    std::iter::once("").chain(above).chain([path])
}

/// Goes through directories: each path once, with the first place at which the machine
/// has it. What lies deep comes late, and what only later CPUs have comes last, so that
/// little is read to find what most ask for.
#[derive(Debug)]
pub struct Walk {
    seen: HashSet<String>,
    found: VecDeque<Found>,
    unread: VecDeque<Found>,
    /// Directories of further CPUs: nearly always like those of the first.
    others: VecDeque<Found>,
}

/// A name that was come upon.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is served; a part may be `cpu*` or `memory*`.
    pub path: String,
    /// Where the machine has it.
    pub host: PathBuf,
}

impl Walk {
    fn read(&mut self, dir: &Found) {
        for entry in entries(&dir.host) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let (name, numbered) = named_once(&name, &dir.path);
            let found = Found { path: format!("{}/{name}", dir.path), host: entry.path() };
            if is_hidden(&found.path) {
                continue;
            }
            let is_first = self.seen.insert(found.path.clone());
            if leads_on(&entry) {
                match numbered {
                    _any if is_first => self.unread.push_back(found.clone()),
                    // There may be thousands of blocks, all alike.
                    Some(Numbered::MemoryBlock) => {}
                    Some(Numbered::Cpu) | None => self.others.push_back(found.clone()),
                }
            }
            self.found.extend(is_first.then_some(found));
        }
    }
}

impl Iterator for Walk {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        while self.found.is_empty() {
            let next = self.unread.pop_front().or_else(|| self.others.pop_front())?;
            self.read(&next);
        }
        self.found.pop_front()
    }
}

/// True at and below a directory that is served as a whole.
pub(super) fn is_in_whole(path: &str) -> bool {
    WHOLE.iter().any(|dir| Path::new(path).starts_with(dir))
}

/// What of `path` is below `dir`; `None` when it is not.
fn below<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    if dir.is_empty() { Some(path) } else { path.strip_prefix(dir)?.strip_prefix('/') }
}

/// Names of the directory `path`, in which there are these `parts` of what is served:
/// its own, ".", and ".." of each directory in it.
fn links_above<'a>(path: &str, parts: impl Iterator<Item = &'a str>) -> u32 {
    let is_whole = |part: &str| WHOLE.iter().any(|dir| below(dir, path) == Some(part));
    let directories = parts.filter_map(|part| match part.split_once('/') {
        Some((name, _rest)) => Some(name),
        None => is_whole(part).then_some(part),
    });
    directories.collect::<BTreeSet<_>>().into_iter().fold(2, |links, _directory| links + 1)
}

/// `name` as it is in the directory `dir` here, and what it is the name of when that
/// is one of several.
fn named_once(name: &str, dir: &str) -> (String, Option<Numbered>) {
    let numbered = match Numbered::in_path(dir) {
        Some(_already) => None,
        None => Numbered::in_name(name).map(|(numbered, _number)| numbered),
    };
    (numbered.map_or(name, |numbered| numbered.any()).to_owned(), numbered)
}

fn entries(dir: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(dir).into_iter().flatten().flatten()
}

fn is_hidden(path: &str) -> bool {
    HIDDEN.iter().any(|pattern| matches(pattern, path))
}

fn leads_on(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| {
        kind.is_dir() || (kind.is_symlink() && entry.file_name() == LINKED_DIRECTORY)
    })
}

fn kind_in_whole(host: &Path, path: &str) -> Option<Kind> {
    if is_hidden(path) {
        return None;
    }
    let mut metadata = fs::symlink_metadata(host).ok()?;
    if metadata.is_symlink() && Path::new(path).ends_with(LINKED_DIRECTORY) {
        metadata = fs::metadata(host).ok()?;
    }
    if metadata.is_dir() {
        return Some(Kind::Directory {
            links: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
        });
    }
    if metadata.is_symlink() {
        return Some(Kind::Link);
    }
    let entry = CATALOG.iter().find(|row| matches(row.path, path))?;
    is_for_everybody(&metadata).then_some(Kind::File { entry, size: Some(metadata.len()) })
}

/// True for a file that the kernel lets everybody read.
fn is_for_everybody(metadata: &Metadata) -> bool {
    const READABLE: u32 = 0o444;
    metadata.permissions().mode() & READABLE == READABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: &str = "sys/devices/system/cpu";

    /// A machine with so many CPUs, of which only the last can be unplugged.
    fn machine(cpus: u32) -> tempfile::TempDir {
        let machine = tempfile::tempdir().unwrap();
        for cpu in 0..cpus {
            let topology = machine.path().join(format!("{CPU}/cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("core_id"), "").unwrap();
        }
        fs::write(machine.path().join(format!("{CPU}/cpu{}/online", cpus - 1)), "").unwrap();
        machine
    }

    #[test]
    fn what_only_a_late_cpu_has_is_come_upon_last() {
        let machine = machine(12);
        let found: Vec<_> = Names::new(machine.path()).walk().map(|found| found.path).collect();
        let expected = ["cpu*", "cpu*/topology", "cpu*/topology/core_id", "cpu*/online"];
        assert_eq!(found, expected.map(|path| format!("{CPU}/{path}")));
    }

    #[test]
    fn the_first_place_is_that_of_the_first_cpu_that_has_it() {
        let machine = machine(12);
        let names = Names::new(machine.path());
        let first = |path: &str| names.first_place(&format!("{CPU}/{path}"));
        let place = |path: &str| Some(machine.path().join(CPU).join(path));
        assert_eq!(first("cpu*/topology"), place("cpu0/topology"));
        assert_eq!(first("cpu*/online"), place("cpu11/online"));
        assert_eq!(first("cpu*/cache"), None);
    }

    #[test]
    fn above_what_is_served_there_is_nothing_else() {
        let machine = machine(1);
        let device = machine.path().join("sys/devices/virtual/block/loop0");
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("stat"), "").unwrap();
        fs::create_dir(machine.path().join("sys/block")).unwrap();
        std::os::unix::fs::symlink(&device, machine.path().join("sys/block/loop0")).unwrap();
        let names = Names::new(machine.path());
        // As in every directory, links are: its own name, ".", and ".." of those in it.
        for (path, expected, expected_links) in [
            ("", &["proc", "sys"][..], Some(4)),
            ("sys", &["devices"], Some(3)),
            ("sys/devices", &["system", "virtual"], Some(4)),
            ("sys/devices/system", &["cpu", "memory", "node"], Some(5)),
            ("sys/devices/virtual/block/loop0", &["stat"], Some(2)),
            ("proc/pressure", &["cpu", "io", "irq", "memory"], None),
        ] {
            let host = machine.path().join(path);
            assert_eq!(names.names_in(&host, path).into_iter().collect::<Vec<_>>(), expected);
            let links = match names.kind_at(&host, path) {
                Some(Kind::Directory { links }) => Some(links),
                _missing => None,
            };
            assert_eq!(links, expected_links, "{path}");
        }
    }
}
