//! What is remembered about containers, so that no counter steps back when a
//! worker dies.
//!
//! Each container has two copies; the one that is not shown is written, then
//! they change places. A worker killed in the middle leaves the old copy.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Containers remembered at once. Beyond it the one not asked for the longest
/// time is forgotten.
pub const CONTAINERS: usize = 2048;

/// Words of 64 bits for each; the size of a [`History`](crate::history::History).
pub const WORDS: usize = crate::history::SIZE / 8;

/// Stands in place of a container where none is remembered.
const FREE: u64 = 0;

/// All containers.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Histories {
    /// Places at and above this one were never used, and their pages are not there.
    used: AtomicU64,
    entries: [Entry; CONTAINERS],
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    container: AtomicU64,
    /// When it was last asked for, in nanoseconds of `CLOCK_BOOTTIME`.
    last_ns: AtomicU64,
    /// Which copy is shown.
    shown: AtomicU64,
    copies: [[AtomicU64; WORDS]; 2],
}

/// Where a container's history is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

impl Histories {
    /// Every container that is remembered, with its place and when it was last
    /// asked for.
    pub fn remembered(&self) -> impl Iterator<Item = (u64, Place, u64)> + '_ {
        self.used().filter(|(container, _place, _last_ns)| *container != FREE)
    }

    /// Places that were used and are free again.
    pub fn free(&self) -> impl Iterator<Item = Place> + '_ {
        let is_free = |(container, _, _): &(u64, Place, u64)| *container == FREE;
        self.used().filter(is_free).map(|(_free, place, _last_ns)| place)
    }

    fn used(&self) -> impl Iterator<Item = (u64, Place, u64)> + '_ {
        let used = usize::try_from(self.used.load(SeqCst)).unwrap_or(0);
        self.entries.iter().enumerate().take(used).map(|(index, entry)| {
            (entry.container.load(SeqCst), Place(index), entry.last_ns.load(SeqCst))
        })
    }

    /// Forgets the container at `place`, which is free from here on.
    pub fn forget(&self, place: Place) {
        if let Some(entry) = self.entries.get(place.0) {
            entry.container.store(FREE, SeqCst);
        }
    }

    /// A place for a container that is not remembered yet: the `free` one, a new one, or
    /// that of the container that was not asked for the longest time.
    pub fn make_room(&self, container: u64, free: Option<Place>) -> Place {
        let used = usize::try_from(self.used.load(SeqCst)).unwrap_or(0);
        let index = if let Some(place) = free {
            place.0
        } else if used < CONTAINERS {
            used
        } else {
            let idle = self.remembered().min_by_key(|(_container, _place, last_ns)| *last_ns);
            idle.map_or(0, |(_container, place, _last_ns)| place.0)
        };
        if let Some(entry) = self.entries.get(index) {
            entry.container.store(FREE, SeqCst);
            entry.store(&[0; WORDS]);
            entry.container.store(container, SeqCst);
        }
        self.used.fetch_max(index as u64 + 1, SeqCst);
        Place(index)
    }

    /// The history at `place`.
    pub fn load(&self, place: Place) -> [u64; WORDS] {
        self.entries.get(place.0).map_or([0; WORDS], Entry::load)
    }

    /// Replaces the history at `place`.
    pub fn store(&self, place: Place, words: &[u64; WORDS], now_ns: u64) {
        if let Some(entry) = self.entries.get(place.0) {
            entry.store(words);
            entry.last_ns.store(now_ns, SeqCst);
        }
    }
}

impl Entry {
    fn load(&self) -> [u64; WORDS] {
        let [first, second] = &self.copies;
        let copy = if self.shown.load(SeqCst) == 0 { first } else { second };
        std::array::from_fn(|index| copy.get(index).map_or(0, |word| word.load(Relaxed)))
    }

    fn store(&self, words: &[u64; WORDS]) {
        let [first, second] = &self.copies;
        let (copy, next) = if self.shown.load(SeqCst) == 0 { (second, 1) } else { (first, 0) };
        for (place, word) in copy.iter().zip(words) {
            place.store(*word, Relaxed);
        }
        self.shown.store(next, SeqCst);
    }
}
