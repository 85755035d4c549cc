//! How much CPU time a container has used and left idle, CPU by CPU.
//!
//! The arithmetic, and what must be remembered for it, is in
//! [`history::cpu_time`](crate::history::cpu_time); this module feeds it. Both
//! `/proc/stat` and `/proc/uptime` come through here, so that they agree.

use super::cpu::{Visible, visible};
use crate::history::cpu_time::{CpuTime, Reading};
use crate::readings::{CpuUsage, Sample};

/// Steps `time` forward to this `sample` and says which CPUs are visible.
///
/// `None` when the container's use of CPU time is not known and it sees all CPUs;
/// `time` stays as it is. Where it sees fewer, a v1 group with a quota but none that
/// accounts, the host's lines would contradict `cpuinfo`: its N CPUs are idle, as
/// nothing that anybody used can be told of them.
pub fn advance(sample: &Sample, time: &mut CpuTime) -> Option<Visible> {
    let cpu = sample.container.cpu.as_ref()?;
    let visible = visible(sample);
    let sees_all = visible.physical == sample.host.online;
    let usage = cpu.usage.or_else(|| (!sees_all).then(CpuUsage::default))?;
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
