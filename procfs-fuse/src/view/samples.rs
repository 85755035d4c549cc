//! Readings for the tests of this folder: a host with four CPUs and 8 GiB.

use std::num::NonZeroU64;

use cgroupfs::bandwidth::Bandwidth;
use cgroupfs::cpu_list::CpuList;

use crate::host::meminfo::HostMemory;
use crate::readings::{Container, Cpu, CpuUsage, Host, Reader, Sample};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A container without any reading, asked 1,000 s after the host's start.
pub(crate) fn sample(host_text: &str) -> Sample {
    Sample {
        now_ns: 1_000 * SECOND,
        host_text: host_text.into(),
        host: Host {
            online: CpuList::first(4),
            memory: HostMemory { total: 8 << 30, ..HostMemory::default() },
            nodes: Vec::new(),
            device: None,
            page_size: 4096,
            ticks_per_second: 100,
        },
        container: Container::default(),
        reader: Reader::default(),
    }
}

/// A container with `cpus` CPUs that began 100 s ago and has used this much.
pub(crate) fn used(host_text: &str, cpus: u32, user_s: u64, system_s: u64) -> Sample {
    let mut sample = sample(host_text);
    let period_us = NonZeroU64::new(100_000).unwrap();
    let bandwidth = Bandwidth { quota_us: u64::from(cpus) * 100_000, period_us };
    let usage = CpuUsage { user_ns: user_s * SECOND, system_ns: system_s * SECOND };
    sample.container.cpu = Some(Cpu {
        bandwidth: vec![bandwidth].into(),
        cpuset: None,
        memory_nodes: None,
        usage: Some(usage),
    });
    sample.container.started_ns = Some(900 * SECOND);
    sample
}
