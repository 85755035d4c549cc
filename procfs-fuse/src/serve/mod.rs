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

mod binding;
mod calls;
mod containers;
mod decisions;
mod faults;
mod files;
mod kept_history;
mod lost_groups;
mod memory;
mod mounted;
mod names;
mod numbers;
mod opening;
mod own_files;
mod rest;

pub use binding::BindError;
pub use files::{File, Kind, Listed, list, mounts};
pub use memory::Memory;
pub use names::{Found, Names, Walk, plain_paths};
pub use numbers::{Numbered, Numbers, path_of};
pub use opening::{GroupIds, OPENING_WORDS, Opening};
pub use own_files::own_files;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cgroupfs::layout::Layout;

use crate::caller::{Callers, Identified, TaskError, cgroup_namespace};
use crate::config::Settings;
use crate::moment::Waited;
use crate::readings::{
    ActivityFiles, Clock, HostFiles, HostText, Load, Needs, Reader, Sample, ticks_per_second,
};
use crate::sampler::Sampler;
use crate::scope;
use crate::shared::counters::Counters;
use crate::view;
use containers::{Container, Containers};
use decisions::{Decision, Decisions};
use faults::{Fault, Faults};
use mounted::Mounted;
use rest::Activity;

/// Where a server counts that nobody watches.
static UNWATCHED: Counters = Counters::new();

/// Whose numbers a text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The container's.
    Container,
    /// The host's, to a reader of the host.
    Host,
    /// The host's, because the container's could not be told.
    HostInstead,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The thread id that FUSE reports, 0 when it is outside our pid namespace.
    pub thread: u32,
    /// For how long it has waited, if it has.
    pub waited: Option<Waited>,
}

impl From<u32> for Asker {
    /// A thread that is answered at once.
    fn from(thread: u32) -> Self {
        Self { thread, waited: None }
    }
}

const NS_PER_SEC: u64 = 1_000_000_000;

/// Answers opens and reads for every container; one per process, shared by all
/// threads.
#[derive(Debug)]
pub struct Server {
    root: PathBuf,
    clock: Clock,
    tick_ns: u64,
    callers: Callers,
    decisions: Decisions,
    activity: Activity,
    mounted: Mounted,
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
            decisions: Decisions::new(settings.kept_readers),
            activity: Activity::default(),
            mounted: Mounted::new(&root),
            host: HostFiles::new(&root, settings.host_sharing),
            sampler: Sampler::new(clock.clone()),
            containers: Containers::new(proc, settings),
            faults: Faults::told_to(&UNWATCHED),
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

    /// The same, counting for whoever watches.
    #[must_use]
    pub fn counted_by(mut self, counters: &'static Counters) -> Self {
        self.faults = Faults::told_to(counters);
        self.containers.set_counters(counters);
        self
    }

    /// Reads what nearly every answer needs, so that the first one takes no longer than
    /// others. Whatever fails here is told by the read that needs it.
    pub fn warm_up(&self) {
        let _told_later = self.layout();
        let _told_later = self.host.facts(Needs::MEMORY | Needs::CPU_LIMITS);
    }

    /// Decides for whom `file` is opened, or who looks where there is none.
    ///
    /// Never fails: who cannot be identified is shown the host's file.
    pub fn open(&self, file: Option<File<'_>>, asker: impl Into<Asker>) -> Opening {
        self.activity.note();
        let needs = file.map_or(Needs::empty(), |file| file.entry.needs);
        self.decide(needs, asker.into()).unwrap_or_else(|fault| {
            self.faults.note(&fault);
            Opening::default()
        })
    }

    fn decide(&self, needs: Needs, asker: Asker) -> Result<Opening, Fault> {
        let thread = asker.thread;
        if thread == 0 {
            return Err(Fault::Unseen);
        }
        let layout = self.layout()?;
        let decision = match self.decisions.find(asker, &layout) {
            Some(decision) => decision,
            None => self.decisions.keep(thread, self.look_at(thread, layout)?),
        };
        let mut opening = decision.opening;
        if needs.intersects(Needs::TASKS | Needs::START)
            && let Some(init) = &decision.init
        {
            opening.init = Some(init.init()?);
        }
        if needs.contains(Needs::READER) && !opening.groups.is_empty() {
            opening.boottime_offset_ns = self.boottime_offset_ns(thread, &decision)?;
        }
        Ok(opening)
    }

