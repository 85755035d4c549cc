//! What a test program must not leave behind: mounts, control groups, processes.
//!
//! Other tests may run on the same machine at the same time, so only what is
//! surely ours counts: mounts below our own temporary folders, processes that
//! carry our mark in their environment, and groups of containers that have come
//! since we started and have nobody in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The environment variable that every process we start, or a container of
/// ours starts, carries.
pub const MARK: &str = "PORTHOLE_TESTS_RUN";

/// How long a dying process may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// The value of [`MARK`] for this program.
pub fn mark() -> String {
    std::process::id().to_string()
}

/// The machine as it was before the first test.
#[derive(Debug)]
pub struct Before {
    mounts: BTreeSet<String>,
    groups: BTreeSet<PathBuf>,
}

impl Before {
    /// Looks at the machine.
    pub fn look() -> Self {
        Self { mounts: mounts(), groups: groups() }
    }

    /// What is there now and was not then; waits a little for what is on its way out.
    pub fn leaks(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leaks = self.leaks_now();
            if leaks.is_empty() || Instant::now() > deadline {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn leaks_now(&self) -> Vec<String> {
        let mounts = mounts().into_iter().filter(|mount| !self.mounts.contains(mount));
        let groups = groups().into_iter().filter(|group| !self.groups.contains(group));
        let mounts = mounts.map(|mount| format!("mount {mount}"));
        let groups = groups.map(|group| format!("cgroup {}", group.display()));
        mounts.chain(groups).chain(processes()).collect()
    }
}

/// How the names of this program's folders and groups begin: other programs
/// of the tests may run beside it.
pub fn prefix() -> String {
    format!("porthole-tests-{}-", std::process::id())
}

/// A temporary folder that is known to be this program's.
///
/// # Errors
///
/// Those of mkdir(2).
pub fn folder() -> std::io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix(&prefix()).tempdir()
}

/// Mount points below the tests' temporary folders.
fn mounts() -> BTreeSet<String> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    points.filter(|point| point.contains(&prefix())).map(str::to_owned).collect()
}

/// Empty groups of containers, in every hierarchy: `<mount>/porthole/<id>`, and
/// those that [`Group`](crate::Group) makes.
fn groups() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for hierarchy in hierarchies() {
        let own = folders(&hierarchy).into_iter().filter(|path| is_of_this_program(path));
        found.extend(
            folders(&hierarchy.join("porthole")).into_iter().filter(|group| is_empty(group)),
        );
        found.extend(own);
    }
    found
}

fn is_of_this_program(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(&prefix())
}

/// Where control groups are mounted.
fn hierarchies() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = text.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        kind.starts_with("cgroup").then(|| PathBuf::from(point))
    });
    mounted.collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn is_empty(group: &Path) -> bool {
    let procs = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    procs.is_empty() && folders(group).iter().all(|child| is_empty(child))
}

/// Processes that carry our mark, but for ourselves.
fn processes() -> Vec<String> {
    let ours = format!("{MARK}={}", mark());
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let marked = entries.map(|entry| entry.path()).filter(|process| {
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == ours.as_bytes())
    });
    let described = marked.map(|process| {
        let command = std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
        format!("process {}: {}", process.display(), command.replace('\0', " "))
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_is_still_there_is_a_leak() {
        let before = Before::look();
        let mut child = Command::new("sleep").arg("60").env(MARK, mark()).spawn().unwrap();
        // Until exec the child still has our environment.
        let name = format!("process /proc/{}: sleep 60 ", child.id());
        while !before.leaks_now().contains(&name) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(before.leaks(), Vec::<String>::new());
    }
}
