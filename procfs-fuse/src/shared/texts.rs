//! Texts of files that were read in part, in chunks of a page.
//!
//! The rest of a text must be of the same moment as its beginning, also when the
//! worker dies between the two reads. The memory for it is bounded; where it is
//! full, a text is made anew instead, and a reader that sleeps between two reads
//! may see two moments.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

/// Chunks of [`CHUNK`] bytes: 16 MiB, of which only what was used is there.
pub const CHUNKS: usize = 4096;

/// Bytes in a chunk.
pub const CHUNK: usize = 4096;

const WORDS: usize = CHUNK / 8;

/// All chunks.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Texts {
    /// For each chunk the next one of the same text, counted from 1; 0 for the last.
    next: [AtomicU64; CHUNKS],
    chunks: [Chunk; CHUNKS],
}

#[derive(Debug)]
#[repr(C)]
struct Chunk([AtomicU64; WORDS]);

impl Texts {
    /// Writes `text` into `places`, of which there are enough, and returns the
    /// word that finds it again.
    pub fn write(&self, text: &[u8], places: &[u32]) -> u64 {
        let mut next = 0;
        for (place, bytes) in places.iter().zip(text.chunks(CHUNK)).rev() {
            let index = *place as usize;
            if let (Some(chunk), Some(link)) = (self.chunks.get(index), self.next.get(index)) {
                chunk.write(bytes);
                link.store(next, Relaxed);
                next = u64::from(*place) + 1;
            }
        }
        next
    }

    /// Appends `length` bytes from `offset` on of the text that `first` finds to `out`.
    pub fn read(&self, first: u64, offset: usize, length: usize, out: &mut Vec<u8>) {
        let mut bytes = [0; CHUNK];
        let (mut skip, mut left) = (offset, length);
        for place in self.places(first) {
            if left == 0 {
                break;
            }
            if skip >= CHUNK {
                skip -= CHUNK;
                continue;
            }
            if let Some(chunk) = self.chunks.get(place as usize) {
                chunk.read(&mut bytes);
            }
            let end = CHUNK.min(skip + left);
            out.extend_from_slice(bytes.get(skip..end).unwrap_or_default());
            left -= end - skip;
            skip = 0;
        }
    }

    /// The places of the text that `first` finds.
    pub fn places(&self, first: u64) -> impl Iterator<Item = u32> + '_ {
        let link = |word: u64| u32::try_from(word.checked_sub(1)?).ok();
        let next = move |place: &u32| link(self.next.get(*place as usize)?.load(SeqCst));
        std::iter::successors(link(first), next).take(CHUNKS)
    }
}

impl Chunk {
    fn write(&self, bytes: &[u8]) {
        for (word, bytes) in self.0.iter().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(bytes) {
                *to = *from;
            }
            word.store(u64::from_ne_bytes(padded), Relaxed);
        }
    }

    fn read(&self, out: &mut [u8; CHUNK]) {
        for (word, bytes) in self.0.iter().zip(out.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
    }
}
