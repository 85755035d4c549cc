//! Open files as records: what was decided at open(2), and where a text that was
//! read in part is kept.
//!
//! A handle is a place and a generation, so that the handle of a file that was
//! closed is recognised instead of answered for another container.
//!
//! What this module does not do: hand out places and share them between
//! containers; that is bookkeeping of the worker (`fuse::open_files`), made anew
//! from these records when one takes over.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use crate::serve::OPENING_WORDS;

/// Files open at the same time, over all containers. Beyond it a file is opened
/// without a record and answered for whoever reads.
pub const RECORDS: usize = 65_536;

/// All records.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct OpenTable {
    /// Records at and above this place were never used, and their pages are not there.
    pub used: AtomicU64,
    /// See [`Record`].
    pub records: [Record; RECORDS],
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Nothing.
    Free,
    /// A file that is being opened; left behind by a worker that died meanwhile.
    Opening,
    /// An open file.
    Open,
}

/// One open file; 32 words.
#[derive(Debug)]
#[repr(C)]
pub struct Record {
    /// Generation of the handle in the upper half, [`Use`] in the lower.
    state: AtomicU64,
    /// The node that is open.
    pub node: AtomicU64,
    /// Whose share of the table and the texts it counts against.
    pub share: AtomicU64,
    /// 1 when `opening` was decided; 0 when the fallback worker opened the file.
    pub identified: AtomicU64,
    opening: [AtomicU64; OPENING_WORDS],
    /// First chunk of the kept text, counted from 1; 0 when none is kept.
    pub text: AtomicU64,
    /// Length of the last text, plus 1; 0 before the first read.
    pub length: AtomicU64,
    /// Length of the text before it, plus 1, when both were made for one request.
    pub other_length: AtomicU64,
    /// Id of the request that the last text was made for.
    pub made_for: AtomicU64,
}

const OPENING: u64 = 1;
const OPEN: u64 = 2;

impl Record {
    /// What it holds, and the generation of its handle.
    pub fn state(&self) -> (Use, u32) {
        let state = self.state.load(SeqCst);
        let held = match state & u64::from(u32::MAX) {
            OPEN => Use::Open,
            OPENING => Use::Opening,
            _free_or_unknown => Use::Free,
        };
        (held, u32::try_from(state >> 32).unwrap_or(0))
    }

    /// Begins to open a file here; returns the generation of its handle.
    pub fn begin(&self) -> u32 {
        let (_free, generation) = self.state();
        let generation = generation.wrapping_add(1).max(1);
        self.state.store(u64::from(generation) << 32 | OPENING, SeqCst);
        for word in [&self.text, &self.length, &self.other_length, &self.made_for] {
            word.store(0, Relaxed);
        }
        generation
    }

    /// The record is complete: the file is open.
    pub fn publish(&self) {
        let (_opening, generation) = self.state();
        self.state.store(u64::from(generation) << 32 | OPEN, SeqCst);
    }

    /// The file is closed; the generation stays.
    pub fn free(&self) {
        let (_open, generation) = self.state();
        self.state.store(u64::from(generation) << 32, SeqCst);
    }

    /// What was decided when the file was opened.
    pub fn opening(&self) -> [u64; OPENING_WORDS] {
        std::array::from_fn(|index| self.opening.get(index).map_or(0, |word| word.load(Relaxed)))
    }

    /// Notes what was decided.
    pub fn set_opening(&self, words: &[u64; OPENING_WORDS]) {
        for (place, word) in self.opening.iter().zip(words) {
            place.store(*word, Relaxed);
        }
        self.identified.store(1, SeqCst);
    }
}
