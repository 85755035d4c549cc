//! Histories as words and back, for memory that is made of words.

use crate::history::History;
use crate::shared::histories::WORDS;

/// The words that `history` consists of.
pub fn words(history: &History) -> [u64; WORDS] {
    // SAFETY: `History` is `repr(C)` and made of 64-bit integers alone, so it has
    // no padding; the compiler checks that both have the same size.
    unsafe { std::mem::transmute(*history) }
}

/// The history that consists of `words`.
pub fn history(words: [u64; WORDS]) -> History {
    // SAFETY: `History` is `repr(C)` and made of 64-bit integers alone, for which
    // every bit pattern is a value; the compiler checks that both have the same size.
    unsafe { std::mem::transmute(words) }
}
