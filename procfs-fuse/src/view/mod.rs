//! What a container shall see: policy as pure functions of readings.
//!
//! One module per question ("how much memory?", "how many CPUs?") and one per
//! file whose lines differ in what they mean. Numbers are clamped here, so that
//! no renderer can meet one that makes no sense.
//!
//! What this folder does not do: read (`readings/`), remember (`history/`) or
//! format (`render/`). What each line of each file means is also said, for
//! people, in docs/SEMANTICS.md.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods)]

pub mod affinity;
pub mod cpu;
pub mod cpu_columns;
pub mod cpu_lists;
pub mod cpu_time;
pub mod cpuinfo;
pub mod disks;
pub mod free_pages;
pub mod loadavg;
pub mod meminfo;
pub mod memory;
pub mod nodes;
pub mod pages;
pub mod schedstat;
pub mod slabinfo;
pub mod stat;
pub mod swaps;
pub mod sysinfo;
pub mod uptime;
pub mod vmstat;
pub mod zoneinfo;

#[cfg(test)]
pub(crate) mod samples;
