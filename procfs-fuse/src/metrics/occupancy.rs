//! How full the tables are that outlive workers; read off them when somebody asks.
//!
//! The words are those of a daemon that goes on meanwhile, so two of them may be of two
//! moments.

use std::sync::atomic::Ordering::SeqCst;

use serde::{Deserialize, Serialize};

use crate::shared::Shared;
use crate::shared::calls::LISTENERS;
use crate::shared::counters::Counter;
use crate::shared::histories::CONTAINERS;
use crate::shared::open_table::{RECORDS, Record, Use};
use crate::shared::private_trees::TREES;
use crate::shared::slots::{Realm, State};
use crate::shared::texts::CHUNKS;
use crate::shared::waiting::PLACES;

/// Places in use and all there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Places in use.
    pub used: u64,
    /// All places.
    pub size: u64,
}

/// What a daemon keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    /// Containers that have read a file and are not known to be gone.
    pub containers: u64,
    /// Files that are open.
    pub open_files: Table,
    /// Pieces of 4 KiB of texts that were read in part.
    pub texts: Table,
    /// Containers whose counters are remembered.
    pub histories: Table,
    /// Containers that have a tree of their own.
    pub private_trees: Table,
    /// Containers whose system calls are answered, and what was run in them since.
    pub listeners: Table,
    /// Requests that were read and wait for their turn, or for the end of their answer.
    pub waiting: Table,
    /// Pairs of container and file that are answered with the host's text.
    pub quarantined: u64,
    /// Workers that were killed and are not dead yet.
    pub stuck_workers: u64,
}

impl Occupancy {
    /// What is kept in `shared` at `now_ns` of `CLOCK_BOOTTIME`.
    pub fn of(shared: &Shared, now_ns: u64) -> Self {
        let open = || used_records(shared).filter(|record| record.state().0 == Use::Open);
        let chunks = |record: &Record| shared.texts.places(record.text.load(SeqCst)).count();
        let is_stuck = |state| state == State::Hung;
        let banks = shared.banks.iter();
        Self {
            containers: shared.counters.containers.get(),
            open_files: Table::new(open().count(), RECORDS),
            texts: Table::new(open().map(chunks).sum(), CHUNKS),
            histories: Table::new(shared.histories.remembered().count(), CONTAINERS),
            private_trees: Table::new(shared.private_trees.all().count(), TREES),
            listeners: Table {
                used: shared.counters.calls.listeners.get(),
                size: LISTENERS as u64,
            },
            waiting: Table {
                used: shared.counters.waiting.iter().map(Counter::get).sum(),
                size: (PLACES * Realm::ALL.len()) as u64,
            },
            quarantined: shared.quarantine.held(now_ns),
            stuck_workers: banks.filter(|bank| is_stuck(bank.state())).count() as u64,
        }
    }
}

impl Table {
    fn new(used: usize, size: usize) -> Self {
        Self { used: used as u64, size: size as u64 }
    }
}

fn used_records(shared: &Shared) -> impl Iterator<Item = &Record> {
    let used = usize::try_from(shared.open_table.used.load(SeqCst)).unwrap_or(0);
    shared.open_table.records.iter().take(used)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::shared_memory;

    #[test]
    fn what_is_there_is_counted() {
        let shared = shared_memory::map(shared_memory::create().unwrap().as_fd()).unwrap();
        let empty = Occupancy::of(shared, 1);
        assert_eq!(
            (empty.open_files, empty.texts),
            (Table::new(0, RECORDS), Table::new(0, CHUNKS))
        );
        shared.counters.containers.set(3);
        shared.open_table.used.store(3, SeqCst);
        for record in &shared.open_table.records[..2] {
            record.begin();
            record.publish();
        }
        shared.open_table.records[0].text.store(shared.texts.write(&[b'x'; 5000], &[8, 9]), SeqCst);
        shared.open_table.records[2].begin(); // still opening
        shared.histories.make_room(7, None);
        shared.private_trees.make(1, &[0; crate::serve::OPENING_WORDS]).unwrap();
        shared.counters.calls.listeners.set(4);
        shared.counters.waiting[0].set(6);
        shared.counters.waiting[2].set(1);
        shared.quarantine.strike(5, 1);
        shared.quarantine.strike(5, 1);
        shared.banks[1].set_state(State::Hung);
        let expected = Occupancy {
            containers: 3,
            open_files: Table::new(2, RECORDS),
            texts: Table::new(2, CHUNKS),
            histories: Table::new(1, CONTAINERS),
            private_trees: Table::new(1, TREES),
            listeners: Table::new(4, LISTENERS),
            waiting: Table::new(7, 3 * PLACES),
            quarantined: 1,
            stuck_workers: 1,
        };
        assert_eq!(Occupancy::of(shared, 1), expected);
    }
}
