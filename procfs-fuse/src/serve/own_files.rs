//! The kernel's own files that say what ours would: the pressure of a container's
//! control group, in the format of `/proc/pressure`.
//!
//! Whoever mounts files into a container mounts these where there are any: with
//! triggers and poll(2) that are the kernel's, and nothing to survive.
//!
//! What this module does not do: mount (`inject`; the runtime has its own way).

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use cgroupfs::layout;

use crate::caller::Callers;
use crate::catalog::CATALOG;
use crate::readings::ticks_per_second;
use crate::scope;

const PRESSURE: &str = "proc/pressure/";

/// The kernel's own files for the container of the process with the id `process`, by
/// the paths of ours. None for who is in no container, or in none of a cgroup2 tree.
///
/// # Errors
///
/// When it cannot be told who that is: it may have ended.
pub fn own_files(
    root: &Path,
    process: u32,
) -> Result<HashMap<&'static str, PathBuf>, Box<dyn Error + Send + Sync>> {
    let proc = root.join("proc");
    let callers = Callers::new(&proc, super::NS_PER_SEC / ticks_per_second())?;
    let caller = callers.identify(process)?.caller;
    let mounts = fs::read_to_string(proc.join("self/mountinfo"))?;
    let layout = layout::parse(&mounts, root)?;
    let Some(group) = scope::unified_group_of(&caller, &layout) else {
        return Ok(HashMap::new());
    };
    let own = |path: &'static str| {
        let resource = path.strip_prefix(PRESSURE)?;
        let file = group.dir().join(format!("{resource}.pressure"));
        // A kernel may count it for the machine alone.
        file.exists().then_some((path, file))
    };
    Ok(CATALOG.iter().filter_map(|entry| own(entry.path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    /// A hybrid machine on which process 7 is in the cgroup2 group `group`.
    fn machine(group: &str) -> tempfile::TempDir {
        let machine = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = machine.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let mounts = "\
30 25 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        write("proc/self/mountinfo", mounts);
        for process in ["self", "7"] {
            let ns = machine.path().join("proc").join(process).join("ns");
            fs::create_dir_all(&ns).unwrap();
            for (name, number) in [("pid", "4026531836"), ("time", "4026531834")] {
                std::os::unix::fs::symlink(format!("{name}:[{number}]"), ns.join(name)).unwrap();
            }
        }
        write("proc/7/cgroup", &format!("4:memory:/docker/{ID}\n0::{group}\n"));
        for file in ["cpu", "memory"] {
            write(&format!("sys/fs/cgroup/unified{group}/{file}.pressure"), "");
        }
        machine
    }

    #[track_caller]
    fn check(group: &str, expected: &[&str]) {
        let machine = machine(group);
        let own = own_files(machine.path(), 7).unwrap();
        let mut paths: Vec<_> = own.keys().copied().collect();
        paths.sort_unstable();
        assert_eq!(paths, expected, "{group}");
        for (path, file) in own {
            let resource = path.rsplit('/').next().unwrap();
            let dir = machine.path().join("sys/fs/cgroup/unified").join(group.trim_matches('/'));
            assert_eq!(file, dir.join(format!("{resource}.pressure")));
        }
    }

    #[test]
    fn a_container_has_those_of_its_group_that_are_counted() {
        check(&format!("/docker/{ID}"), &["proc/pressure/cpu", "proc/pressure/memory"]);
    }

    #[test]
    fn who_is_in_no_group_of_the_cgroup2_tree_has_none() {
        check("/", &[]);
        check("/user.slice", &[]);
    }
}
