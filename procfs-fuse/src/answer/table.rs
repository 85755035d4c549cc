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
    /// A listener, and whoever handed it over, while it is connected.
    Held(OwnedFd, Option<OwnedFd>),
}

/// Places, as many as there are descriptors for.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Counts listeners; no two have the same.
    generation: u64,
    held: usize,
}

impl Table {
    /// With `places` free places.
    pub(super) fn new(places: usize) -> Self {
        let entries = std::iter::repeat_with(Entry::default).take(places).collect();
        Self { entries, generation: 0, held: 0 }
    }

    /// A place that is free.
    pub(super) fn free(&self) -> Option<usize> {
        self.entries.iter().position(|entry| matches!(entry, Entry::Free))
    }

    /// True when nothing is held and nothing promised.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry, Entry::Free))
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
            Entry::Promised(connection) => Some(connection),
            Entry::Held(_listener, connection) => connection.as_ref(),
        }
    }

    /// Holds `listener` in the place `index`, which was promised, and says so in `notes`;
    /// false when there is one already.
    pub(super) fn hold(&mut self, index: usize, listener: OwnedFd, notes: &Notes) -> bool {
        let (Some(entry), Some(place)) = (self.entries.get_mut(index), notes.listeners.get(index))
        else {
            return false;
        };
        match std::mem::take(entry) {
            Entry::Promised(connection) => {
                self.generation += 1;
                self.held += 1;
                place.occupy(self.generation, listener.as_raw_fd().unsigned_abs());
                *entry = Entry::Held(listener, Some(connection));
                true
            }
            other => {
                *entry = other;
                false
            }
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
            Entry::Promised(_) => match std::mem::take(entry) {
                Entry::Promised(connection) => Some(connection),
                _other => None,
            },
        }
    }
}
