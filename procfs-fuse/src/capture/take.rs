//! Taking a capture: copying what is read for one reader into a folder.
//!
//! What cannot be read is left out: it is not there for whoever renders the
//! capture either, and the daemon would not have had it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cgroupfs::layout::{self, Layout};

use super::{CaptureError, HOST, READER};
use crate::caller::{Callers, Task};
use crate::readings::{Needs, ticks_per_second};
use crate::scope::{self, Groups};
use crate::serve::{self, Kind, Numbers};

/// Files of a process that tell whose it is and what it does.
const PROCESS_FILES: [&str; 4] = ["cgroup", "stat", "status", "timens_offsets"];

/// Namespaces by which readers are told apart.
const NAMESPACES: [&str; 3] = ["pid", "time", "time_for_children"];

/// How the names of those files of a group begin that are read, or will be.
const GROUP_FILES: [&str; 20] = [
    "blkio.throttle.",
    "cgroup.controllers",
    "cgroup.threads",
    "cpu.",
    "cpuacct.stat",
    "cpuacct.usage",
    "cpuset.cpus",
    "cpuset.effective_",
    "cpuset.mems",
    "io.",
    "irq.pressure",
    "memory.current",
    "memory.limit_in_bytes",
    "memory.max",
    "memory.memsw.",
    "memory.pressure",
    "memory.stat",
    "memory.swap.",
    "memory.usage_in_bytes",
    "tasks",
];

/// Captures what the machine below `root` says for its process `reader` into the
/// new folder `dir`.
///
/// # Errors
///
/// [`CaptureError`] when the folder is there already or cannot be written, or
/// when the reader cannot be identified.
pub fn take(root: &Path, reader: u32, dir: &Path) -> Result<(), CaptureError> {
    let (groups, pid_namespace) = identify(root, reader)?;
    fs::create_dir(dir).map_err(CaptureError::io(dir))?;
    let copy = Copy { root: root.to_owned(), machine: dir.join(HOST) };
    copy.own_namespaces()?;
    copy.mounts()?;
    for (_, group) in groups.iter() {
        copy.tree(&group.dir())?;
        for ancestor in group.levels() {
            copy.group(&ancestor)?;
        }
        copy.group(group.root_dir())?;
    }
    for id in process_ids(root) {
        let shares = id == reader || shares(root, id, pid_namespace, &groups)?;
        if shares {
            copy.process(id)?;
        }
    }
    // Last: the clock is among them, and no process is younger than it.
    for listed in serve::list(root) {
        for path in listed.files(root, |_numbered| Numbers::Hosts) {
            copy.file(Path::new(&path))?;
            if matches!(listed.kind, Kind::File { entry, .. } if entry.needs.contains(Needs::DEVICE))
            {
                copy.block_device(Path::new(&path))?;
            }
        }
    }
    let path = dir.join(READER);
    fs::write(&path, format!("{reader}\n")).map_err(CaptureError::io(&path))
}

/// The groups that count for the process, and its pid namespace.
fn identify(root: &Path, reader: u32) -> Result<(Groups, Option<u64>), CaptureError> {
    let proc = root.join("proc");
    if !proc.join(reader.to_string()).exists() {
        return Err(CaptureError::NoProcess { pid: reader });
    }
    let tick_ns = 1_000_000_000 / ticks_per_second();
    let caller = Callers::new(&proc, tick_ns)?.identify(reader)?.caller;
    let groups = scope::groups_of(&caller, &layout(root)?)?;
    Ok((groups, Task::new(&proc, reader).namespace("pid")?))
}

fn layout(root: &Path) -> Result<Layout, CaptureError> {
    let path = root.join("proc/self/mountinfo");
    let text = fs::read_to_string(&path).map_err(CaptureError::io(&path))?;
    Ok(layout::parse(&text, root)?)
}

