//! The containers that somebody reads: their open files and what is remembered.
//!
//! A container is known by the ids of its groups. Where they are on disk was
//! seen at an open; a process that took over from another searches for them.
//!
//! Files are bounded by closing those of the container that was not read for the
//! longest time; its history stays, so that counters go on. A container is
//! forgotten when its groups are gone, which is looked for whenever the number of
//! containers has doubled.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cgroupfs::layout::Layout;
use parking_lot::{Mutex, RwLock};

use super::memory::{Memory, NoMemory};
use super::opening::{GroupIds, id_of};
use crate::config::Settings;
use crate::history::History;
use crate::readings::ContainerFiles;
use crate::sampler::LoadAverage;
use crate::scope::Groups;
use crate::shared::counters::Counters;

/// Containers before those that are gone are looked for the first time.
const FIRST_SWEEP: usize = 64;

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    ids: GroupIds,
    groups: Groups,
    files: Mutex<Option<Arc<ContainerFiles>>>,
    /// What its files showed, for the next reading.
    history: Mutex<Option<History>>,
    /// Its load averages.
    pub(super) load: Arc<LoadAverage>,
    /// When its oldest task began; looked for once, where there is no init.
    pub(super) oldest_start_ns: Mutex<Option<u64>>,
    last_read: AtomicU64,
}

/// All containers that were opened or read and still are there.
#[derive(Debug)]
pub(super) struct Containers {
    proc: PathBuf,
    settings: Settings,
    known: RwLock<Known>,
    /// Counts reads: the larger, the later.
    reads: AtomicU64,
    memory: Box<dyn Memory>,
    counters: &'static Counters,
}

#[derive(Debug, Default)]
struct Known {
    by_ids: HashMap<GroupIds, Arc<Container>>,
    ids: HashMap<Groups, GroupIds>,
}

impl Containers {
    /// No containers yet; processes are below `proc`.
    pub(super) fn new(proc: PathBuf, settings: Settings) -> Self {
        Self {
            proc,
            settings,
            known: RwLock::default(),
            reads: AtomicU64::new(0),
            memory: Box::new(NoMemory),
            counters: &super::UNWATCHED,
        }
    }

    /// The ids of the container with these groups, which is known from here on.
    ///
    /// # Errors
    ///
    /// When one of the groups is gone.
    pub(super) fn identify(&self, groups: Groups) -> io::Result<GroupIds> {
        let known = self.known.read().ids.get(&groups).copied();
        if let Some(ids) = known
            && is_still(&ids, &groups)
        {
            return Ok(ids);
        }
        let ids = GroupIds::of(&groups)?;
        self.remember(ids, groups);
        Ok(ids)
    }

    /// The container with these ids, marked as read now; `None` when it is gone.
    pub(super) fn find(&self, ids: &GroupIds, layout: &Layout) -> Option<Arc<Container>> {
        let known = self.known.read().by_ids.get(ids).cloned();
        let container = match known {
            Some(container) => container,
            None => {
                let groups = search(ids, layout)?;
                self.remember(*ids, groups)
            }
        };
        container.last_read.store(self.reads.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(container)
    }

    /// The files of `container`, open or to be opened; `None` when it is gone:
    /// under its path there may be another one by now.
    pub(super) fn files(&self, container: &Container) -> Option<Arc<ContainerFiles>> {
        if let Some(files) = &*container.files.lock() {
            return Some(Arc::clone(files));
        }
        if !container.is_there() {
            return None;
        }
        self.close_beyond_bound();
        let window = self.settings.memory_stat_sharing;
        let new = || Arc::new(ContainerFiles::new(&self.proc, &container.groups, window));
        Some(Arc::clone(container.files.lock().get_or_insert_with(new)))
    }

    fn remember(&self, ids: GroupIds, groups: Groups) -> Arc<Container> {
        let mut known = self.known.write();
        let container = known.remember(ids, groups);
        self.counters.containers.set(known.by_ids.len() as u64);
        container
    }

    /// From now on it is told to `counters` how many there are.
    pub(super) fn set_counters(&mut self, counters: &'static Counters) {
        self.counters = counters;
    }

    /// From now on histories are kept in `memory` too.
    pub(super) fn set_memory(&mut self, memory: Box<dyn Memory>) {
        self.memory = memory;
    }

    /// Lets `step` look at the history of `container` and take it further.
    pub(super) fn with_history<R>(
        &self,
        container: &Container,
        step: impl FnOnce(&mut History) -> R,
    ) -> R {
        let name = container.ids.name();
        let mut history = container.history.lock();
        let before = history.or_else(|| self.memory.recall(name)).unwrap_or_default();
        let mut after = before;
        let result = step(&mut after);
        *history = Some(after);
        if after != before {
            self.memory.remember(name, &after);
        }
        result
    }

    /// How many containers have their files open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.known.read().open().count()
    }

    /// Makes room for the files of one more container.
    fn close_beyond_bound(&self) {
        let known = self.known.read();
        let mut open: Vec<_> = known.open().collect();
        let excess = (open.len() + 1).saturating_sub(self.settings.kept_containers.max(1));
        open.sort_unstable_by_key(|container| container.last_read.load(Ordering::Relaxed));
        open.into_iter().take(excess).for_each(|container| container.close());
    }
}

impl Container {
    fn new(ids: GroupIds, groups: Groups) -> Self {
        Self {
            ids,
            groups,
            files: Mutex::default(),
            history: Mutex::default(),
            load: Arc::default(),
            oldest_start_ns: Mutex::default(),
            last_read: AtomicU64::new(0),
        }
    }

    /// Closes its files; the next reading opens them again.
    pub(super) fn close(&self) {
        *self.files.lock() = None;
    }

    /// True while its groups are there, not just others of the same name.
    pub(super) fn is_there(&self) -> bool {
        is_still(&self.ids, &self.groups)
    }
}

impl Known {
    /// The containers whose files are open.
    fn open(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.by_ids.values().filter(|container| container.files.lock().is_some())
    }

    fn remember(&mut self, ids: GroupIds, groups: Groups) -> Arc<Container> {
        if self.by_ids.len() >= FIRST_SWEEP && self.by_ids.len().is_power_of_two() {
            self.by_ids.retain(|_, container| container.is_there());
            self.ids.retain(|_, ids| self.by_ids.contains_key(ids));
        }
        self.ids.insert(groups.clone(), ids);
        Arc::clone(self.by_ids.entry(ids).or_insert_with(|| Arc::new(Container::new(ids, groups))))
    }
}

/// True when the first of `groups` is the one that `ids` names: the groups of a
/// container are made and removed together.
fn is_still(ids: &GroupIds, groups: &Groups) -> bool {
    let Some((controller, _, id)) = ids.iter().next() else { return false };
    groups.get(&controller).is_some_and(|group| id_of(group).is_ok_and(|found| found == id))
}

fn search(ids: &GroupIds, layout: &Layout) -> Option<Groups> {
    ids.iter()
        .map(|(controller, version, id)| {
            Some((controller, layout.search(version, controller, id)?))
        })
        .collect()
}
