//! The containers that somebody reads: their open files and what is remembered.
//!
//! A container is known by the ids of its groups. Where they are on disk was
//! seen at an open; a process that took over from another searches for them.
//!
//! Files are bounded by closing those of the container that was not read for the
//! longest time; its history stays, so that counters go on. A container is
//! forgotten, and its history with it, when its groups are gone. That is looked for
//! whenever there is a quarter more of them, and once a minute while somebody reads.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cgroupfs::group::Group;
use cgroupfs::layout::Layout;
use cgroupfs::presence::Presence;
use parking_lot::{Mutex, RwLock};

use super::kept_history::KeptHistory;
use super::lost_groups;
use super::memory::{Memory, NoMemory};
use super::opening::{GroupIds, id_of};
use crate::config::Settings;
use crate::history::{History, LoadShown};
use crate::moment::{Seen, Waited};
use crate::readings::ContainerFiles;
use crate::sampler::LoadAverage;
use crate::scope::Groups;
use crate::shared::counters::Counters;

/// Containers before those that are gone are looked for the first time.
const FIRST_SWEEP: usize = 64;

/// One part in so many of the containers may be gone before that is looked for again: each
/// new one then pays for a look at four, a microsecond each.
const GONE_SHARE: usize = 4;

/// One part in so many of the containers that may have open files loses them when there are
/// too many: those that were not read for the longest time.
const ROOM_SHARE: usize = 8;

/// One container.
#[derive(Debug)]
pub(super) struct Container {
    /// What names it.
    pub(super) ids: GroupIds,
    groups: Arc<Groups>,
    open: Mutex<Option<Open>>,
    /// What its files showed, for the next reading.
    history: Mutex<KeptHistory>,
    /// Its load averages.
    pub(super) load: Arc<LoadAverage>,
    /// When its oldest task began; looked for once, where there is no init.
    pub(super) oldest_start_ns: Mutex<Option<u64>>,
    last_read: AtomicU64,
    seen: Seen,
}

/// What is open of a container.
#[derive(Debug)]
struct Open {
    files: Arc<ContainerFiles>,
    /// Its sign of life, for who asks again; `None` where the kernel's groups have none.
    presence: OnceLock<Option<Presence>>,
}

/// All containers that were opened or read and still are there.
#[derive(Debug)]
pub(super) struct Containers {
    proc: PathBuf,
    settings: Settings,
    known: RwLock<Known>,
    /// Counts reads: the larger, the later.
    reads: AtomicU64,
    /// How many there had been when idle containers were last looked for.
    reads_before: AtomicU64,
    memory: Box<dyn Memory>,
    counters: &'static Counters,
    /// No more of them have open files: it is not noted when one closes them.
    at_most_open: Mutex<usize>,
}

/// A container in a set, found by its ids, which are long and in it already.
#[derive(Debug)]
struct ById(Arc<Container>);

#[derive(Debug)]
struct Known {
    by_ids: HashSet<ById>,
    /// Several may lead to one: groups can be renamed.
    by_groups: HashMap<Arc<Groups>, Arc<Container>>,
    /// How many there may be before those that are gone are looked for.
    sweep_at: usize,
}

impl Containers {
    /// No containers yet; processes are below `proc`.
    pub(super) fn new(proc: PathBuf, settings: Settings) -> Self {
        Self {
            proc,
            settings,
            known: RwLock::new(Known::new()),
            reads: AtomicU64::new(0),
            reads_before: AtomicU64::new(0),
            memory: Box::new(NoMemory),
            counters: &super::UNWATCHED,
            at_most_open: Mutex::default(),
        }
    }

    /// The container with these groups, which is known from here on.
    ///
    /// # Errors
    ///
    /// When one of the groups is gone.
    pub(super) fn identify(&self, groups: Groups) -> io::Result<Arc<Container>> {
        let known = self.known.read().with(&groups);
        if let Some(container) = known
            && container.is_there()
        {
            return Ok(container);
        }
        let ids = GroupIds::of(&groups)?;
        Ok(self.remember(ids, groups))
    }

