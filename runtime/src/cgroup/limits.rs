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

/// Writes `resources` into the files of `cgroup`, whose controllers were checked.
pub(super) fn apply(cgroup: &Cgroup, resources: &Resources) -> Result<Vec<Warning>, CgroupError> {
    let failed = |option| move |error| CgroupError::limit(cgroup.path(), option, &error);
    let mut warnings = Vec::new();
    if let Some(controller) = cgroup.controller_of::<MemController>() {
        memory(controller, resources).map_err(failed("-m"))?;
        warnings.extend(swap(controller, resources).map_err(failed("--memory-swap"))?);
    }
    if let Some(controller) = cgroup.controller_of::<CpuController>() {
        cpu(controller, resources).map_err(failed("--cpus"))?;
    }
    if let Some(controller) = cgroup.controller_of::<CpuSetController>() {
        cpuset(controller, resources).map_err(failed("--cpuset-cpus"))?;
    }
    if let Some(controller) = cgroup.controller_of::<PidController>() {
        pids(controller, resources).map_err(failed("--pids-limit"))?;
    }
    Ok(warnings)
}

fn memory(controller: &MemController, resources: &Resources) -> Result<(), Error> {
    resources.memory.map_or(Ok(()), |memory| controller.set_limit(signed(memory)))
}

/// Limits swap, after memory: v1's file holds the sum and may not be below it.
fn swap(controller: &MemController, resources: &Resources) -> Result<Option<Warning>, Error> {
    let (Some(memory), Some(swap)) = (resources.memory, resources.swap) else { return Ok(None) };
    let file =
        if Controller::v2(controller) { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" };
    if !controller.path().join(file).exists() {
        return Ok(Some(Warning::SwapNotLimited));
    }
    let value = match swap {
        Limit::Unlimited => -1,
        Limit::AtMost(swap) if Controller::v2(controller) => signed(swap),
        Limit::AtMost(swap) => signed(memory.saturating_add(swap)),
    };
    controller.set_memswap_limit(value).map(|()| None)
}

fn cpu(controller: &CpuController, resources: &Resources) -> Result<(), Error> {
    let Some(quota_us) = resources.cpu_quota_us else { return Ok(()) };
    controller.set_cfs_period(CPU_PERIOD_US)?;
    controller.set_cfs_quota(signed(quota_us.get()))
}

/// v1's `cpuset.mems`, without which nothing can join, was copied from the parent
/// when the group was made.
fn cpuset(controller: &CpuSetController, resources: &Resources) -> Result<(), Error> {
    resources.cpuset.as_ref().map_or(Ok(()), |list| controller.set_cpus(&list.to_string()))
}

fn pids(controller: &PidController, resources: &Resources) -> Result<(), Error> {
    let Some(count) = resources.pids else { return Ok(()) };
    controller.set_pid_max(MaxValue::Value(signed(count)))
}

/// `cgroups-rs` takes signed numbers, -1 for none; one this large is as good as
/// no limit, which is what `i64::MAX` means to the kernel too.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
