//! How much CPU time a container has used and left idle, CPU by CPU.
//!
//! The arithmetic, and what must be remembered for it, is in
//! [`history::cpu_time`](crate::history::cpu_time); this module feeds it. Both
//! `/proc/stat` and `/proc/uptime` come through here, so that they agree.

use super::cpu::{Visible, visible};
use crate::history::cpu_time::{CpuTime, Reading};
use crate::readings::Sample;

/// Steps `time` forward to this `sample` and says which CPUs are visible.
///
/// `None` when the container's use of CPU time is not known; `time` stays as it is.
pub fn advance(sample: &Sample, time: &mut CpuTime) -> Option<Visible> {
    let usage = sample.container.cpu.as_ref()?.usage?;
    let visible = visible(sample);
    time.advance(&Reading {
        now_ns: sample.now_ns,
        // A container of unknown age is as old as the host: nothing else on the
        // machine can be older, and its uptime says the same.
        started_ns: sample.container.started_ns.unwrap_or(0),
        user_ns: usage.user_ns,
        system_ns: usage.system_ns,
        cpus: visible.count(),
    });
    Some(visible)
}
