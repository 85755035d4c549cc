//! What a container does: the CPU time that it has used, and its tasks.
//!
//! Apart from the [other files](super::ContainerFiles) because it is sampled for minutes after
//! those were closed.

use std::path::Path;

use cgroupfs::controller::Controller;
use cgroupfs::cpu::CpuUsageFiles;

use super::task_list::TaskList;
use super::{CpuUsage, ReadingError, Tasks};
use crate::scope::Groups;

/// The files that tell what a container does.
#[derive(Debug)]
pub struct ActivityFiles {
    /// Apart: on v1 they are four files, on v2 one, and many containers have none.
    cpu_usage: Option<Box<CpuUsageFiles>>,
    tasks: Option<TaskList>,
}

impl ActivityFiles {
    /// The files of the container with these groups, with processes below `proc`; nothing
    /// is opened yet.
    pub fn new(proc: &Path, groups: &Groups) -> Self {
        Self {
            cpu_usage: groups
                .get(Controller::Cpuacct)
                .map(|group| Box::new(CpuUsageFiles::new(group))),
            tasks: TaskList::new(proc, groups),
        }
    }

    /// CPU time used so far; `None` when nothing counts it.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the group is gone or its file is not understood.
    pub fn cpu_usage(&self) -> Result<Option<CpuUsage>, ReadingError> {
        Ok(self.cpu_usage.as_deref().map(CpuUsageFiles::read).transpose()?)
    }

    /// The same in one number of nanoseconds, of which less must be read.
    ///
    /// # Errors
    ///
    /// As of [`cpu_usage`](Self::cpu_usage).
    pub fn cpu_time_ns(&self) -> Result<Option<u64>, ReadingError> {
        Ok(self.cpu_usage.as_deref().map(CpuUsageFiles::total_ns).transpose()?)
    }

    /// What its tasks do, with ids as the pid namespace `depth` levels below ours numbers
    /// them; `None` when it has no group.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the group is gone.
    pub fn tasks(&self, depth: u32) -> Result<Option<Tasks>, ReadingError> {
        let tasks = self.tasks.as_ref().map(|tasks| tasks.read(depth)).transpose();
        tasks.map_err(ReadingError::Tasks)
    }

    /// When its oldest task began, in clock ticks of `CLOCK_BOOTTIME`.
    ///
    /// # Errors
    ///
    /// [`ReadingError`] when the group is gone.
    pub fn oldest_start_ticks(&self) -> Result<Option<u64>, ReadingError> {
        let start = self.tasks.as_ref().map(TaskList::oldest_start_ticks).transpose();
        start.map(Option::flatten).map_err(ReadingError::Tasks)
    }
}
