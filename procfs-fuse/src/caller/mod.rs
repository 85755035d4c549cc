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

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cgroupfs::membership::Membership;

use crate::sys::pid_namespace;
pub use evidence::Evidence;
use evidence::{GROUPS, KeptText};
use init::{Asker, Inits};
pub use init::{Init, KnownInit};
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
    /// Another one, with the groups that its first process is in.
    Other(Membership),
}

/// What was found out about a thread.
#[derive(Debug)]
pub struct Identified {
    /// What is known about it.
    pub caller: Caller,
    /// The first process of its pid namespace; `None` in the host's.
    pub init: Option<Arc<KnownInit>>,
    /// How to see that it still holds.
    pub evidence: Evidence,
}

/// Identifies callers; one per process.
#[derive(Debug)]
pub struct Callers {
    proc: PathBuf,
    inits: Inits,
    host: Namespaces,
    /// Whether the kernel translates ids between pid namespaces, as far as is known.
    translates: AtomicBool,
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
        let (proc, translates) = (proc.to_owned(), AtomicBool::new(true));
        Ok(Self { inits: Inits::new(proc.clone(), tick_ns), proc, host, translates })
    }

    /// What is known about the thread `id`, an id of our pid namespace.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it has ended, or the kernel hides it from us.
    pub fn identify(&self, id: u32) -> Result<Identified, TaskError> {
        let task = Task::new(&self.proc, id);
        let (membership, own) = KeptText::read(&task, &Arc::new(task.open(GROUPS)?))?;
        let (namespace, first) = self.pid_namespace(&task)?;
        let Some(namespace) = namespace.filter(|_it| namespace != self.host.pid) else {
            let caller = Caller { membership, pid_namespace: PidNamespace::Host };
            return Ok(Identified { caller, init: None, evidence: Evidence::new(own, None) });
        };
        let asker = Asker { id, task: &task, first, membership: &membership, file: own.file() };
        let found = self.inits.of(&asker, namespace)?;
        let caller = Caller { membership, pid_namespace: PidNamespace::Other(found.membership) };
        let evidence = Evidence::new(own, found.evidence);
        Ok(Identified { caller, init: Some(found.known), evidence })
    }

    /// The number of the pid namespace of `task`, and its first process where the kernel
    /// tells that.
    fn pid_namespace(&self, task: &Task) -> Result<(Option<u64>, Option<u32>), TaskError> {
        if self.translates.load(Relaxed) {
            match translated(task) {
                Ok((number, first)) => return Ok((Some(number), Some(first))),
                Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                    self.translates.store(false, Relaxed);
                }
                Err(_hidden_or_gone) => {}
            }
        }
        Ok((task.namespace("pid")?, None))
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

/// The number of the pid namespace of `task`, and its first process; Linux 6.11.
///
/// # Errors
///
/// * `ENOTTY`: the kernel is older, or the machine is a captured one.
fn translated(task: &Task) -> io::Result<(u64, u32)> {
    let namespace = File::open(task.path("ns/pid"))?;
    let first = pid_namespace::process_in(&namespace, 1)?;
    Ok((namespace.metadata()?.ino(), first))
}
