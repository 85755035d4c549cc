//! What is remembered about containers, so that no counter steps back when a
//! worker dies.
//!
//! Each container has two copies; the one that is not shown is written, then
//! they change places. A worker killed in the middle leaves the old copy.
//!
//! A history has room for many sizes of its container, and most containers keep the one
//! that they were given. So what is zero at the end is not kept, and what few have is apart from
//! what all have: its pages come into being with the first container that has it.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Containers remembered at once. Beyond it the one not asked for the longest
/// time is forgotten.
pub const CONTAINERS: usize = 2048;

/// Words of 64 bits for each; the size of a [`History`](crate::history::History).
pub const WORDS: usize = crate::history::SIZE / 8;

/// Words that one takes whose container was given two sizes at most.
const USUAL_WORDS: usize = 18;

/// Stands in place of a container where none is remembered.
const FREE: u64 = 0;

/// All containers.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Histories {
    /// Places at and above this one were never used, and their pages are not there.
    used: AtomicU64,
    entries: [Entry; CONTAINERS],
    rests: [[Rest; 2]; CONTAINERS],
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    container: AtomicU64,
    /// When it was last asked for, in nanoseconds of `CLOCK_BOOTTIME`.
    last_ns: AtomicU64,
    /// Which copy is shown.
    shown: AtomicU64,
    copies: [Beginning; 2],
}

/// The words of a copy that are usual.
#[derive(Debug)]
#[repr(C)]
struct Beginning {
    /// Words that are kept, the rest's among them; all others are zero.
    length: AtomicU64,
    words: [AtomicU64; USUAL_WORDS],
}

/// The words of a copy beyond those.
type Rest = [AtomicU64; WORDS - USUAL_WORDS];

/// One copy of a history.
struct Copy<'a>(&'a Beginning, &'a Rest);

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
        let place = Place(index);
        if let Some(entry) = self.entries.get(index) {
            entry.container.store(FREE, SeqCst);
            self.write(place, &[0; WORDS]);
            entry.container.store(container, SeqCst);
        }
        self.used.fetch_max(index as u64 + 1, SeqCst);
        place
    }

    /// The history at `place`.
    pub fn load(&self, place: Place) -> [u64; WORDS] {
        self.copies(place).map_or([0; WORDS], |(_entry, [shown, _other])| shown.load())
    }

    /// Replaces the history at `place`.
    pub fn store(&self, place: Place, words: &[u64; WORDS], now_ns: u64) {
        if let Some(entry) = self.write(place, words) {
            entry.last_ns.store(now_ns, SeqCst);
        }
    }

    fn write(&self, place: Place, words: &[u64; WORDS]) -> Option<&Entry> {
        let (entry, [_shown, other]) = self.copies(place)?;
        other.store(words);
        entry.shown.fetch_xor(1, SeqCst);
        Some(entry)
    }

    /// The two copies at `place`, the one that is shown first.
    fn copies(&self, place: Place) -> Option<(&Entry, [Copy<'_>; 2])> {
        let (entry, rests) = (self.entries.get(place.0)?, self.rests.get(place.0)?);
        let ([first, second], [rest, second_rest]) = (&entry.copies, rests);
        let mut copies = [Copy(first, rest), Copy(second, second_rest)];
        if entry.shown.load(SeqCst) != 0 {
            copies.reverse();
        }
        Some((entry, copies))
    }
}

impl<'a> Copy<'a> {
    /// Naming a word brings no page into being.
    fn words(&self) -> impl Iterator<Item = &'a AtomicU64> + use<'a> {
        self.0.words.iter().chain(self.1)
    }

    fn load(&self) -> [u64; WORDS] {
        let length = usize::try_from(self.0.length.load(Relaxed)).unwrap_or(0);
        let mut words = [0; WORDS];
        for (word, kept) in words.iter_mut().zip(self.words().take(length)) {
            *word = kept.load(Relaxed);
        }
        words
    }

    fn store(&self, words: &[u64; WORDS]) {
        let words = without_zeros_at_the_end(words);
        for (kept, word) in self.words().zip(words) {
            kept.store(*word, Relaxed);
        }
        self.0.length.store(words.len() as u64, Relaxed);
    }
}

/// The words of a history that must be kept.
pub fn without_zeros_at_the_end(words: &[u64; WORDS]) -> &[u64] {
    let length = words.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
    words.get(..length).unwrap_or_default()
}
