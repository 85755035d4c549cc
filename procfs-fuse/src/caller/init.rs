//! The first process of a pid namespace: whoever a container was started for.
//!
//! Its groups are the container's, wherever the caller has been put inside. It is
//! found without fork and without reading process 1 of the host: the kernel
//! translates "1 over there" since 6.11; before, the way up from parent to parent
//! ends at it, or else it is among all processes.
//!
//! What is kept per namespace is a descriptor of `/proc/INIT/cgroup`. It follows
//! the init into other groups and fails once the init has ended, so neither a
//! reused process id nor a reused namespace number can be mistaken for it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cgroupfs::interface::read_from_start;
use cgroupfs::membership::{self, Membership};
use parking_lot::Mutex;

use super::evidence::KeptText;
use super::task::{Task, TaskError};
use super::task_files;
use crate::sys::pid_namespace;

/// Namespaces that may be remembered before those that ended are looked for.
const FIRST_SWEEP: usize = 64;

/// Steps from parent to parent; deeper trees are searched for in all of `/proc`.
const MOST_PARENTS: usize = 256;

/// The first process of a pid namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Init {
    /// When it began: nanoseconds of the host's `CLOCK_BOOTTIME`, to a clock tick.
    pub started_ns: u64,
    /// How many pid namespaces below ours its own is; at least 1.
    pub depth: u32,
}

/// The inits of all pid namespaces that were asked for and still live.
#[derive(Debug)]
pub struct Inits {
    proc: PathBuf,
    tick_ns: u64,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    by_namespace: HashMap<u64, Arc<KnownInit>>,
    sweep_at: usize,
}

#[derive(Debug)]
struct KnownInit {
    id: u32,
    init: Init,
    path: PathBuf,
    membership: Arc<File>,
}

/// What is found out about an init.
#[derive(Debug)]
pub(super) struct FoundInit {
    /// Its id, as our pid namespace numbers it.
    pub(super) id: u32,
    pub(super) init: Init,
    /// The groups that it is in now.
    pub(super) membership: Membership,
    /// The file that said so.
    pub(super) evidence: KeptText,
}

impl Inits {
    /// Looks for processes below `proc`; `tick_ns` is the length of a clock tick.
    pub fn new(proc: PathBuf, tick_ns: u64) -> Self {
        let known = Known { by_namespace: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { proc, tick_ns, known: Mutex::new(known) }
    }

    /// The init of the pid namespace `namespace`, in which `caller` is.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when there is none any more, or the kernel hides it.
    pub(super) fn of(&self, caller: &Task, namespace: u64) -> Result<FoundInit, TaskError> {
        let known = self.known.lock().by_namespace.get(&namespace).cloned();
        if let Some(found) = known.and_then(|known| known.look().ok()) {
            return Ok(found);
        }
        let known = self.find(caller, namespace)?;
        let found = known.look()?;
        self.known.lock().remember(namespace, known);
        Ok(found)
    }

    /// Closes the descriptors of those that have ended.
    pub(super) fn forget_ended(&self) {
        self.known.lock().forget_ended();
    }

    fn find(&self, caller: &Task, namespace: u64) -> Result<KnownInit, TaskError> {
        let id = translated(caller)
            .or_else(|| self.among_parents(caller, namespace))
            .or_else(|| self.among_all(namespace))
            .ok_or_else(|| TaskError::NoInit { path: caller.path("ns/pid") })?;
        self.known_init(id)
    }

    fn known_init(&self, id: u32) -> Result<KnownInit, TaskError> {
        let task = Task::new(&self.proc, id);
        // First, so that what follows is about a process that this one outlives.
        let membership = Arc::new(task.open("cgroup")?);
        let ticks = task.read("stat", task_files::start_ticks)?;
        let ids = task_files::ids_by_namespace(&task.text("status")?);
        let init = Init {
            started_ns: ticks.saturating_mul(self.tick_ns),
            depth: u32::try_from(ids.len().saturating_sub(1)).unwrap_or_default(),
        };
        Ok(KnownInit { id, init, path: task.path("cgroup"), membership })
    }

    /// The way up: orphans are adopted inside of their namespace, so it ends at
    /// the init unless somebody entered the namespace from outside.
    fn among_parents(&self, caller: &Task, namespace: u64) -> Option<u32> {
        let mut status = caller.text("status").ok()?;
        for _step in 0..MOST_PARENTS {
            let ids = task_files::ids_by_namespace(&status);
            if ids.last() == Some(&1) {
                return ids.first().copied();
            }
            let parent = Task::new(&self.proc, task_files::parent(&status)?);
            if parent.namespace("pid").ok()? != Some(namespace) {
                return None;
            }
            status = parent.text("status").ok()?;
        }
        None
    }

    fn among_all(&self, namespace: u64) -> Option<u32> {
        fs::read_dir(&self.proc)
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(|id| is_init_of(&self.proc, *id, namespace))
    }
}

fn translated(caller: &Task) -> Option<u32> {
    pid_namespace::process_in(&caller.open("ns/pid").ok()?, 1).ok()
}

fn is_init_of(proc: &Path, id: u32, namespace: u64) -> bool {
    let task = Task::new(proc, id);
    task.text("status").is_ok_and(|text| task_files::ids_by_namespace(&text).last() == Some(&1))
        && task.namespace("pid").is_ok_and(|number| number == Some(namespace))
}

impl Known {
    /// Descriptors of ended inits are closed whenever the number of known ones
    /// has doubled, so that there are never more than twice as many as live.
    fn remember(&mut self, namespace: u64, found: KnownInit) {
        if self.by_namespace.len() >= self.sweep_at {
            self.forget_ended();
        }
        self.by_namespace.insert(namespace, Arc::new(found));
    }

    fn forget_ended(&mut self) {
        self.by_namespace.retain(|_, known| known.look().is_ok());
        self.sweep_at = FIRST_SWEEP.max(self.by_namespace.len() * 2);
    }
}

impl KnownInit {
    /// The groups that it is in now.
    fn look(&self) -> Result<FoundInit, TaskError> {
        let text = read_from_start(&self.membership)
            .map_err(|source| TaskError::new(&self.path, source))?;
        let membership = membership::parse(&text)
            .map_err(|source| TaskError::Format { path: self.path.clone(), source })?;
        let evidence = KeptText::new(Arc::clone(&self.membership), &text);
        Ok(FoundInit { id: self.id, init: self.init, membership, evidence })
    }
}