    fn look_at(&self, thread: u32, layout: Arc<Layout>) -> Result<Decision, Fault> {
        let Identified { caller, init, evidence } = self.callers.identify(thread)?;
        let groups = scope::groups_of(&caller, &layout)?;
        if groups.is_empty() {
            return Ok(Decision::new(Opening::default(), (None, None), evidence, layout));
        }
        let container = self.containers.identify(groups).map_err(|_gone| Fault::Gone)?;
        let opening = Opening { groups: container.ids, ..Opening::default() };
        Ok(Decision::new(opening, (Some(container), init), evidence, layout))
    }

    /// What the time namespace of `thread` adds; that of one namespace never changes.
    fn boottime_offset_ns(&self, thread: u32, decision: &Decision) -> Result<Option<i64>, Fault> {
        let Some(namespace) = self.callers.time_namespace(thread)? else { return Ok(None) };
        let mut known = decision.time.lock();
        match *known {
            Some((number, offset)) if number == namespace => return Ok(Some(offset)),
            _another => {}
        }
        let offset = self.callers.boottime_offset_ns(thread)?;
        *known = offset.map(|offset| (namespace, offset));
        Ok(offset)
    }

    /// What numbers of these mean now to whom was decided on.
    ///
    /// Never fails: where it cannot be told they are the host's.
    pub fn numbers(&self, numbered: Numbered, opening: &Opening) -> Numbers {
        if opening.groups.is_empty() {
            return Numbers::Hosts;
        }
        match self.container_sample(needs_of(numbered), opening, None) {
            Ok((_container, sample)) => self.numbers_in(numbered, &sample),
            Err(fault) => {
                self.faults.note(&fault);
                Numbers::Hosts
            }
        }
    }

    fn numbers_in(&self, numbered: Numbered, sample: &Sample) -> Numbers {
        let blocks_of = |memory| {
            let bytes = view::memory::sizes(memory, &sample.host.memory).total;
            Numbers::of_memory_blocks(&self.root, bytes)
        };
        match numbered {
            Numbered::Cpu => Numbers::Cpus(view::cpu::visible(sample).physical),
            Numbered::MemoryBlock => {
                sample.container.memory.as_ref().and_then(blocks_of).unwrap_or(Numbers::Hosts)
            }
        }
    }

    /// Replaces `out` by the text of the file as it is now, and says whose it is.
    ///
    /// # Errors
    ///
    /// Only when the host's own file cannot be read: its error, to hand on.
    /// `ENODEV` is that of a CPU, or a block of memory, which was taken away since the
    /// file was opened.
    pub fn text(&self, file: File<'_>, opening: &Opening, out: &mut Vec<u8>) -> io::Result<Shown> {
        out.clear();
        let mut shown = Shown::Host;
        if !opening.groups.is_empty() {
            match self.container_text(file, opening, out) {
                Ok(()) => return Ok(Shown::Container),
                Err(Fault::Host(error)) => return Err(error),
                Err(fault) => self.faults.note(&fault),
            }
            shown = Shown::HostInstead;
        }
        out.extend_from_slice(self.host_text(file, file.which)?.as_bytes());
        Ok(shown)
    }

    /// The host's text, of its CPU or block `physical` if the file is about one.
    fn host_text(&self, file: File<'_>, physical: Option<u32>) -> io::Result<HostText> {
        match physical {
            Some(physical) => self.host.text_anew(&path_of(file.path, physical)),
            None => self.host.text(file.path),
        }
    }

