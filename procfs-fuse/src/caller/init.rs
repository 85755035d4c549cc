//! The first process of a pid namespace: whoever a container was started for.
//!
//! Its groups are the container's, wherever the caller has been put inside. It is
//! found without fork and without reading process 1 of the host: the kernel
//! translates "1 over there" since 6.11; before, the way up from parent to parent
//! ends at it, or else it is among all processes.
//!
//! What is kept per namespace is a descriptor of `/proc/INIT/cgroup`. It follows
//! the init into other groups and fails once the init has ended, so neither a
//! reused process id nor a reused namespace number can be mistaken for it. What else is
//! told of an init is read when somebody needs it: most files do not.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cgroupfs::membership::Membership;
use parking_lot::Mutex;

use super::evidence::{GROUPS, KeptText};
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

/// An init, for as long as it lives.
#[derive(Debug)]
pub struct KnownInit {
    task: Task,
    /// Its id, as our pid namespace numbers it.
    id: u32,
    tick_ns: u64,
    /// Where its groups are told; another process never speaks through it.
    file: Arc<File>,
    told: OnceLock<Init>,
    /// The groups that it was last seen in.
    seen: Mutex<Option<Arc<KeptText>>>,
}

/// What is found out about an init.
#[derive(Debug)]
pub(super) struct FoundInit {
    pub(super) known: Arc<KnownInit>,
    /// The groups that it is in now.
    pub(super) membership: Membership,
    /// The file that said so, where that is not the asker's own.
    pub(super) evidence: Option<Arc<KeptText>>,
}

/// Whose init is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) id: u32,
    pub(super) task: &'a Task,
    /// The first process of its pid namespace, where the kernel says so.
    pub(super) first: Option<u32>,
    /// The groups that it is in itself,
    pub(super) membership: &'a Membership,
    /// and the file that said so.
    pub(super) file: &'a Arc<File>,
}

impl Inits {
    /// Looks for processes below `proc`; `tick_ns` is the length of a clock tick.
    pub fn new(proc: PathBuf, tick_ns: u64) -> Self {
        let known = Known { by_namespace: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { proc, tick_ns, known: Mutex::new(known) }
    }

    /// The init of the pid namespace `namespace`, in which `asker` is.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when there is none any more, or the kernel hides it.
    pub(super) fn of(&self, asker: &Asker<'_>, namespace: u64) -> Result<FoundInit, TaskError> {
        let known = self.known.lock().by_namespace.get(&namespace).cloned();
        if let Some(found) = known.and_then(|known| known.look(asker.id).ok()) {
            return Ok(found);
        }
        let found = self.find(asker, namespace)?;
        self.known.lock().remember(namespace, Arc::clone(&found.known));
        Ok(found)
    }

    /// Closes the descriptors of those that have ended.
    pub(super) fn forget_ended(&self) {
        self.known.lock().forget_ended();
    }

    fn find(&self, asker: &Asker<'_>, namespace: u64) -> Result<FoundInit, TaskError> {
        let id = asker
            .first
            .or_else(|| self.among_parents(asker.task, namespace))
            .or_else(|| self.among_all(namespace))
            .ok_or_else(|| TaskError::NoInit { path: asker.task.path("ns/pid") })?;
        // Who is the init itself need not be looked at twice.
        if id == asker.id {
            let known = self.known_init(id, asker.task.clone(), Arc::clone(asker.file));
            return Ok(FoundInit { known, membership: asker.membership.clone(), evidence: None });
        }
        let task = Task::new(&self.proc, id);
        let file = Arc::new(task.open(GROUPS)?);
        self.known_init(id, task, file).look(asker.id)
    }

    fn known_init(&self, id: u32, task: Task, file: Arc<File>) -> Arc<KnownInit> {
        Arc::new(KnownInit {
            task,
            id,
            tick_ns: self.tick_ns,
            file,
            told: OnceLock::new(),
            seen: Mutex::default(),
        })
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

fn is_init_of(proc: &Path, id: u32, namespace: u64) -> bool {
    let task = Task::new(proc, id);
    task.text("status").is_ok_and(|text| task_files::ids_by_namespace(&text).last() == Some(&1))
        && task.namespace("pid").is_ok_and(|number| number == Some(namespace))
}

impl Known {
    /// Descriptors of ended inits are closed whenever the number of known ones
    /// has doubled, so that there are never more than twice as many as live.
    fn remember(&mut self, namespace: u64, found: Arc<KnownInit>) {
        if self.by_namespace.len() >= self.sweep_at {
            self.forget_ended();
        }
        self.by_namespace.insert(namespace, found);
    }

    fn forget_ended(&mut self) {
        self.by_namespace.retain(|_, known| known.lives().is_ok());
        self.sweep_at = FIRST_SWEEP.max(self.by_namespace.len() * 2);
    }
}

impl KnownInit {
    /// When it began, and where; read when it is first asked for.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when it has ended, or the kernel hides it from us.
    pub fn init(&self) -> Result<Init, TaskError> {
        if let Some(told) = self.told.get() {
            return Ok(*told);
        }
        let ticks = self.task.read("stat", task_files::start_ticks)?;
        let depth = match depth_of(&self.task) {
            Ok(depth) => depth,
            Err(_captured_or_gone) => depth_told(&self.task.text("status")?),
        };
        // It lives still, so both were read of it, and of no other process with its id.
        self.lives().map_err(|error| TaskError::new(&self.task.path(GROUPS), error))?;
        let started_ns = ticks.saturating_mul(self.tick_ns);
        Ok(*self.told.get_or_init(|| Init { started_ns, depth }))
    }

    /// The groups that it is in now, to tell the task `asker`.
    fn look(self: Arc<Self>, asker: u32) -> Result<FoundInit, TaskError> {
        let (membership, told) = KeptText::read(&self.task, &self.file)?;
        let evidence = (self.id != asker).then(|| self.shared(told));
        Ok(FoundInit { known: self, membership, evidence })
    }

    /// What it told before, if that is the same.
    fn shared(&self, told: KeptText) -> Arc<KeptText> {
        let mut seen = self.seen.lock();
        match &*seen {
            Some(before) if before.says_what(&told) => Arc::clone(before),
            _another => Arc::clone(seen.insert(Arc::new(told))),
        }
    }

    fn lives(&self) -> io::Result<()> {
        self.file.read_at(&mut [0; 1], 0).map(drop)
    }
}

/// How many pid namespaces below ours that of `task` is.
fn depth_of(task: &Task) -> io::Result<u32> {
    let mut namespace = File::open(task.path("ns/pid"))?;
    let mut depth = 0;
    loop {
        match pid_namespace::parent_of(&namespace) {
            Ok(parent) => (namespace, depth) = (parent, depth + 1),
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(depth),
            Err(error) => return Err(error),
        }
    }
}

/// The same, by its `status`.
fn depth_told(status: &str) -> u32 {
    let ids = task_files::ids_by_namespace(status);
    u32::try_from(ids.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_and_status_tell_the_same_depth() {
        let task = Task::named(Path::new("/proc"), "self");
        assert_eq!(depth_of(&task).unwrap(), depth_told(&task.text("status").unwrap()));
        assert_eq!(depth_told("Name:\tx\nNSpid:\t77\t12\t1\n"), 2);
    }
}
