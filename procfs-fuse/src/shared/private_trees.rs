//! The containers that have a tree of their own, and the numbers of what is in it.
//!
//! The kernel keeps the number of a node for as long as somebody has it open or
//! mounted: longer than a worker, a version, or the container lives. So a number says
//! by itself whose it is, by a serial that no other tree ever gets, and what it is,
//! by a place in a list that only ever grows ([`Nodes`]).
//!
//! What this module does not do: say what is in a tree (`fuse::tree`), for whom one is
//! made (`fuse::door`), or when it is given up.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crate::serve::OPENING_WORDS;

/// Private trees at once. Beyond it containers are given files of the shared tree.
pub const TREES: usize = 4096;

/// Files and directories that a tree may have, over all versions; two hundred are
/// usual. What is beyond is not in private trees.
const NODES: usize = 4096;

/// All of them.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct PrivateTrees {
    /// The serial that was given last.
    last: AtomicU32,
    /// See [`Nodes`].
    pub nodes: Nodes,
    entries: [Entry; TREES],
}

/// The container of one tree; 32 words. A tree with the serial n is at n modulo
/// [`TREES`].
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    /// 0 when there is none here.
    serial: AtomicU64,
    /// What its name ends in, so that nobody who was not told can name it.
    token: AtomicU64,
    /// Whose files are in it.
    opening: [AtomicU64; OPENING_WORDS],
    _spare: [AtomicU64; 32 - 2 - OPENING_WORDS],
}

/// What is in trees, as numbers of 16 bits: the place of its number of 32 bits
/// (`fuse::tree::number_of`) in this list. No version takes one out.
#[derive(Debug)]
#[repr(C)]
pub struct Nodes {
    used: AtomicU32,
    numbers: [AtomicU32; NODES],
}

impl PrivateTrees {
    /// Makes a tree, and returns its serial; `None` when there are [`TREES`].
    ///
    /// Only one thread of the one worker that serves may.
    pub fn make(&self, token: u64, opening: &[u64; OPENING_WORDS]) -> Option<u32> {
        let last = self.last.load(SeqCst);
        let serials = (1..=u32::try_from(TREES).ok()?).map(|step| last.wrapping_add(step));
        let (serial, entry) = serials.filter(|serial| *serial != 0).find_map(|serial| {
            let entry = self.place(serial)?;
            (entry.serial.load(SeqCst) == 0).then_some((serial, entry))
        })?;
        self.last.store(serial, SeqCst);
        entry.token.store(token, Relaxed);
        for (place, word) in entry.opening.iter().zip(opening) {
            place.store(*word, Relaxed);
        }
        entry.serial.store(serial.into(), SeqCst);
        Some(serial)
    }

    /// The tree with this serial, until it was given up.
    pub fn find(&self, serial: u32) -> Option<&Entry> {
        self.place(serial).filter(|entry| entry.serial.load(SeqCst) == u64::from(serial))
    }

    /// All there are, with their serials.
    pub fn all(&self) -> impl Iterator<Item = (u32, &Entry)> {
        let serial = |entry: &Entry| u32::try_from(entry.serial.load(SeqCst)).ok();
        // Places beyond the last serial were never used, and their pages are not there.
        let used = (self.last.load(SeqCst) as usize).saturating_add(1);
        self.entries.iter().take(used).filter_map(move |entry| {
            serial(entry).filter(|serial| *serial != 0).map(|serial| (serial, entry))
        })
    }

    fn place(&self, serial: u32) -> Option<&Entry> {
        self.entries.get(serial as usize % TREES)
    }
}

impl Entry {
    /// What its name ends in.
    pub fn token(&self) -> u64 {
        self.token.load(Relaxed)
    }

    /// Whose files are in it.
    pub fn opening(&self) -> [u64; OPENING_WORDS] {
        std::array::from_fn(|index| self.opening.get(index).map_or(0, |word| word.load(Relaxed)))
    }

    /// Gives it up: what is still mounted of it shows the host's files.
    pub fn give_up(&self) {
        self.serial.store(0, SeqCst);
    }
}

impl Nodes {
    /// Adds `number`, which is not there, at `place`, the first that is free; false when
    /// there is none.
    ///
    /// Only the one worker that serves may, and only one of its threads at once.
    pub fn note(&self, place: u16, number: u32) -> bool {
        let Some(free) = self.numbers.get(usize::from(place)) else { return false };
        free.store(number, SeqCst);
        self.used.store(u32::from(place) + 1, SeqCst);
        true
    }

    /// All numbers, in the order of their places.
    pub fn all(&self) -> impl Iterator<Item = u32> + '_ {
        let used = self.used.load(SeqCst) as usize;
        self.numbers.iter().take(used).map(|number| number.load(SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::shared::Shared;
    use crate::sys::shared_memory;

    fn memory() -> &'static Shared {
        shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap()
    }

    #[test]
    fn a_serial_is_never_given_again() {
        let trees = &memory().private_trees;
        let make = |token| trees.make(token, &[token; OPENING_WORDS]);
        let (one, other) = (make(10).unwrap(), make(20).unwrap());
        trees.find(one).unwrap().give_up();
        let third = make(30).unwrap();
        assert_eq!((one, other, third), (1, 2, 3));
        assert!(trees.find(one).is_none());
        assert_eq!(trees.find(other).unwrap().token(), 20);
        assert_eq!(trees.find(third).unwrap().opening(), [30; OPENING_WORDS]);
        assert_eq!(trees.all().map(|(serial, _entry)| serial).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_full_table_gives_none() {
        let trees = &memory().private_trees;
        for _tree in 0..TREES {
            assert!(trees.make(0, &[0; OPENING_WORDS]).is_some());
        }
        assert_eq!(trees.make(0, &[0; OPENING_WORDS]), None);
        trees.find(77).unwrap().give_up();
        assert_eq!(trees.make(0, &[0; OPENING_WORDS]), Some(77 + u32::try_from(TREES).unwrap()));
        assert_eq!(trees.make(0, &[0; OPENING_WORDS]), None);
    }

    #[test]
    fn a_node_keeps_its_place() {
        let nodes = &memory().private_trees.nodes;
        for (place, number) in (0..).zip([1, 500, 300]) {
            assert!(nodes.note(place, number));
        }
        assert_eq!(nodes.all().collect::<Vec<_>>(), [1, 500, 300]);
        assert!(!nodes.note(u16::try_from(NODES).unwrap(), 7));
    }
}
