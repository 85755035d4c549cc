//! The story of one read: who asks, whose limits count, what the kernel says,
//! what the container shall see, as bytes.
//!
//! The promise kept here is *never worse than the host's file*: whatever goes
//! wrong on the way, the answer is the host's own text, counted and logged. Only
//! when the host's own file cannot be read either does a read fail, with the
//! error that the host's file gave.
//!
//! Whose container is decided at open, for the life of the descriptor; what its
//! limits are, at each reading. A descriptor that outlives its container is
//! answered with the host's text: nothing else is true any more.

mod containers;
mod faults;
mod files;
mod memory;
mod opening;

pub use files::entries;
pub use memory::Memory;
pub use opening::{GroupIds, OPENING_WORDS, Opening};

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cgroupfs::layout::{self, Layout};

use crate::caller::{Callers, PidNamespace, TaskError, cgroup_namespace};
use crate::catalog::Entry;
use crate::config::Settings;
use crate::readings::{
    Clock, ContainerFiles, HostFiles, Needs, Reader, Sample, Shared, ticks_per_second,
};
use crate::sampler::Sampler;
use crate::scope;
use containers::{Container, Containers};
use faults::{Fault, Faults};

/// How long one look at what is mounted answers: hierarchies hardly ever move.
const LAYOUT_SHARING: Duration = Duration::from_secs(1);

const NS_PER_SEC: u64 = 1_000_000_000;

/// Answers opens and reads for every container; one per process, shared by all
/// threads.
#[derive(Debug)]
pub struct Server {
    root: PathBuf,
    clock: Clock,
    tick_ns: u64,
    callers: Callers,
    layout: Shared<Arc<Layout>>,
    host: HostFiles,
    containers: Containers,
    sampler: Sampler,
    faults: Faults,
}

impl Server {
    /// A server for the machine below `settings.root`.
    ///
    /// For the running machine it takes the calling thread to the host's cgroup
    /// namespace: call it before threads are started.
    ///
    /// # Errors
    ///
    /// [`TaskError`] when there is no proc in which we are.
    pub fn new(settings: Settings) -> Result<Self, TaskError> {
        let root = settings.root.clone();
        let proc = root.join("proc");
        let clock = Clock::of(&root);
        if clock == Clock::Running {
            see_cgroups_as_the_host(&proc);
        }
        let tick_ns = NS_PER_SEC / ticks_per_second();
        Ok(Self {
            callers: Callers::new(&proc, tick_ns)?,
            layout: Shared::new(LAYOUT_SHARING),
            host: HostFiles::new(&root, settings.host_sharing),
            sampler: Sampler::new(clock.clone()),
            containers: Containers::new(proc, settings),
            faults: Faults::default(),
            root,
            clock,
            tick_ns,
        })
    }

    /// The same, with a memory for histories that outlives it.
    #[must_use]
    pub fn with_memory(mut self, memory: Box<dyn Memory>) -> Self {
        self.containers.set_memory(memory);
        self
    }

    /// Decides for whom a file is opened; `thread` is the thread id that FUSE
    /// reports, 0 when it is outside our pid namespace.
    ///
    /// Never fails: who cannot be identified is shown the host's file.
    pub fn open(&self, entry: &Entry, thread: u32) -> Opening {
        self.decide(entry.needs, thread).unwrap_or_else(|fault| {
            self.faults.note(&fault);
            Opening::default()
        })
    }

    fn decide(&self, needs: Needs, thread: u32) -> Result<Opening, Fault> {
        if thread == 0 {
            return Err(Fault::Unseen);
        }
        let caller = self.callers.identify(thread)?;
        let groups = scope::groups_of(&caller, &*self.layout()?)?;
        if groups.is_empty() {
            return Ok(Opening::default());
        }
        Ok(Opening {
            groups: self.containers.identify(groups).map_err(|_gone| Fault::Gone)?,
            init: match caller.pid_namespace {
                PidNamespace::Host => None,
                PidNamespace::Other(init, _) => Some(init),
            },
            boottime_offset_ns: if needs.contains(Needs::READER) {
                self.callers.boottime_offset_ns(thread)?
            } else {
                None
            },
        })
    }

