//! Decisions about tasks that ask again, as `top` does every second.
//!
//! Finding out for whom a file is opened means opening files about the task and
//! its pid namespace. A decision is kept together with what it was made from, each
//! of which is looked at again, by one read, before the decision counts: a task that
//! was moved, or a group that was removed and made again, is decided on anew.
//!
//! So many are kept as the settings allow; whoever asked last stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cgroupfs::layout::Layout;
use parking_lot::Mutex;

use super::Asker;
use super::containers::Container;
use super::opening::Opening;
use crate::caller::{Evidence, KnownInit};
use crate::moment::Waited;

/// What was decided about a task.
#[derive(Debug)]
pub(super) struct Decision {
    /// For whom its files are, but for its time namespace, which may change, and for its
    /// init, about which few files say anything.
    pub(super) opening: Opening,
    /// Its container; `None` for the host.
    pub(super) container: Option<Arc<Container>>,
    /// The first process of its pid namespace; `None` in the host's, and for the host.
    pub(super) init: Option<Arc<KnownInit>>,
    /// What it was made from: the task's groups and its init's,
    pub(super) evidence: Evidence,
    /// and where hierarchies are mounted.
    pub(super) layout: Arc<Layout>,
    /// A time namespace in which the task was, and what that adds.
    pub(super) time: Mutex<Option<(u64, i64)>>,
    last_asked: AtomicU64,
}

/// Decisions about the tasks that asked last.
#[derive(Debug)]
pub(super) struct Decisions {
    /// How many are kept, with one open file each.
    most: usize,
    by_task: Mutex<HashMap<u32, Arc<Decision>>>,
    /// Counts questions: the larger, the later.
    asked: AtomicU64,
    /// How many there had been when idle ones were last looked for.
    asked_before: AtomicU64,
}

impl Decision {
    pub(super) fn new(
        opening: Opening,
        (container, init): (Option<Arc<Container>>, Option<Arc<KnownInit>>),
        evidence: Evidence,
        layout: Arc<Layout>,
    ) -> Self {
        let (time, last_asked) = (Mutex::default(), AtomicU64::default());
        Self { opening, container, init, evidence, layout, time, last_asked }
    }

    fn holds(&self, layout: &Arc<Layout>, asked: Option<Waited>) -> bool {
        (Arc::ptr_eq(&self.layout, layout) || self.layout == *layout)
            && self.evidence.holds(asked)
            && self.container.as_ref().is_none_or(|container| container.was_there(asked))
    }
}

impl Decisions {
    /// None yet; at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            by_task: Mutex::default(),
            asked: AtomicU64::default(),
            asked_before: AtomicU64::default(),
        }
    }

    /// What was decided about a task, if that still holds or, for one that has waited, did
    /// since it asked.
    pub(super) fn find(&self, asker: Asker, layout: &Arc<Layout>) -> Option<Arc<Decision>> {
        let found = self.by_task.lock().get(&asker.thread).cloned()?;
        self.mark(&found);
        found.holds(layout, asker.waited).then_some(found)
    }

    /// Keeps what was decided about the task `id`.
    pub(super) fn keep(&self, id: u32, decision: Decision) -> Arc<Decision> {
        let decision = Arc::new(decision);
        self.mark(&decision);
        let mut by_task = self.by_task.lock();
        let mut forgotten = Vec::new();
        if by_task.len() >= self.most {
            forgotten = forget_older_half(&mut by_task);
        }
        forgotten.extend(by_task.insert(id, Arc::clone(&decision)));
        drop(by_task);
        // Closing their files takes a while, and nobody has to wait for it.
        drop(forgotten);
        decision
    }

    /// Forgets those that were not asked for since the last time; true while there are
    /// others.
    pub(super) fn forget_idle(&self) -> bool {
        let before = self.asked_before.swap(self.asked.load(Ordering::Relaxed), Ordering::Relaxed);
        let mut by_task = self.by_task.lock();
        let is_idle = |decision: &Decision| decision.last_asked.load(Ordering::Relaxed) < before;
        let idle: Vec<_> = by_task.extract_if(|_id, decision| is_idle(decision)).collect();
        let is_any_left = !by_task.is_empty();
        drop(by_task);
        drop(idle);
        is_any_left
    }

    fn mark(&self, decision: &Decision) {
        decision.last_asked.store(self.asked.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn forget_older_half(by_task: &mut HashMap<u32, Arc<Decision>>) -> Vec<Arc<Decision>> {
    let asked = |decision: &Arc<Decision>| decision.last_asked.load(Ordering::Relaxed);
    let mut times: Vec<u64> = by_task.values().map(asked).collect();
    let (_older, middle, _newer) = times.select_nth_unstable(by_task.len() / 2);
    let middle = *middle;
    by_task.extract_if(|_id, decision| asked(decision) < middle).map(|(_id, old)| old).collect()
}
