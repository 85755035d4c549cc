//! Lists of CPU or memory node ids: `"0-3,8"`; `cpuset.cpus`, `cpu/online`, ...
//!
//! Kernel source of truth: `bitmap_parselist()` and the `%*pbl` format.

use std::collections::BTreeSet;
use std::fmt;

use crate::format::FormatError;

/// Ids above this are refused, so that a garbled file cannot make us allocate
/// without end. The kernel's own largest `NR_CPUS` is 8192.
const MAX_ID: u32 = 65_535;

/// Words of 64 ids that every list has: the machines that most have need no more, and a
/// list of theirs needs no allocator.
const WORDS: usize = 4;

/// A set of CPU (or memory node) ids, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuList {
    /// Bit n of word w is the id 64 w + n.
    low: [u64; WORDS],
    /// Ids that are in no word.
    high: BTreeSet<u32>,
}

impl CpuList {
    /// The ids `0..count`: what a container with `count` CPUs is shown.
    pub fn first(count: u32) -> Self {
        (0..count).collect()
    }

    /// How many ids are in the list.
    pub fn count(&self) -> usize {
        self.low.iter().map(|word| word.count_ones() as usize).sum::<usize>() + self.high.len()
    }

    /// True when the list names no id, as `cpuset.cpus` does on v2 when unset.
    pub fn is_empty(&self) -> bool {
        self.low == [0; WORDS] && self.high.is_empty()
    }

    /// True when `id` is in the list.
    pub fn contains(&self, id: u32) -> bool {
        let (word, bit) = place(id);
        self.low.get(word).map_or_else(|| self.high.contains(&id), |word| word & bit != 0)
    }

    fn insert(&mut self, id: u32) {
        let (word, bit) = place(id);
        match self.low.get_mut(word) {
            Some(word) => *word |= bit,
            None => {
                self.high.insert(id);
            }
        }
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let low = (0_u32..).step_by(64).zip(self.low).flat_map(|(first, word)| {
            // Each step takes the lowest bit away.
            let rests = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            rests.take_while(|rest| *rest != 0).map(move |rest| first + rest.trailing_zeros())
        });
        low.chain(self.high.iter().copied())
    }

    /// The ids in both lists.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let mut low = self.low;
        low.iter_mut().zip(other.low).for_each(|(word, others)| *word &= others);
        Self { low, high: self.high.intersection(&other.high).copied().collect() }
    }
}

impl FromIterator<u32> for CpuList {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut list = Self::default();
        ids.into_iter().for_each(|id| list.insert(id));
        list
    }
}

/// The word that an id is in, and its bit there.
fn place(id: u32) -> (usize, u64) {
    ((id / 64) as usize, 1 << (id % 64))
}

/// Writes the list as the kernel does: ranges joined by commas, no newline.
impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ids = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = ids.next() {
            let mut last = first;
            while let Some(next) = ids.next_if_eq(&(last + 1)) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// Parses `"0-3,8\n"`; empty text is the empty list.
///
/// # Errors
///
/// [`FormatError`] when a part is not an id or an ascending range of ids.
pub fn parse(text: &str) -> Result<CpuList, FormatError> {
    let malformed = || FormatError::new("a list of ids such as \"0-3,8\"", text);
    let mut list = CpuList::default();
    let text_of_list = text.trim();
    if text_of_list.is_empty() {
        return Ok(list);
    }
    for part in text_of_list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = first.parse().map_err(|_not_a_number| malformed())?;
        let last: u32 = last.parse().map_err(|_not_a_number| malformed())?;
        if first > last || last > MAX_ID {
            return Err(malformed());
        }
        (first..=last).for_each(|id| list.insert(id));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ids: &[u32], written: &str) {
        let list = parse(text).unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ids, "input: {text:?}");
        assert_eq!(list.to_string(), written, "input: {text:?}");
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        check("\n", &[], "");
        check("0\n", &[0], "0");
        check("0-3\n", &[0, 1, 2, 3], "0-3");
        check("0-1,3,5-6\n", &[0, 1, 3, 5, 6], "0-1,3,5-6");
        check("3,1,2", &[1, 2, 3], "1-3");
    }

    #[test]
    fn machines_of_any_size_have_a_list() {
        check("62-65,255-257,8191", &[62, 63, 64, 65, 255, 256, 257, 8191], "62-65,255-257,8191");
        let list = parse("0,63,64,255-300").unwrap();
        assert_eq!((list.count(), list.contains(63), list.contains(300)), (49, true, true));
        assert!(!list.contains(1) && !list.contains(301) && !list.is_empty());
        assert_eq!(list.intersection(&parse("63,256-400").unwrap()).to_string(), "63,256-300");
        assert!(!parse("256").unwrap().is_empty());
    }

    #[test]
    fn the_rest_is_refused() {
        for text in ["a", "1-", "-1", "3-1", "0,,1", "0-99999999", "1;2"] {
            assert!(parse(text).is_err(), "input: {text:?}");
        }
    }
}
