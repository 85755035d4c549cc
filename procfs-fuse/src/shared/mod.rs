//! Memory that outlives workers: one memfd, held by the keeper.
//!
//! The one idea: what a worker must not take with it when it dies is here, and
//! everything here is atomic words, so that a process that is killed between
//! any two instructions leaves nothing that its successor cannot read.
//!
//! Exactly one worker serves at a time; the next one begins after it is dead.
//! So words need no locks between processes, only an order: contents first,
//! then the word that says that they are there.
//!
//! What this folder does not do: system calls (`sys`), or decide anything about
//! workers (`keeper`) and requests (`fuse`).

pub mod calls;
pub mod counters;
pub mod descriptors;
pub mod header;
pub mod histories;
pub mod loads;
pub mod open_table;
pub mod paths;
pub mod private_trees;
pub mod quarantine;
pub mod slots;
pub mod texts;
pub mod waiting;

/// Exit code of a worker that found the file system unmounted.
pub const UNMOUNTED: i32 = 3;

/// The whole layout; see the parts. What every version must find where it is comes
/// first; what follows, the tables, a version may begin anew.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Shared {
    /// Which layout this is, and the life of the mount.
    pub header: header::Header,
    /// Requests that are being answered, one bank for each worker.
    pub banks: [slots::Bank; slots::BANKS],
    /// Requests that wait for their turn, for each bank.
    pub waiting: [waiting::Waiting; slots::BANKS],
    /// Containers that have private trees. What these are mounted in outlives any
    /// version, so they are none of the tables.
    pub private_trees: private_trees::PrivateTrees,
    /// Requests that killed workers. The first of the tables.
    pub quarantine: quarantine::Quarantine,
    /// Open files.
    pub open_table: open_table::OpenTable,
    /// Texts of files that were read in part.
    pub texts: texts::Texts,
    /// What is remembered about containers.
    pub histories: histories::Histories,
    /// What was shown of their load.
    pub loads: loads::Loads,
    /// What is counted for whoever watches.
    pub counters: counters::Counters,
    /// What node numbers stand for.
    pub paths: paths::Paths,
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    /// Whoever changes a size raises the number of what has changed. So does who
    /// changes what a word means, which nothing notices.
    #[test]
    fn another_size_is_another_layout() {
        assert_eq!((header::LAYOUT, offset_of!(Shared, quarantine)), (5, 4_218_880));
        assert_eq!((header::TABLES, size_of::<Shared>()), (7, 41_164_800));
    }
}
