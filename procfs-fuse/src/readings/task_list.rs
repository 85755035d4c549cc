//! What the tasks of a container are doing, from `/proc`.
//!
//! No controller counts runnable tasks, so each thread is looked at. That costs
//! microseconds per thread and is why a reading is shared, longer the more it
//! cost (see [`Shared`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cgroupfs::controller::Controller;
use cgroupfs::group::Group;
use cgroupfs::tasks::threads;
use smallvec::SmallVec;

use super::Tasks;
use super::shared::Shared;
use crate::caller::{Task, ids_by_namespace, start_ticks, state};
use crate::scope::Groups;

/// Enough of `stat` to hold the longest name of a program and the state.
const HEAD: usize = 256;

/// How long one look at the tasks answers for everybody, at least.
const WINDOW: Duration = Duration::from_millis(20);

/// Hierarchies in which a container is likely to have all its tasks, best first.
const PREFERRED: [Controller; 5] = [
    Controller::Pids,
    Controller::Cpuacct,
    Controller::Cpu,
    Controller::Memory,
    Controller::Cpuset,
];

/// The tasks of one container.
#[derive(Debug)]
pub(super) struct TaskList {
    proc: PathBuf,
    group: Group,
    last: Shared<Counts>,
}

/// Ids of one task; pid namespaces are hardly ever nested deeper.
type Ids = SmallVec<[u32; 4]>;

#[derive(Debug, Clone)]
struct Counts {
    running: u64,
    blocked: u64,
    total: u64,
    /// Ids of the newest task, by namespace from ours inwards.
    last_ids: Ids,
}

impl TaskList {
    /// The tasks of the container with these groups; `None` when it has none.
    pub(super) fn new(proc: &Path, groups: &Groups) -> Option<Self> {
        let group = PREFERRED.into_iter().find_map(|controller| groups.get(controller))?.clone();
        Some(Self { proc: proc.to_owned(), group, last: Shared::new(WINDOW) })
    }

    /// How many tasks there are and what they do; ids as the pid namespace
    /// `depth` levels below ours numbers them.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub(super) fn read(&self, depth: u32) -> io::Result<Tasks> {
        let counts = self.last.get(|| self.count())?;
        let ids = &counts.last_ids;
        // A task of another namespace at this depth has an id of its own there.
        let last_pid = usize::try_from(depth)
            .ok()
            .and_then(|depth| ids.get(depth))
            .or(ids.last())
            .copied()
            .unwrap_or_default()
            .into();
        Ok(Tasks {
            running: counts.running,
            blocked: counts.blocked,
            total: counts.total,
            last_pid,
        })
    }

    fn count(&self) -> io::Result<Counts> {
        let ids = threads(&self.group)?;
        let mut counts = Counts { running: 0, blocked: 0, total: 0, last_ids: Ids::new() };
        for id in &ids {
            // A thread that has ended since is no task any more.
            let Some(state) = self.state(*id) else { continue };
            counts.total += 1;
            match state {
                'R' => counts.running += 1,
                'D' => counts.blocked += 1,
                _ => {}
            }
        }
        counts.last_ids = Ids::from_slice(&self.ids_of_newest(ids));
        Ok(counts)
    }

    /// `task/TID/stat` and not `stat`, which adds up all threads of the process.
    fn state(&self, id: u32) -> Option<char> {
        let path = self.proc.join(format!("{id}/task/{id}/stat"));
        let mut head = [0; HEAD];
        let length = File::open(path).ok()?.read(&mut head).ok()?;
        state(&String::from_utf8_lossy(head.get(..length)?))
    }

    fn ids_of_newest(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.sort_unstable_by(|one, other| other.cmp(one));
        let of = |id: u32| Task::new(&self.proc, id).text("status").ok();
        ids.into_iter().find_map(of).map(|status| ids_by_namespace(&status)).unwrap_or_default()
    }

    /// When the oldest task began, in clock ticks of `CLOCK_BOOTTIME`; `None`
    /// when there is none.
    ///
    /// # Errors
    ///
    /// When the group is gone.
    pub(super) fn oldest_start_ticks(&self) -> io::Result<Option<u64>> {
        let start = |id: u32| Task::new(&self.proc, id).read("stat", start_ticks).ok();
        Ok(threads(&self.group)?.into_iter().filter_map(start).min())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use cgroupfs::group::Version;

    use super::*;

    /// Threads with their states; a directory plays proc and the hierarchy.
    #[track_caller]
    fn check(threads: &[(u32, char)], expected: Tasks) {
        let root = tempfile::tempdir().unwrap();
        let group = Group::new(Version::V2, root.path().join("cg"), "/box".to_owned());
        fs::create_dir_all(group.dir()).unwrap();
        let mut list = String::new();
        for (id, state) in threads {
            list += &format!("{id}\n");
            let task = root.path().join(format!("{id}/task/{id}"));
            fs::create_dir_all(&task).unwrap();
            fs::write(task.join("stat"), format!("{id} (a) b) {state} 1 1")).unwrap();
            let inner = id - 100;
            fs::write(root.path().join(format!("{id}/status")), format!("NSpid:\t{id}\t{inner}\n"))
                .unwrap();
        }
        // Listed, but ended before it was looked at.
        fs::write(group.dir().join("cgroup.threads"), list + "999\n").unwrap();
        let groups = Groups::from([(Controller::Pids, group)]);
        let tasks = TaskList::new(root.path(), &groups).unwrap();
        assert_eq!(tasks.read(1).unwrap(), expected);
    }

    #[test]
    fn tasks_are_counted_by_what_they_do() {
        let threads = [(101, 'S'), (102, 'R'), (103, 'R'), (104, 'D'), (105, 'I'), (106, 'Z')];
        check(&threads, Tasks { running: 2, blocked: 1, total: 6, last_pid: 6 });
    }

    #[test]
    fn an_empty_container_has_no_tasks() {
        check(&[], Tasks::default());
    }

    #[test]
    fn a_container_without_any_group_has_no_list() {
        assert!(TaskList::new(Path::new("/proc"), &Groups::new()).is_none());
    }
}
