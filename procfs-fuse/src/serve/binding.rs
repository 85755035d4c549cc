//! Whose files a private tree shows: decided once, when it is made.
//!
//! Whoever asks for a tree says for which process, and that one is in the
//! container's own groups by then, so nothing needs to be guessed: its groups are
//! those whose limits count.

use std::collections::{HashMap, HashSet};
use std::error::Error;

use super::opening::Opening;
use super::{Fault, File, Server};
use crate::caller::Identified;
use crate::catalog::CATALOG;
use crate::host::meminfo;
use crate::scope;

/// The file that the kernel may keep.
const MEMINFO: &str = "proc/meminfo";

/// A process for which no tree can be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No limit can count for it.
    #[error("process {0} is in no control group of its own")]
    NoGroup(u32),
    /// Nothing is known of it.
    #[error("cannot tell which control groups process {process} is in")]
    Unknown {
        /// The process.
        process: u32,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Server {
    /// For whom a tree is that is made for the process `process`.
    ///
    /// # Errors
    ///
    /// [`BindError`] when it is gone, or in no group.
    pub fn bind(&self, process: u32) -> Result<Opening, BindError> {
        let opening = self.bind_or_fault(process);
        let opening =
            opening.map_err(|fault| BindError::Unknown { process, source: Box::new(fault) })?;
        if opening.groups.is_empty() { Err(BindError::NoGroup(process)) } else { Ok(opening) }
    }

    fn bind_or_fault(&self, process: u32) -> Result<Opening, Fault> {
        let Identified { caller, init, .. } = self.callers.identify(process)?;
        let groups = scope::own_groups(&caller.membership, &*self.layout()?)?;
        if groups.is_empty() {
            return Ok(Opening::default());
        }
        let container = self.containers.identify(groups).map_err(|_gone| Fault::Gone)?;
        let init = init.map(|init| init.init()).transpose()?;
        let boottime_offset_ns = self.callers.boottime_offset_ns(process)?;
        Ok(Opening { groups: container.ids, init, boottime_offset_ns })
    }

    /// True when the text of the container's `meminfo` has one length for as long as its
    /// limits are what they are: the kernel gives each number 8 columns, and none
    /// that moves is above the sizes.
    pub fn has_meminfo_of_one_length(&self, opening: &Opening) -> bool {
        const MOST_KIB: u64 = 99_999_999;
        let Some(entry) = CATALOG.iter().find(|entry| entry.path == MEMINFO) else { return false };
        let mut text = Vec::new();
        let file = File { entry, path: MEMINFO, which: None };
        if self.text(file, opening, &mut text).is_err() {
            return false;
        }
        let text = String::from_utf8_lossy(&text);
        let memory = meminfo::parse(meminfo::lines(&text));
        memory.total / 1024 <= MOST_KIB && memory.commit_limit / 1024 <= MOST_KIB
    }

    /// Whether the containers that were decided on are there, one after the other.
    /// Where that cannot be told, they are.
    pub fn are_there(&self, openings: impl IntoIterator<Item = Opening>) -> Vec<bool> {
        let layout = self.layout();
        let mut found: HashMap<_, HashSet<u64>> = HashMap::new();
        let is_there = |opening: Opening| {
            let Ok(layout) = &layout else { return true };
            // One group stands for all: they are made and removed together.
            opening.groups.iter().next().is_none_or(|(controller, version, id)| {
                let ids = found.entry((version, controller));
                ids.or_insert_with(|| layout.ids(version, controller)).contains(&id)
            })
        };
        openings.into_iter().map(is_there).collect()
    }
}