    /// Replaces `out` by the text of the file as it is now.
    ///
    /// # Errors
    ///
    /// Only when the host's own file cannot be read: its error, to hand on.
    pub fn text(&self, entry: &Entry, opening: &Opening, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let host_text = self.host.text(entry.path)?;
        if !opening.groups.is_empty() {
            match self.container_text(entry, opening, &host_text) {
                Ok(text) => {
                    *out = text.into_bytes();
                    return Ok(());
                }
                Err(fault) => self.faults.note(&fault),
            }
        }
        out.extend_from_slice(host_text.as_bytes());
        Ok(())
    }

    fn container_text(
        &self,
        entry: &Entry,
        opening: &Opening,
        host_text: &Arc<str>,
    ) -> Result<String, Fault> {
        let container =
            self.containers.find(&opening.groups, &*self.layout()?).ok_or(Fault::Gone)?;
        let sample = match self.sample(entry.needs, opening, &container, host_text) {
            // A controller that was disabled and enabled again has new files.
            Err(fault) if fault.is_gone() && container.is_there() => {
                container.close();
                self.sample(entry.needs, opening, &container, host_text)
            }
            sampled => sampled,
        }?;
        let mut text = String::with_capacity(host_text.len());
        self.containers.with_history(&container, |history| {
            (entry.render)(&sample, history, &mut text);
        });
        Ok(text)
    }

    /// What the kernel says now, as far as it is needed.
    fn sample(
        &self,
        needs: Needs,
        opening: &Opening,
        container: &Container,
        host_text: &Arc<str>,
    ) -> Result<Sample, Fault> {
        let files = self.containers.files(container).ok_or(Fault::Gone)?;
        let now_ns = self.clock.now_ns().map_err(Fault::Clock)?;
        let depth = opening.init.map_or(0, |init| init.depth);
        let mut readings = files.read(needs, depth)?;
        if needs.contains(Needs::START) {
            readings.started_ns = self.started_ns(opening, container, &files)?;
        }
        if needs.contains(Needs::LOAD) {
            let load = self.sampler.load(&container.load, &files, now_ns, readings.started_ns)?;
            readings.load = Some(load);
        }
        Ok(Sample {
            now_ns,
            host_text: Arc::clone(host_text),
            host: self.host.facts(needs)?,
            container: readings,
            reader: Reader { boottime_offset_ns: opening.boottime_offset_ns },
        })
    }

    fn started_ns(
        &self,
        opening: &Opening,
        container: &Container,
        files: &ContainerFiles,
    ) -> Result<Option<u64>, Fault> {
        if let Some(init) = opening.init {
            return Ok(Some(init.started_ns));
        }
        let mut oldest_start_ns = container.oldest_start_ns.lock();
        if oldest_start_ns.is_none() {
            let ticks = files.oldest_start_ticks()?;
            *oldest_start_ns = ticks.map(|ticks| ticks.saturating_mul(self.tick_ns));
        }
        Ok(*oldest_start_ns)
    }

    fn layout(&self) -> Result<Arc<Layout>, Fault> {
        self.layout.get(|| {
            let path = self.root.join("proc/self/mountinfo");
            let text = fs::read_to_string(&path).map_err(Fault::Mounts)?;
            layout::parse(&text, &self.root)
                .map(Arc::new)
                .map_err(|error| Fault::Mounts(io::Error::other(error)))
        })
    }
}

/// Not being able to is no reason not to serve: where cgroups are not in another
/// namespace nothing is lost.
fn see_cgroups_as_the_host(proc: &Path) {
    if let Err(error) = cgroup_namespace::join_hosts(proc) {
        let error = &error as &dyn Error;
        tracing::warn!(
            error,
            "in a cgroup namespace of our own: who cannot be found in it is shown the host's files"
        );
    }
}

#[cfg(test)]
mod tests;
