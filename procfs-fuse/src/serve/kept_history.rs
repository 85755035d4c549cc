//! A container's history between two reads, in the words that are not zero.
//!
//! A [`History`] has room for many sizes of a container, 600 bytes, of which most containers
//! use a fifth.

use crate::history::History;
use crate::shared::histories::{WORDS, without_zeros_at_the_end};
use crate::sys::plain;

/// A history, or none yet.
#[derive(Debug, Default)]
pub(super) struct KeptHistory(Option<Box<[u64]>>);

impl KeptHistory {
    /// The history; `None` when there is none yet.
    pub(super) fn get(&self) -> Option<History> {
        let kept = self.0.as_deref()?;
        let mut words = [0; WORDS];
        for (word, kept) in words.iter_mut().zip(kept) {
            *word = *kept;
        }
        Some(plain::history(words))
    }

    /// Keeps `history`, in the memory that it has where it is as long.
    pub(super) fn set(&mut self, history: &History) {
        let words = plain::words(history);
        let words = without_zeros_at_the_end(&words);
        match self.0.as_deref_mut() {
            Some(kept) if kept.len() == words.len() => kept.copy_from_slice(words),
            _of_another_length => self.0 = Some(words.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::cpu_time::{BANDS, Reading};

    #[test]
    fn what_was_kept_is_found() {
        let mut kept = KeptHistory::default();
        assert_eq!(kept.get(), None);
        let mut history = History::default();
        kept.set(&history);
        assert_eq!(kept.get(), Some(history));
        for cpus in 1..=u32::try_from(BANDS).unwrap() + 1 {
            let now_ns = u64::from(cpus) * 1_000_000_000;
            let reading = Reading { now_ns, started_ns: 1, user_ns: now_ns, system_ns: 2, cpus };
            history.cpu.advance(&reading);
            kept.set(&history);
            assert_eq!(kept.get(), Some(history));
        }
    }

    #[test]
    fn a_container_of_one_size_takes_a_fifth() {
        let mut history = History::default();
        let reading = Reading { now_ns: 9, started_ns: 1, user_ns: 3, system_ns: 2, cpus: 2 };
        history.cpu.advance(&reading);
        let mut kept = KeptHistory::default();
        kept.set(&history);
        assert_eq!(kept.0.map(|words| words.len()), Some(14));
    }
}
