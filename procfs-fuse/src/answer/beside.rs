//! The memory of the daemon beside which calls are answered: what both show must agree,
//! and whoever watches the daemon watches us.
//!
//! It is the daemon's, which may be another version by now, or never have been there. So
//! it is looked at each time whether its tables are those that we know; where they are
//! not, load averages are ours alone, and nobody counts.

use std::sync::atomic::Ordering::SeqCst;

use super::call::Call;
use super::notes::Notes;
use crate::history::{History, LoadShown};
use crate::serve::Memory;
use crate::shared::Shared;
use crate::shared::calls::{Answered, SystemCall};
use crate::shared::header::TABLES;

/// The daemon's memory, where there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside(Option<&'static Shared>);

impl Beside {
    /// Beside the daemon with this memory.
    pub(super) fn new(memory: Option<&'static Shared>) -> Self {
        Self(memory)
    }

    fn tables(&self) -> Option<&'static Shared> {
        self.0.filter(|shared| shared.header.tables.load(SeqCst) == TABLES)
    }

    /// Counts a call.
    pub(super) fn count(&self, call: &Call, answered: Answered) {
        if let Some(shared) = self.tables() {
            shared.counters.calls.count(which(call), answered);
        }
    }

    /// Counts the answerers that were replaced and nobody has counted yet.
    pub(super) fn count_takeovers(&self, notes: &Notes) {
        if let Some(shared) = self.tables() {
            let all = notes.takeovers.load(SeqCst);
            let counted = notes.counted_takeovers.swap(all, SeqCst);
            shared.counters.calls.takeovers.add(all.saturating_sub(counted));
        }
    }

    /// Says how many listeners there are.
    pub(super) fn tell_listeners(&self, notes: &Notes) {
        if let Some(shared) = self.tables() {
            let held = notes.listeners.iter().filter(|place| place.listener().is_some());
            shared.counters.calls.listeners.set(held.count() as u64);
        }
    }
}

fn which(call: &Call) -> SystemCall {
    match call {
        Call::SysInfo { .. } => SystemCall::SysInfo,
        Call::GetAffinity(_) => SystemCall::GetAffinity,
        Call::SetAffinity(_) => SystemCall::SetAffinity,
    }
}

/// Histories are the worker's: what we show is of the moment, but for loads.
impl Memory for Beside {
    fn recall(&self, _container: u64) -> Option<History> {
        None
    }

    fn remember(&self, _container: u64, _history: &History) {}

    fn load_shown(&self, container: u64) -> Option<LoadShown> {
        self.tables()?.loads.shown(container)
    }

    fn show_load(&self, container: u64, load: &LoadShown) {
        if let Some(shared) = self.tables() {
            shared.loads.show(container, load);
        }
    }
}
