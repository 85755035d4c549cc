//! The text of one of the host's files, with where things are in it.
//!
//! A text answers for everybody who reads within its window. What is looked for in a long
//! one (blocks of `cpuinfo`, lines of `meminfo`) is found once then, by whoever asks first,
//! and not again for each reader.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::host::{cpuinfo, meminfo};

/// A text of the host's; clones share it.
#[derive(Debug, Clone, Default)]
pub struct HostText(
    /// `None` for the empty text of what is no file.
    Option<Arc<Found>>,
);

#[derive(Debug)]
struct Found {
    text: Box<str>,
    blocks: OnceLock<Box<[cpuinfo::Block]>>,
    lines: OnceLock<Box<[meminfo::Place]>>,
}

impl HostText {
    /// The blocks of `cpuinfo`, in order.
    pub fn cpuinfo(&self) -> &[cpuinfo::Block] {
        let find = |found: &Found| cpuinfo::blocks(&found.text).collect();
        self.0.as_deref().map_or(&[], |found| found.blocks.get_or_init(|| find(found)))
    }

    /// The lines of `meminfo`, in order.
    pub fn meminfo(&self) -> impl Iterator<Item = meminfo::Line<'_>> {
        let find = |found: &Found| meminfo::places(&found.text).collect();
        let found = self.0.as_deref().into_iter();
        found.flat_map(move |found| {
            let places = found.lines.get_or_init(|| find(found));
            places.iter().map(|place| place.line_of(&found.text))
        })
    }
}

impl Deref for HostText {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_deref().map_or("", |found| &found.text)
    }
}

impl<T: Into<Box<str>>> From<T> for HostText {
    fn from(text: T) -> Self {
        let (blocks, lines) = (OnceLock::new(), OnceLock::new());
        Self(Some(Arc::new(Found { text: text.into(), blocks, lines })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::meminfo::Field;

    #[test]
    fn what_is_in_a_text_is_found_once() {
        let text = HostText::from("processor\t: 3\n\nprocessor\t: 4\n");
        let first: *const _ = text.cpuinfo();
        assert_eq!(text.cpuinfo().len(), 2);
        assert!(std::ptr::eq(first, text.clone().cpuinfo()));
    }

    #[test]
    fn lines_are_those_of_the_text() {
        let text = HostText::from("MemTotal:       8 kB\nNewcomer:       9 kB\n".to_owned());
        let fields: Vec<_> = text.meminfo().map(|line| line.field).collect();
        assert_eq!(fields, [Field::MemTotal, Field::Unknown]);
        assert_eq!(text.meminfo().map(|line| line.text.len()).sum::<usize>() + 2, text.len());
    }

    #[test]
    fn no_file_has_no_text() {
        let text = HostText::default();
        assert_eq!((&*text, text.cpuinfo().len(), text.meminfo().count()), ("", 0, 0));
    }
}
