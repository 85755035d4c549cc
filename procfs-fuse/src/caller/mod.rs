//! Who asks: from the thread id that FUSE reports to groups and namespaces.
//!
//! Looked at once, when a file is opened. A thread that asks holds its own
//! request, so it cannot end before it is answered, except by being killed; then
//! nobody waits for the answer.
//!
//! What this folder does not do: decide which groups count; that is
//! [`scope`](crate::scope).

pub mod cgroup_namespace;
mod evidence;
pub mod init;
pub mod task;
mod task_files;

pub(crate) use task_files::{ids_by_namespace, start_ticks, state};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cgroupfs::interface::read_from_start;
use cgroupfs::membership::{self, Membership};

pub use evidence::Evidence;
use evidence::KeptText;
pub use init::Init;
use init::Inits;
pub use task::{Task, TaskError};

/// What is known about the thread that opens a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The groups that it is in itself.
    pub membership: Membership,
    /// Where its pid namespace began.
    pub pid_namespace: PidNamespace,
}

/// The pid namespace of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PidNamespace {
    /// Ours, which is the host's.
    Host,
    /// Another one, with its first process and the groups that one is in.
    Other(Init, Membership),
}

/// Identifies callers; one per process.
#[derive(Debug)]
pub struct Callers {
    proc: PathBuf,
    inits: Inits,
    host: Namespaces,
}

/// The namespaces that are the host's, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Namespaces {
    pid: Option<u64>,
    time: Option<u64>,
}

impl Callers {
    /// Looks for processes below `proc`; `tick_ns` is the length of a clock tick.
    ///
    /// The daemon's own namespaces are taken for the host's: it runs in them, or
    /// FUSE could not name the callers.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when `proc` is no proc.
    pub fn new(proc: &Path, tick_ns: u64) -> Result<Self, TaskError> {
        let own = Task::named(proc, "self");
        let host = Namespaces { pid: own.namespace("pid")?, time: own.namespace("time")? };
        Ok(Self { proc: proc.to_owned(), inits: Inits::new(proc.to_owned(), tick_ns), host })
    }

    /// What is known about the thread `id`, an id of our pid namespace, and how to
    /// see that it still holds.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it has ended, or the kernel hides it from us.
    pub fn identify(&self, id: u32) -> Result<(Caller, Evidence), TaskError> {
        let task = Task::new(&self.proc, id);
        let (membership, own) = membership_of(&task)?;
        let (pid_namespace, init) = match task.namespace("pid")? {
            Some(number) if Some(number) != self.host.pid => {
                let found = self.inits.of(&task, number)?;
                // Who is the init itself need not be looked at twice.
                let evidence = Some(found.evidence).filter(|_it| found.id != id);
                (PidNamespace::Other(found.init, found.membership), evidence)
            }
            _ => (PidNamespace::Host, None),
        };
        Ok((Caller { membership, pid_namespace }, Evidence::new(own, init)))
    }

    /// Closes what is kept open about pid namespaces that have ended.
    pub fn forget_ended(&self) {
        self.inits.forget_ended();
    }

    /// The number of the time namespace of the thread `id`; `None` when it is the
    /// host's, and on a kernel that has none.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it has ended, or the kernel hides it from us.
    pub fn time_namespace(&self, id: u32) -> Result<Option<u64>, TaskError> {
        let number = Task::new(&self.proc, id).namespace("time")?;
        Ok(number.filter(|_number| number != self.host.time))
    }

    /// What the time namespace of the thread `id` adds to the host's
    /// `CLOCK_BOOTTIME`, in nanoseconds; `None` in the host's.
    ///
    /// `timens_offsets` is about the time namespace of the task's *children*, which
    /// is another one between `unshare` and `fork`; then nothing tells the offset.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it has ended, or the kernel hides it from us.
    pub fn boottime_offset_ns(&self, id: u32) -> Result<Option<i64>, TaskError> {
        let task = Task::new(&self.proc, id);
        let time = task.namespace("time")?;
        if time == self.host.time || time != task.namespace("time_for_children")? {
            return Ok(None);
        }
        task.read("timens_offsets", task_files::boottime_offset_ns).map(Some)
    }
}

/// The groups of `task`, and the file that says so.
fn membership_of(task: &Task) -> Result<(Membership, KeptText), TaskError> {
    const NAME: &str = "cgroup";
    let file = task.open(NAME)?;
    let text = read_from_start(&file).map_err(|error| TaskError::new(&task.path(NAME), error))?;
    let membership = membership::parse(&text)
        .map_err(|source| TaskError::Format { path: task.path(NAME), source })?;
    Ok((membership, KeptText::new(Arc::new(file), &text)))
}
