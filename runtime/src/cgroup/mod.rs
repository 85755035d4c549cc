//! The control groups of a container: made, limited, joined and removed.
//!
//! One name, `porthole/ID`, in every hierarchy that is mounted: each controller's
//! own on v1, the cgroup2 tree beside them on hybrid machines (it holds no
//! controllers, but counts pressure), the one tree on v2. `cgroups-rs` knows where they are mounted
//! and what their files are called; what it does not tell, such as a limit that
//! was not accepted, is checked here.
//!
//! What this module does not do: decide the limits (`cli`, `plan`), read usage
//! (the daemon does, through the `cgroupfs` crate).

mod available;
mod delegated;
mod error;
mod limits;
mod lock;
mod removal;
mod unified;

use std::path::{Path, PathBuf};

use cgroups_rs::CgroupPid;
use cgroups_rs::fs::{Cgroup, hierarchies};
use nix::unistd::Pid;

use crate::plan::Resources;

pub use error::CgroupError;
pub use limits::Warning;

/// The group above those of all containers.
const PARENT: &str = "porthole";

/// The control groups of one container.
#[derive(Debug)]
pub struct ContainerCgroup {
    cgroup: Cgroup,
}

impl ContainerCgroup {
    /// The groups of the container `id`, which may not exist.
    pub fn of(id: &str) -> Self {
        Self { cgroup: Cgroup::load(hierarchies::auto(), format!("{PARENT}/{id}")) }
    }

    /// Makes the groups and limits them; nothing runs in them yet.
    ///
    /// # Errors
    ///
    /// [`CgroupError`], and then the groups are removed again.
    pub fn create(&self, resources: &Resources) -> Result<Vec<Warning>, CgroupError> {
        available::check(resources, &self.controllers())?;
        self.hierarchies().iter().try_for_each(|path| available::check_kind(path))?;
        let made = self.make(resources);
        if made.is_err() {
            // The first failure is the one to tell; what could not be removed
            // now is found by the garbage collection of the next command.
            let _ = self.remove();
        }
        made
    }

    fn make(&self, resources: &Resources) -> Result<Vec<Warning>, CgroupError> {
        let lock = lock::hold()?;
        let name = self.cgroup.path();
        if self.cgroup.v2() {
            delegated::make(Path::new(hierarchies::UNIFIED_MOUNTPOINT), name, resources)?;
        } else {
            self.cgroup.create().map_err(|error| CgroupError::create(name, &error))?;
            unified::make(name);
        }
        drop(lock);
        limits::apply(&self.cgroup, &Resources::default(), resources)
    }

    /// Changes the limits of groups that were given those of `before`.
    ///
    /// # Errors
    ///
    /// [`CgroupError`], and then the limits are those of `before`.
    pub fn update(
        &self,
        before: &Resources,
        after: &Resources,
    ) -> Result<Vec<Warning>, CgroupError> {
        available::check(after, &self.controllers())?;
        limits::apply(&self.cgroup, before, after).inspect_err(|_refused| {
            // They were accepted before; the first failure is the one to tell.
            let _ = limits::apply(&self.cgroup, after, before);
        })
    }

    /// Moves the process `pid` into the groups.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Join`].
    pub fn join(&self, pid: Pid) -> Result<(), CgroupError> {
        let id = u64::from(pid.as_raw().unsigned_abs());
        self.cgroup
            .add_task_by_tgid(CgroupPid::from(id))
            .map_err(|error| CgroupError::join(self.cgroup.path(), &error))?;
        if self.cgroup.v2() { Ok(()) } else { unified::join(self.cgroup.path(), pid) }
    }

    /// The group's directory in the cgroup2 tree: on v2 its only one, on a hybrid
    /// machine the one that counts pressure. `None` where there is none.
    pub fn unified_directory(&self) -> Option<PathBuf> {
        let name = self.cgroup.path();
        let directory = if self.cgroup.v2() {
            Some(Path::new(hierarchies::UNIFIED_MOUNTPOINT).join(name))
        } else {
            unified::group(name)
        };
        directory.filter(|directory| directory.exists())
    }

    /// Ends whatever still runs in the groups and removes them; those that do
    /// not exist are passed over.
    ///
    /// # Errors
    ///
    /// [`CgroupError::Remove`] when a group is still in use after it was emptied.
    pub fn remove(&self) -> Result<(), CgroupError> {
        removal::remove(&self.directories())?;
        let _lock = lock::hold()?;
        removal::remove_if_empty(&self.parents());
        Ok(())
    }

    /// Names of the controllers that the machine has, as v1 and v2 call them.
    fn controllers(&self) -> Vec<String> {
        self.cgroup.subsystems().iter().map(cgroups_rs::fs::Subsystem::controller_name).collect()
    }

    /// The group's directory in each hierarchy; on v2 there is one.
    fn directories(&self) -> Vec<PathBuf> {
        let subsystems = self.cgroup.subsystems().iter();
        let mut all: Vec<PathBuf> =
            subsystems.map(|controller| controller.to_controller().path().to_owned()).collect();
        all.extend(unified::group(self.cgroup.path()));
        // On v2, and for v1 controllers that are mounted together.
        all.sort();
        all.dedup();
        all
    }

    fn parents(&self) -> Vec<PathBuf> {
        self.directories().iter().filter_map(|path| path.parent()).map(PathBuf::from).collect()
    }

    /// Where each hierarchy is mounted.
    fn hierarchies(&self) -> Vec<PathBuf> {
        self.parents().iter().filter_map(|path| path.parent()).map(PathBuf::from).collect()
    }
}