    /// Writes the container's text to `out`, which is empty.
    fn container_text(
        &self,
        file: File<'_>,
        opening: &Opening,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let numbered = file.numbered();
        let needs = numbered.map_or(Needs::empty(), needs_of).union(file.entry.needs);
        let (container, sample) = self.container_sample(needs, opening, Some(file))?;
        // The room that it has is used again.
        let mut text = String::from_utf8(std::mem::take(out)).unwrap_or_default();
        text.reserve(sample.host_text.len());
        self.containers.with_history(&container, |history| {
            (file.entry.render)(&sample, history, &mut text);
        });
        *out = text.into_bytes();
        Ok(())
    }

    /// The container that was decided on, and what the kernel says of it now.
    fn container_sample(
        &self,
        needs: Needs,
        opening: &Opening,
        file: Option<File<'_>>,
    ) -> Result<(Arc<Container>, Sample), Fault> {
        self.activity.note();
        let container =
            self.containers.find(&opening.groups, &*self.layout()?).ok_or(Fault::Gone)?;
        let sample = match self.sample(needs, opening, &container, file) {
            // A controller that was disabled and enabled again has new files.
            Err(fault) if fault.is_gone() && container.is_there() => {
                container.close();
                self.sample(needs, opening, &container, file)
            }
            sampled => sampled,
        }?;
        Ok((container, sample))
    }

    /// What the kernel says now, as far as it is needed.
    fn sample(
        &self,
        needs: Needs,
        opening: &Opening,
        container: &Container,
        file: Option<File<'_>>,
    ) -> Result<Sample, Fault> {
        let host_text = match file.filter(|file| file.which.is_none()) {
            Some(file) => self.host_text(file, None).map_err(Fault::Host)?,
            None => HostText::default(),
        };
        let files = self.containers.files(container).ok_or(Fault::Gone)?;
        let mut host = self.host.facts(needs)?;
        // Where the host has no swap, no container has any, whatever its limit.
        let needs = if host.memory.swap_total > 0 { needs | Needs::SWAP } else { needs };
        let now_ns = self.clock.now_ns().map_err(Fault::Clock)?;
        let depth = opening.init.map_or(0, |init| init.depth);
        let mut readings = files.read(needs, depth)?;
        if needs.contains(Needs::START) {
            readings.started_ns = self.started_ns(opening, container, files.activity())?;
        }
        if needs.contains(Needs::DEVICE) {
            host.device = file.and_then(|file| self.host.device(file.path));
        }
        if needs.contains(Needs::LOAD) {
            let cpus = host.online.count() as u64;
            readings.load =
                Some(self.load(container, files.activity(), now_ns, readings.started_ns, cpus)?);
        }
        let reader = Reader { boottime_offset_ns: opening.boottime_offset_ns };
        let mut sample = Sample { now_ns, host_text, host, container: readings, reader };
        if let Some((file, which)) = file.and_then(|file| Some((file, file.which?))) {
            let numbered = file.numbered();
            let numbers = numbered.map_or(Numbers::Hosts, |it| self.numbers_in(it, &sample));
            let taken_away = || io::Error::from_raw_os_error(libc::ENODEV);
            let physical = numbers.physical(which).ok_or_else(taken_away).map_err(Fault::Host)?;
            sample.host_text = self.host_text(file, Some(physical)).map_err(Fault::Host)?;
        }
        Ok(sample)
    }

    fn load(
        &self,
        container: &Container,
        files: &Arc<ActivityFiles>,
        now_ns: u64,
        started_ns: Option<u64>,
        cpus: u64,
    ) -> Result<Load, Fault> {
        self.containers.with_load(container, |shown| {
            Ok(self.sampler.load(&container.load, files, now_ns, started_ns, shown, cpus)?)
        })
    }

    fn started_ns(
        &self,
        opening: &Opening,
        container: &Container,
        files: &ActivityFiles,
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
        self.mounted.layout()
    }
}

/// What must be read to tell how many of these a container has.
fn needs_of(numbered: Numbered) -> Needs {
    match numbered {
        Numbered::Cpu => Needs::CPU_LIMITS,
        Numbered::MemoryBlock => Needs::MEMORY,
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
