//! Load averages as they were shown last, of containers by name.
//!
//! Two processes show them: the worker in a file, and whoever answers `sysinfo(2)`. Each
//! samples for itself and goes on from here when the other was as far as it is, so that
//! both tell the same.
//!
//! Both write, without a lock, as either may be killed at any instant. So a check word
//! tells an entry that somebody has not written to its end, or two have written at once:
//! that is none, and the next who shows a load writes another one.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::history::LoadShown;

/// Containers whose load is kept; as many as have a history.
pub const CONTAINERS: usize = super::histories::CONTAINERS;

/// Places at which a container may be, from its own on.
const WINDOW: usize = 8;

/// All containers.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Loads([Entry; CONTAINERS]);

#[derive(Debug)]
#[repr(C)]
struct Entry {
    container: AtomicU64,
    averages: [AtomicU64; 3],
    at_ns: AtomicU64,
    used_ns: AtomicU64,
    check: AtomicU64,
}

impl Loads {
    /// What was shown last of `container`; `None` when it is not known.
    pub fn shown(&self, container: u64) -> Option<LoadShown> {
        self.places(container).find_map(|entry| entry.load(container))
    }

    /// Notes what is shown of `container`, in the place of whoever was not asked for the
    /// longest time where there is no other.
    pub fn show(&self, container: u64, load: &LoadShown) {
        let name = |entry: &&Entry| entry.container.load(SeqCst);
        let own = self.places(container).find(|entry| name(entry) == container);
        let oldest = || self.places(container).min_by_key(|entry| entry.at_ns.load(SeqCst));
        if let Some(entry) = own.or_else(oldest) {
            entry.store(container, load);
        }
    }

    fn places(&self, container: u64) -> impl Iterator<Item = &Entry> {
        // Names are numbers that the kernel counts up: neighbours are far apart here.
        let spread = container.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let first = usize::try_from(spread).unwrap_or(0) % CONTAINERS;
        self.0.iter().cycle().skip(first).take(WINDOW)
    }
}

impl Entry {
    fn load(&self, container: u64) -> Option<LoadShown> {
        let load = LoadShown {
            averages: self.averages.each_ref().map(|word| word.load(SeqCst)),
            at_ns: self.at_ns.load(SeqCst),
            used_ns: self.used_ns.load(SeqCst),
        };
        let is_whole = self.check.load(SeqCst) == check(container, &load);
        (container != 0 && self.container.load(SeqCst) == container && is_whole).then_some(load)
    }

    fn store(&self, container: u64, load: &LoadShown) {
        self.container.store(container, SeqCst);
        for (word, average) in self.averages.iter().zip(load.averages) {
            word.store(average, SeqCst);
        }
        self.at_ns.store(load.at_ns, SeqCst);
        self.used_ns.store(load.used_ns, SeqCst);
        self.check.store(check(container, load), SeqCst);
    }
}

/// A number that is another one for any other words.
fn check(container: u64, load: &LoadShown) -> u64 {
    let LoadShown { averages: [one, five, fifteen], at_ns, used_ns } = *load;
    let mix =
        |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    [container, one, five, fifteen, at_ns, used_ns].into_iter().fold(1, mix)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::shared_memory;

    fn loads() -> &'static Loads {
        &shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap().loads
    }

    fn load(number: u64) -> LoadShown {
        LoadShown { averages: [number, number + 1, number + 2], at_ns: number, used_ns: 7 }
    }

    #[test]
    fn what_was_shown_last_is_told() {
        let loads = loads();
        assert_eq!((loads.shown(0), loads.shown(7)), (None, None));
        loads.show(7, &load(10));
        loads.show(8, &load(20));
        loads.show(7, &load(30));
        assert_eq!((loads.shown(7), loads.shown(8)), (Some(load(30)), Some(load(20))));
        assert_eq!(loads.shown(9), None);
    }

    #[test]
    fn one_whose_writer_was_killed_is_none() {
        let loads = loads();
        loads.show(7, &load(10));
        let entry = loads.places(7).find(|entry| entry.container.load(SeqCst) == 7).unwrap();
        entry.averages[1].store(99, SeqCst);
        assert_eq!(loads.shown(7), None);
        loads.show(7, &load(11));
        assert_eq!(loads.shown(7), Some(load(11)));
        // Another container came, and its writer got no further.
        entry.container.store(8, SeqCst);
        assert_eq!((loads.shown(7), loads.shown(8)), (None, None));
    }

    #[test]
    fn where_there_is_no_room_the_oldest_goes() {
        let loads = loads();
        let count = 4 * CONTAINERS as u64;
        (1..=count).for_each(|container| loads.show(container, &load(container)));
        assert_eq!(loads.shown(count), Some(load(count)));
        let kept = (1..=count).filter(|container| loads.shown(*container).is_some()).count();
        assert!(kept > CONTAINERS * 9 / 10 && kept <= CONTAINERS, "{kept}");
    }
}