fn process_ids(root: &Path) -> Vec<u32> {
    let entries = fs::read_dir(root.join("proc")).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// True when the process `id` is in the reader's pid namespace (where that is not
/// ours) or in one of its groups.
fn shares(
    root: &Path,
    id: u32,
    pid_namespace: Option<u64>,
    groups: &Groups,
) -> Result<bool, CaptureError> {
    let proc = root.join("proc");
    let task = Task::new(&proc, id);
    let own = Task::named(&proc, "self").namespace("pid")?;
    // A process that has ended since shares nothing.
    let namespace = task.namespace("pid").ok().flatten();
    if namespace.is_some() && namespace == pid_namespace && namespace != own {
        return Ok(true);
    }
    let Ok(membership) = task.membership() else { return Ok(false) };
    let layout = layout(root)?;
    let mut counting = groups.iter();
    Ok(counting.any(|(controller, group)| {
        let place = layout.group(&membership, controller).ok().flatten();
        place.is_some_and(|place| place.dir().starts_with(group.dir()))
    }))
}

/// Copies files of one machine to their places in a capture.
struct Copy {
    root: PathBuf,
    machine: PathBuf,
}

impl Copy {
    /// Copies one file, by its path below the root.
    fn file(&self, path: &Path) -> Result<(), CaptureError> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => self.write(path, &bytes),
            Err(_left_out) => Ok(()),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CaptureError> {
        let path = self.machine.join(path);
        make_parent(&path)?;
        fs::write(&path, bytes).map_err(CaptureError::io(&path))
    }

    /// Copies the files of one group.
    fn group(&self, dir: &Path) -> Result<(), CaptureError> {
        for path in entries(dir) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if GROUP_FILES.iter().any(|start| name.starts_with(start)) {
                self.file(self.below_root(&path))?;
            }
        }
        Ok(())
    }

    /// Copies the files of a group and of every group beneath it.
    fn tree(&self, dir: &Path) -> Result<(), CaptureError> {
        self.group(dir)?;
        entries(dir).iter().filter(|path| path.is_dir()).try_for_each(|path| self.tree(path))
    }

    fn below_root<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// The lines of mountinfo about control groups: the rest is nobody's business.
    fn mounts(&self) -> Result<(), CaptureError> {
        let path = self.root.join("proc/self/mountinfo");
        let text = fs::read_to_string(&path).map_err(CaptureError::io(&path))?;
        let lines: Vec<_> = text.lines().filter(|line| line.contains(" - cgroup")).collect();
        self.write(Path::new("proc/self/mountinfo"), (lines.join("\n") + "\n").as_bytes())
    }

    /// What finds the file `path` of a block device, and tells the device: its link,
    /// and its numbers.
    fn block_device(&self, path: &Path) -> Result<(), CaptureError> {
        self.file(&path.with_file_name("dev"))?;
        let Some((directory, name)) = path.parent().and_then(|it| Some((it, it.file_name()?)))
        else {
            return Ok(());
        };
        let link = self.machine.join("sys/block").join(name);
        make_parent(&link)?;
        symlink(Path::new("../..").join(directory), &link).map_err(CaptureError::io(&link))
    }

    fn own_namespaces(&self) -> Result<(), CaptureError> {
        self.namespaces(Path::new("proc/self"))
    }

    fn process(&self, id: u32) -> Result<(), CaptureError> {
        let process = PathBuf::from(format!("proc/{id}"));
        for name in PROCESS_FILES {
            self.file(&process.join(name))?;
        }
        for task in entries(&self.root.join(&process).join("task")) {
            self.file(&self.below_root(&task).join("stat"))?;
        }
        self.namespaces(&process)
    }

    /// A namespace is a link to a name with its number; the name is made as an
    /// empty file, so that the link can be opened as the kernel's can.
    fn namespaces(&self, process: &Path) -> Result<(), CaptureError> {
        for kind in NAMESPACES {
            let link = process.join("ns").join(kind);
            let Ok(name) = fs::read_link(self.root.join(&link)) else { continue };
            self.write(&process.join("ns").join(&name), b"")?;
            let link = self.machine.join(link);
            symlink(name, &link).map_err(CaptureError::io(&link))?;
        }
        Ok(())
    }
}

fn make_parent(path: &Path) -> Result<(), CaptureError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(CaptureError::io(parent))
}

/// What is in a folder, in the order of names; nothing when it is gone.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}
