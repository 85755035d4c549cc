//! Open files: what was decided at `open(2)`, and the text a partial read is in
//! the middle of.
//!
//! The one idea: a handle is a place and a generation, so a handle that was
//! closed, or that another process gave out, is recognised instead of answered
//! for the wrong container.
//!
//! What this module does not do: decide whose file it is or what it says (`serve`).

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::catalog::Entry;
use crate::serve::Opening;

/// Files open at the same time, over all containers. Beyond it a file is opened
/// without a record and answered for whoever reads.
const CAPACITY: usize = 65_536;

/// The handle of a file that has no record, because the table was full.
pub(crate) const UNRECORDED: u64 = 0;

/// One open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Its row of the catalogue.
    pub(crate) entry: &'static Entry,
    /// What was decided when it was opened.
    pub(crate) opening: Opening,
    /// The text that reads at an offset continue; see [`Text`].
    pub(crate) text: Mutex<Text>,
}

/// The text of an open file between two reads.
#[derive(Debug, Default)]
pub(crate) enum Text {
    /// Not read yet.
    #[default]
    Unread,
    /// Read to the end, which is at this offset.
    Finished(u64),
    /// Frozen, because a part of it was read: the rest must be of the same moment.
    Partial(Vec<u8>),
}

/// All open files of the mount.
#[derive(Debug, Default)]
pub(crate) struct OpenFiles {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    places: Vec<Place>,
    free: Vec<u32>,
}

#[derive(Debug, Default)]
struct Place {
    /// Counts the files that were open here, starting with 1; so that no handle
    /// is [`UNRECORDED`].
    generation: u32,
    file: Option<Arc<OpenFile>>,
}

impl OpenFiles {
    /// Records an open file; [`UNRECORDED`] when the table is full.
    pub(crate) fn insert(&self, entry: &'static Entry, opening: Opening) -> u64 {
        let file = OpenFile { entry, opening, text: Mutex::default() };
        self.table.write().insert(Arc::new(file)).unwrap_or(UNRECORDED)
    }

    /// The open file that `handle` stands for, while it is open.
    pub(crate) fn find(&self, handle: u64) -> Option<Arc<OpenFile>> {
        let (generation, index) = taken_apart(handle);
        let table = self.table.read();
        let place = table.places.get(index as usize)?;
        place.file.clone().filter(|_file| place.generation == generation)
    }

    /// Forgets a closed file; nothing happens when it is not there.
    pub(crate) fn remove(&self, handle: u64) {
        let (generation, index) = taken_apart(handle);
        let mut table = self.table.write();
        let Some(place) = table.places.get_mut(index as usize) else { return };
        if place.generation == generation && place.file.take().is_some() {
            table.free.push(index);
        }
    }
}

impl Table {
    fn insert(&mut self, file: Arc<OpenFile>) -> Option<u64> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.places.len() < CAPACITY => {
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).ok()?
            }
            None => return None,
        };
        let place = self.places.get_mut(index as usize)?;
        place.generation = place.generation.wrapping_add(1).max(1);
        place.file = Some(file);
        Some(u64::from(place.generation) << 32 | u64::from(index))
    }
}

/// Generation and place of a handle.
fn taken_apart(handle: u64) -> (u32, u32) {
    let [high, low] = [handle >> 32, handle & u64::from(u32::MAX)];
    (u32::try_from(high).unwrap_or(0), u32::try_from(low).unwrap_or(0))
}

impl Text {
    /// Copies what a read of `size` bytes at `offset` returns into `out`, and
    /// remembers what the next read needs.
    ///
    /// `generate` writes the text as it is now; it is called at offset 0, where
    /// a new look begins, and when nothing of the text is known yet.
    pub(crate) fn read<E>(
        &mut self,
        offset: u64,
        size: u32,
        out: &mut Vec<u8>,
        generate: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut text = match std::mem::take(self) {
            Self::Partial(text) if offset > 0 => text,
            Self::Finished(length) if offset >= length => {
                *self = Self::Finished(length);
                return Ok(());
            }
            _new_look => {
                let mut text = Vec::new();
                generate(&mut text)?;
                text
            }
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let end = start.saturating_add(size as usize).min(text.len());
        out.extend_from_slice(text.get(start..end).unwrap_or_default());
        *self = if end == text.len() {
            Self::Finished(text.len() as u64)
        } else {
            text.shrink_to_fit();
            Self::Partial(text)
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Reads from a file whose text is a new number each time it is generated.
    struct Reader {
        text: Text,
        generated: u32,
    }

    impl Reader {
        fn new() -> Self {
            Self { text: Text::default(), generated: 0 }
        }

        fn read(&mut self, offset: u64, size: u32) -> String {
            let mut out = Vec::new();
            let generated = &mut self.generated;
            let result = self.text.read::<Infallible>(offset, size, &mut out, |text| {
                *generated += 1;
                text.extend_from_slice(format!("look {generated}\n").as_bytes());
                Ok(())
            });
            result.unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    #[test]
    fn a_read_to_the_end_is_followed_by_nothing() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 100), "look 1\n");
        assert_eq!(reader.read(7, 100), "");
        assert_eq!(reader.read(7000, 100), "");
    }

    #[test]
    fn one_byte_at_a_time_is_one_text() {
        let mut reader = Reader::new();
        let text: String = (0..9).map(|offset| reader.read(offset, 1)).collect();
        assert_eq!(text, "look 1\n");
        assert_eq!(reader.generated, 1);
    }

    #[test]
    fn offset_zero_looks_anew() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(0, 100), "look 1\n");
        assert_eq!(reader.read(0, 4), "look");
        assert_eq!(reader.read(4, 100), " 2\n");
        assert_eq!(reader.read(0, 100), "look 3\n");
    }

    #[test]
    fn a_first_read_may_be_at_an_offset() {
        let mut reader = Reader::new();
        assert_eq!(reader.read(5, 100), "1\n");
        assert_eq!(reader.read(7, 100), "");
        assert_eq!(reader.read(100, 1), "");
    }

    #[test]
    fn a_failed_look_leaves_the_file_unread() {
        let mut text = Text::default();
        assert_eq!(text.read(0, 1, &mut Vec::new(), |_out| Err("gone")), Err("gone"));
        assert!(matches!(text, Text::Unread));
    }

    #[test]
    fn handles_are_unique_and_split_into_generation_and_place() {
        assert_eq!(taken_apart(0x0000_0002_0000_0001), (2, 1));
        assert_eq!(taken_apart(UNRECORDED), (0, 0));
    }
}