    /// The container with these ids, marked as read now; `None` when it is gone.
    pub(super) fn find(&self, ids: &GroupIds, layout: &Layout) -> Option<Arc<Container>> {
        let known = self.known.read().by_ids.get(ids).map(ById::container);
        let container = match known {
            Some(container) => container,
            None => {
                let groups = lost_groups::find(ids, layout)?;
                self.remember(*ids, groups)
            }
        };
        container.last_read.store(self.reads.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(container)
    }

    /// The files of `container`, open or to be opened; `None` when it is gone:
    /// under its path there may be another one by now.
    pub(super) fn files(&self, container: &Container) -> Option<Arc<ContainerFiles>> {
        if let Some(open) = &*container.open.lock() {
            return Some(Arc::clone(&open.files));
        }
        if !container.is_there() {
            return None;
        }
        self.close_beyond_bound();
        let window = self.settings.memory_stat_sharing;
        let files = Arc::new(ContainerFiles::new(&self.proc, &container.groups, window));
        let new = || Open { files, presence: OnceLock::new() };
        Some(Arc::clone(&container.open.lock().get_or_insert_with(new).files))
    }

    fn remember(&self, ids: GroupIds, groups: Groups) -> Arc<Container> {
        let mut known = self.known.write();
        let container = known.remember(ids, Arc::new(groups));
        self.counters.containers.set(known.by_ids.len() as u64);
        let is_due = known.by_ids.len() >= known.sweep_at;
        if is_due {
            // Nobody else has to look meanwhile.
            known.sweep_at = usize::MAX;
        }
        drop(known);
        if is_due {
            self.forget_gone();
        }
        container
    }

    /// Forgets the containers whose groups were removed. They are looked for while others
    /// read.
    pub(super) fn forget_gone(&self) {
        let all: Vec<_> = self.known.read().by_ids.iter().map(ById::container).collect();
        let gone: Vec<_> = all.into_iter().filter(|container| container.is_gone()).collect();
        let mut known = self.known.write();
        known.forget(&gone);
        self.counters.containers.set(known.by_ids.len() as u64);
        drop(known);
        for container in gone {
            container.close();
            self.memory.forget(container.ids.name());
        }
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
        let mut kept = container.history.lock();
        let known = kept.get().or_else(|| self.memory.recall(name));
        let mut history = known.unwrap_or_default();
        let result = step(&mut history);
        if known != Some(history) {
            kept.set(&history);
        }
        if known.unwrap_or_default() != history {
            self.memory.remember(name, &history);
        }
        result
    }

    /// Lets `step` look at the load averages of `container` that were shown last, and take
    /// them further.
    pub(super) fn with_load<R>(
        &self,
        container: &Container,
        step: impl FnOnce(&mut LoadShown) -> R,
    ) -> R {
        let name = container.ids.name();
        self.with_history(container, |history| {
            let shown = self.memory.load_shown(name);
            if let Some(shown) = shown.filter(|shown| shown.at_ns >= history.load.at_ns) {
                history.load = shown;
            }
            let result = step(&mut history.load);
            self.memory.show_load(name, &history.load);
            result
        })
    }

    /// How many containers are known.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.known.read().by_ids.len()
    }

    /// How many containers have their files open.
    #[cfg(test)]
    pub(super) fn open_files(&self) -> usize {
        self.known.read().open().count()
    }

    /// Closes the files of containers that were not read since the last time; true while
    /// others are open.
    pub(super) fn close_idle(&self) -> bool {
        let before = self.reads_before.swap(self.reads.load(Ordering::Relaxed), Ordering::Relaxed);
        let known = self.known.read();
        let is_idle =
            |container: &&Arc<Container>| container.last_read.load(Ordering::Relaxed) < before;
        let (idle, read): (Vec<_>, Vec<_>) = known.open().partition(is_idle);
        idle.into_iter().for_each(|container| container.close());
        !read.is_empty()
    }

