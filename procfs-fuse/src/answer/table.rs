//! The holder's table: who was promised a place, and which listeners are held.

use std::os::fd::{AsRawFd, OwnedFd};

use super::notes::Notes;

/// What is in a place.
#[derive(Debug, Default)]
pub(super) enum Entry {
    /// Nothing.
    #[default]
    Free,
    /// Kept for whoever is connected.
    Promised(OwnedFd),
    /// Whoever is connected was refused a place, but may want something else.
    Refused(OwnedFd),
    /// A listener, and whoever handed it over, while it is connected.
    Held(OwnedFd, Option<OwnedFd>),
}

/// Who is listened to that was refused, at a time. Runtimes that go without a place are
/// gone at once.
const REFUSED: usize = 8;

/// Places, as many as there are descriptors for, and a few for those who are refused one.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// How many of the entries are for listeners; the others come after them.
    places: usize,
    /// Counts listeners; no two have the same.
    generation: u64,
    held: usize,
}

impl Table {
    /// With `places` free places.
    pub(super) fn new(places: usize) -> Self {
        let entries = std::iter::repeat_with(Entry::default).take(places + REFUSED).collect();
        Self { entries, places, generation: 0, held: 0 }
    }

    /// A place that is free.
    pub(super) fn free(&self) -> Option<usize> {
        self.places().iter().position(is_free)
    }

    /// Where somebody may wait who is refused a place.
    pub(super) fn free_for_refused(&self) -> Option<usize> {
        let refused = self.entries.iter().enumerate().skip(self.places);
        refused.into_iter().find_map(|(index, entry)| is_free(entry).then_some(index))
    }

    /// True when the place `index` was promised to somebody who has not used it yet.
    pub(super) fn is_promised(&self, index: usize) -> bool {
        matches!(self.entries.get(index), Some(Entry::Promised(_)))
    }

    fn places(&self) -> &[Entry] {
        self.entries.get(..self.places).unwrap_or_default()
    }

    /// True when nothing is held and nothing promised.
    pub(super) fn is_empty(&self) -> bool {
        self.places().iter().all(is_free)
    }

    /// How many listeners are held.
    pub(super) fn count(&self) -> usize {
        self.held
    }

    /// Puts `entry` into the place `index`.
    pub(super) fn put(&mut self, index: usize, entry: Entry) {
        if let Some(place) = self.entries.get_mut(index) {
            *place = entry;
        }
    }

    /// Who is connected about the place `index`.
    pub(super) fn connection(&self, index: usize) -> Option<&OwnedFd> {
        match self.entries.get(index)? {
            Entry::Free => None,
            Entry::Promised(connection) | Entry::Refused(connection) => Some(connection),
            Entry::Held(_listener, connection) => connection.as_ref(),
        }
    }

    /// Holds `listener` in the place `index`, and says so in `notes`; nothing unless the
    /// place [was promised](Self::is_promised).
    pub(super) fn hold(&mut self, index: usize, listener: OwnedFd, notes: &Notes) {
        let (Some(entry), Some(place)) = (self.entries.get_mut(index), notes.listeners.get(index))
        else {
            return;
        };
        match std::mem::take(entry) {
            Entry::Promised(connection) => {
                self.generation += 1;
                self.held += 1;
                place.occupy(self.generation, listener.as_raw_fd().unsigned_abs());
                *entry = Entry::Held(listener, Some(connection));
            }
            other => *entry = other,
        }
    }

    /// Frees the place `index`: what was held there is the caller's to close.
    pub(super) fn release(&mut self, index: usize, notes: &Notes) -> Option<OwnedFd> {
        let entry = self.entries.get_mut(index)?;
        match std::mem::take(entry) {
            Entry::Held(listener, _connection) => {
                notes.listeners.get(index)?.vacate();
                self.held -= 1;
                Some(listener)
            }
            other => {
                *entry = other;
                None
            }
        }
    }

    /// Whoever was connected about the place `index` is gone; what it handed over stays.
    pub(super) fn hang_up(&mut self, index: usize) -> Option<OwnedFd> {
        let entry = self.entries.get_mut(index)?;
        match entry {
            Entry::Free => None,
            Entry::Held(_listener, connection) => connection.take(),
            Entry::Promised(_) | Entry::Refused(_) => match std::mem::take(entry) {
                Entry::Promised(connection) | Entry::Refused(connection) => Some(connection),
                _other => None,
            },
        }
    }
}

fn is_free(entry: &Entry) -> bool {
    matches!(entry, Entry::Free)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn connection() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn who_is_refused_is_listened_to_and_takes_no_place() {
        let mut table = Table::new(1);
        assert_eq!((table.free(), table.free_for_refused()), (Some(0), Some(1)));
        table.put(1, Entry::Refused(connection()));
        assert!(table.is_empty() && !table.is_promised(1) && table.connection(1).is_some());
        table.put(0, Entry::Promised(connection()));
        assert_eq!((table.free(), table.free_for_refused()), (None, Some(2)));
        assert!(table.is_promised(0) && !table.is_empty());
        for index in 2..=REFUSED {
            table.put(index, Entry::Refused(connection()));
        }
        assert_eq!(table.free_for_refused(), None);
        assert!(table.hang_up(1).is_some());
        assert_eq!((table.free(), table.free_for_refused()), (None, Some(1)));
    }
}
