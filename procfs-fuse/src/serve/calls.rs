//! The same story for who asks the kernel and no file: `sysinfo(2)` and the calls about
//! CPU affinity.
//!
//! Whose container is decided at each call, as it is at each open.

use super::{Fault, Server};
use crate::readings::{Needs, Sample};
use crate::view;
use crate::view::cpu::Visible;
use crate::view::sysinfo::SystemInfo;

/// What `sysinfo(2)` is computed from: what three files are.
const SYSTEM_INFO: Needs = Needs::MEMORY
    .union(Needs::MEMORY_STAT)
    .union(Needs::TASKS)
    .union(Needs::LOAD)
    .union(Needs::START)
    .union(Needs::READER);

impl Server {
    /// What the machine is to the thread `thread`; `None` when it is the host's, or that
    /// cannot be told: then the kernel's own answer is right, or the best there is.
    pub fn system_info(&self, thread: u32) -> Option<SystemInfo> {
        view::sysinfo::system_info(&self.sample_for(SYSTEM_INFO, thread)?)
    }

    /// The CPUs that the thread `thread` sees; `None` as above.
    pub fn visible_cpus(&self, thread: u32) -> Option<Visible> {
        Some(view::cpu::visible(&self.sample_for(Needs::CPU_LIMITS, thread)?))
    }

    fn sample_for(&self, needs: Needs, thread: u32) -> Option<Sample> {
        let sample = self.decide(needs, thread.into()).and_then(|opening| {
            if opening.groups.is_empty() {
                return Ok(None);
            }
            let (_container, sample) = self.container_sample(needs, &opening, None)?;
            Ok(Some(sample))
        });
        sample.unwrap_or_else(|fault: Fault| {
            self.faults.note(&fault);
            None
        })
    }
}
