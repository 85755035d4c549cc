//! Histories of containers in the memory that outlives the worker.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::history::{History, LoadShown};
use crate::serve::Memory;
use crate::shared::Shared;
use crate::shared::histories::Place;
use crate::sys::{clock, plain};

/// The shared memory, as the server asks for it.
#[derive(Debug)]
pub(crate) struct SharedHistories {
    shared: &'static Shared,
    /// Looked up when first asked for, which is after the worker before has ended.
    places: Mutex<Option<Places>>,
}

/// Where each container's history is, and which places are free again.
#[derive(Debug)]
struct Places {
    of: HashMap<u64, Place>,
    free: Vec<Place>,
}

impl SharedHistories {
    pub(crate) fn new(shared: &'static Shared) -> Self {
        Self { shared, places: Mutex::new(None) }
    }

    fn with_places<R>(&self, look: impl FnOnce(&mut Places) -> R) -> R {
        let histories = &self.shared.histories;
        let mut places = self.places.lock();
        look(places.get_or_insert_with(|| Places {
            of: histories.remembered().map(|(container, place, _)| (container, place)).collect(),
            free: histories.free().collect(),
        }))
    }
}

impl Memory for SharedHistories {
    fn recall(&self, container: u64) -> Option<History> {
        let place = self.with_places(|places| places.of.get(&container).copied())?;
        Some(plain::history(self.shared.histories.load(place)))
    }

    fn remember(&self, container: u64, history: &History) {
        self.with_places(|places| {
            let Places { of, free } = places;
            let place = of.get(&container).copied().unwrap_or_else(|| {
                let place = self.shared.histories.make_room(container, free.pop());
                of.retain(|_container, other| *other != place);
                of.insert(container, place);
                place
            });
            let words = plain::words(history);
            self.shared.histories.store(place, &words, clock::boottime_ns());
        });
    }

    fn forget(&self, container: u64) {
        self.with_places(|places| {
            if let Some(place) = places.of.remove(&container) {
                self.shared.histories.forget(place);
                places.free.push(place);
            }
        });
    }

    fn load_shown(&self, container: u64) -> Option<LoadShown> {
        self.shared.loads.shown(container)
    }

    fn show_load(&self, container: u64, load: &LoadShown) {
        self.shared.loads.show(container, load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::cpu_time::Reading;
    use crate::shared::histories::CONTAINERS;
    use crate::sys::shared_memory;
    use nix::sys::stat::fstat;
    use std::os::fd::AsFd;

    fn history(user_ns: u64) -> History {
        let mut history = History::default();
        history.cpu.advance(&Reading { now_ns: 9, started_ns: 1, user_ns, system_ns: 2, cpus: 2 });
        history
    }

    #[test]
    fn the_next_worker_recalls_what_was_remembered() {
        let shared = shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap();
        let memory = SharedHistories::new(shared);
        assert_eq!(memory.recall(7), None);
        memory.remember(7, &history(100));
        memory.remember(8, &history(50));
        memory.remember(7, &history(200));
        let memory = SharedHistories::new(shared);
        assert_eq!(memory.recall(7), Some(history(200)));
        assert_eq!(memory.recall(8), Some(history(50)));
        assert_eq!(memory.recall(9), None);
    }

    #[test]
    fn the_place_of_a_container_that_is_gone_is_used_again() {
        let shared = shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap();
        let memory = SharedHistories::new(shared);
        (7..10).for_each(|container| memory.remember(container, &history(container)));
        memory.forget(8);
        memory.forget(8);
        assert_eq!(memory.recall(8), None);
        let successor = SharedHistories::new(shared);
        successor.remember(10, &history(10));
        assert_eq!(shared.histories.remembered().count(), 3);
        assert_eq!(shared.histories.free().count(), 0);
        for container in [7, 9, 10] {
            assert_eq!(successor.recall(container), Some(history(container)));
        }
    }

    /// Of the room for sixteen sizes no page is there before a container has had three.
    #[test]
    fn a_history_takes_the_memory_that_it_needs() {
        let memfd = shared_memory::create().unwrap();
        let shared = shared_memory::map(memfd.as_fd()).unwrap();
        let memory = SharedHistories::new(shared);
        let pages = || fstat(&memfd).unwrap().st_blocks * 512 / 4096;
        (1..=1000).for_each(|container| memory.remember(container, &history(container)));
        let usual = pages();
        assert!(usual <= 1000 * 328 / 4096 + 2, "{usual} pages");
        let mut resized = history(7);
        for cpus in 1..=16 {
            let now_ns = 100 + u64::from(cpus);
            let reading = Reading { now_ns, started_ns: 1, user_ns: now_ns, system_ns: 2, cpus };
            resized.cpu.advance(&reading);
            memory.remember(7, &resized);
            assert_eq!(memory.recall(7), Some(resized));
        }
        memory.remember(7, &history(8));
        assert_eq!(SharedHistories::new(shared).recall(7), Some(history(8)));
        assert!((1..=2).contains(&(pages() - usual)), "{} pages beside {usual}", pages());
    }

    #[test]
    fn a_full_memory_forgets_who_was_idle_longest() {
        let shared = shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap();
        let memory = SharedHistories::new(shared);
        let count = CONTAINERS as u64;
        for container in 1..=count {
            memory.remember(container, &history(container));
        }
        memory.remember(1, &history(1)); // not idle any more
        memory.remember(count + 1, &history(5));
        assert_eq!(memory.recall(2), None);
        assert_eq!(memory.recall(1), Some(history(1)));
        assert_eq!(memory.recall(count + 1), Some(history(5)));
        assert_eq!(SharedHistories::new(shared).recall(count), Some(history(count)));
    }
}
