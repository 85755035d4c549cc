//! A plan's limits become the kernel's, on v1 and v2.
//!
//! Each is set by the controller's own setter: `Cgroup::apply` of `cgroups-rs`
//! ignores what the kernel refuses, and a container without the limit it was
//! given would be a lie.

use std::fmt;

use cgroupfs::limit::Limit;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::error::Error;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{Cgroup, Controller, MaxValue};

use super::CgroupError;
use crate::plan::{CPU_PERIOD_US, Resources};

/// A limit that is less than what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The kernel does not account swap: memory is limited, swap is not.
    SwapNotLimited,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SwapNotLimited => {
                "this kernel does not account swap: memory is limited, swap is not (boot with swapaccount=1)"
            }
        })
    }
}

/// Makes the limits of `cgroup`, whose controllers were checked, those of `after`
/// where they have been those of `before`; what is in both alike is not touched.
///
/// The CPUs come last: no other limit is refused by a machine that has its
/// controller, but for memory, which comes first.
pub(super) fn apply(
    cgroup: &Cgroup,
    before: &Resources,
    after: &Resources,
) -> Result<Vec<Warning>, CgroupError> {
    let failed = |option| move |error| CgroupError::limit(cgroup.path(), option, &error);
    let mut warnings = Vec::new();
    if let Some(controller) = cgroup.controller_of::<MemController>()
        && (before.memory, before.swap) != (after.memory, after.swap)
    {
        warnings.extend(memory_and_swap(controller, before, after, cgroup.path())?);
    }
    if let Some(controller) = cgroup.controller_of::<CpuController>()
        && before.cpu_quota_us != after.cpu_quota_us
    {
        cpu(controller, after).map_err(failed("--cpus"))?;
    }
    if let Some(controller) = cgroup.controller_of::<PidController>()
        && before.pids != after.pids
    {
        pids(controller, after).map_err(failed("--pids-limit"))?;
    }
    if let Some(controller) = cgroup.controller_of::<CpuSetController>()
        && before.cpuset != after.cpuset
    {
        cpuset(controller, after).map_err(failed("--cpuset-cpus"))?;
    }
    Ok(warnings)
}

/// Limits memory and swap in the order that the kernel accepts.
fn memory_and_swap(
    controller: &MemController,
    before: &Resources,
    after: &Resources,
    group: &str,
) -> Result<Option<Warning>, CgroupError> {
    let failed = |option| move |error| CgroupError::limit(group, option, &error);
    let set_memory = || memory(controller, after).map_err(failed("-m"));
    let set_swap = || swap(controller, after).map_err(failed("--memory-swap"));
    if swap_first(before, after) {
        let warning = set_swap()?;
        return set_memory().map(|()| warning);
    }
    set_memory()?;
    set_swap()
}

/// Whether swap must be limited before memory is: v1's file holds the sum, which
/// may at no moment be below the memory.
fn swap_first(before: &Resources, after: &Resources) -> bool {
    let sum = match (after.memory, after.swap) {
        (Some(memory), Some(Limit::AtMost(swap))) => memory.saturating_add(swap),
        _ => u64::MAX,
    };
    before.memory.is_some_and(|memory| sum >= memory)
}

fn memory(controller: &MemController, resources: &Resources) -> Result<(), Error> {
    controller.set_limit(resources.memory.map_or(NO_LIMIT, signed))
}

/// Limits swap; without a limit of memory there is none of swap.
fn swap(controller: &MemController, resources: &Resources) -> Result<Option<Warning>, Error> {
    let file =
        if Controller::v2(controller) { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" };
    let value = match (resources.memory, resources.swap) {
        (Some(_), Some(Limit::AtMost(swap))) if Controller::v2(controller) => signed(swap),
        (Some(memory), Some(Limit::AtMost(swap))) => signed(memory.saturating_add(swap)),
        _ => NO_LIMIT,
    };
    if !controller.path().join(file).exists() {
        return Ok((value != NO_LIMIT).then_some(Warning::SwapNotLimited));
    }
    controller.set_memswap_limit(value).map(|()| None)
}

fn cpu(controller: &CpuController, resources: &Resources) -> Result<(), Error> {
    controller.set_cfs_period(CPU_PERIOD_US)?;
    controller.set_cfs_quota(resources.cpu_quota_us.map_or(NO_LIMIT, |quota| signed(quota.get())))
}

/// v1's `cpuset.mems`, without which nothing can join, was copied from the parent
/// when the group was made. A set that was given once is never taken back whole.
fn cpuset(controller: &CpuSetController, resources: &Resources) -> Result<(), Error> {
    resources.cpuset.as_ref().map_or(Ok(()), |list| controller.set_cpus(&list.to_string()))
}

fn pids(controller: &PidController, resources: &Resources) -> Result<(), Error> {
    let limit = resources.pids.map_or(MaxValue::Max, |count| MaxValue::Value(signed(count)));
    controller.set_pid_max(limit)
}

/// What `cgroups-rs` takes for no limit.
const NO_LIMIT: i64 = -1;

/// `cgroups-rs` takes signed numbers; one this large is as good as
/// no limit, which is what `i64::MAX` means to the kernel too.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MiB of memory and of swap alone.
    fn resources(memory: Option<u64>, swap: Option<u64>) -> Resources {
        let swap = swap.map(|mib| Limit::AtMost(mib << 20));
        Resources { memory: memory.map(|mib| mib << 20), swap, ..Resources::default() }
    }

    #[track_caller]
    fn check(before: (u64, u64), after: (u64, u64), first: bool) {
        let [before, after] = [before, after].map(|(m, s)| resources(Some(m), Some(s)));
        assert_eq!(swap_first(&before, &after), first);
    }

    #[test]
    fn the_sum_is_never_below_the_memory() {
        check((64, 64), (256, 256), true); // growing: the sum makes room
        check((256, 256), (64, 64), false); // shrinking: memory makes way
        check((64, 64), (96, 0), true);
        check((96, 0), (64, 64), true); // the sum, 128, is above both
        let unlimited = Resources::default();
        assert!(!swap_first(&unlimited, &resources(Some(64), Some(0))));
        assert!(swap_first(&resources(Some(64), Some(0)), &unlimited));
    }
}
