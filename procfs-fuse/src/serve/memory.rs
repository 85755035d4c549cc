//! Where histories are kept beyond the life of this process.

use std::fmt::Debug;

use crate::history::{History, LoadShown};

/// A memory that outlives the process; the FUSE side offers one.
pub trait Memory: Debug + Send + Sync {
    /// What was last remembered about a container.
    fn recall(&self, container: u64) -> Option<History>;

    /// Replaces what is remembered about a container.
    fn remember(&self, container: u64, history: &History);

    /// The container is gone, and will not be asked for again.
    fn forget(&self, _container: u64) {}

    /// The load averages of a container that were shown last, by whichever process.
    fn load_shown(&self, _container: u64) -> Option<LoadShown> {
        None
    }

    /// Notes the load averages of a container that are shown.
    fn show_load(&self, _container: u64, _load: &LoadShown) {}
}

/// No such memory: a process on its own remembers for as long as it lives.
#[derive(Debug)]
pub(super) struct NoMemory;

impl Memory for NoMemory {
    fn recall(&self, _container: u64) -> Option<History> {
        None
    }

    fn remember(&self, _container: u64, _history: &History) {}
}