    /// Makes room for the files of one more container; for more of them at once, so that not
    /// each one pays for a look at all.
    fn close_beyond_bound(&self) {
        let most = self.settings.kept_containers.max(1);
        let mut at_most_open = self.at_most_open.lock();
        *at_most_open += 1;
        if *at_most_open <= most {
            return;
        }
        let known = self.known.read();
        let mut open: Vec<_> = known.open().collect();
        *at_most_open = open.len() + 1;
        if let Some(excess) = at_most_open.checked_sub(most).filter(|excess| *excess > 0) {
            open.sort_unstable_by_key(|container| container.last_read.load(Ordering::Relaxed));
            open.truncate(excess + most / ROOM_SHARE);
            *at_most_open -= open.len();
            open.into_iter().for_each(|container| container.close());
        }
    }
}

impl Container {
    fn new(ids: GroupIds, groups: Arc<Groups>) -> Self {
        Self {
            ids,
            groups,
            open: Mutex::default(),
            history: Mutex::default(),
            load: Arc::default(),
            oldest_start_ns: Mutex::default(),
            last_read: AtomicU64::new(0),
            seen: Seen::default(),
        }
    }

    /// Closes its files; the next reading opens them again.
    pub(super) fn close(&self) {
        let closed = self.open.lock().take();
        drop(closed);
    }

    /// True while its groups are there, not just others of the same name. One stands
    /// for all: they are made and removed together.
    pub(super) fn is_there(&self) -> bool {
        if let Some(open) = &*self.open.lock()
            && let Some(presence) = open.presence.get_or_init(|| self.presence())
        {
            return presence.lasts();
        }
        self.first_group().is_some_and(|(group, id)| id_of(group).is_ok_and(|found| found == id))
    }

    /// The same; for a request that has waited, that it was there since does as well.
    pub(super) fn was_there(&self, asked: Option<Waited>) -> bool {
        self.seen.or_look(asked, || self.is_there())
    }

    /// True when it can be told that its groups were removed: an error may be anybody's.
    fn is_gone(&self) -> bool {
        self.first_group().is_none_or(|(group, id)| match id_of(group) {
            Ok(found) => found != id,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        })
    }

    /// A sign of life of it; `None` when it is gone, and in a captured machine.
    fn presence(&self) -> Option<Presence> {
        let (group, id) = self.first_group()?;
        Presence::of(group, id).ok()
    }

    fn first_group(&self) -> Option<(&Group, u64)> {
        let (controller, _version, id) = self.ids.iter().next()?;
        Some((self.groups.get(controller)?, id))
    }
}

impl ById {
    fn container(&self) -> Arc<Container> {
        Arc::clone(&self.0)
    }
}

impl Borrow<GroupIds> for ById {
    fn borrow(&self) -> &GroupIds {
        &self.0.ids
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.ids.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.ids == other.0.ids
    }
}

impl Eq for ById {}

impl Known {
    fn new() -> Self {
        Self { by_ids: HashSet::new(), by_groups: HashMap::new(), sweep_at: FIRST_SWEEP }
    }

    /// The containers whose files are open.
    fn open(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.by_ids.iter().map(|ById(it)| it).filter(|container| container.open.lock().is_some())
    }

    fn with(&self, groups: &Groups) -> Option<Arc<Container>> {
        self.by_groups.get(groups).cloned()
    }

    fn remember(&mut self, ids: GroupIds, groups: Arc<Groups>) -> Arc<Container> {
        let known = self.by_ids.get(&ids).map(ById::container);
        let container = known.unwrap_or_else(|| {
            let container = Arc::new(Container::new(ids, Arc::clone(&groups)));
            self.by_ids.insert(ById(Arc::clone(&container)));
            container
        });
        self.by_groups.insert(groups, Arc::clone(&container));
        container
    }

    fn forget(&mut self, gone: &[Arc<Container>]) {
        for container in gone {
            self.by_ids.remove(&container.ids);
        }
        self.by_groups.retain(|_, container| self.by_ids.contains(&container.ids));
        let left = self.by_ids.len();
        self.sweep_at = FIRST_SWEEP.max(left + left / GONE_SHARE);
    }
}
