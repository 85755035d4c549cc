//! The limits that a container is given are those of its cgroups.

use libtest_mimic::Trial;
use support::{Need, Verdict, group, trial};

use crate::engine::{Engine, ROOT};

const MEMORY: &[Need] = &[Need::Root, Need::Controller("memory")];
const CPU: &[Need] = &[Need::Root, Need::Controller("cpu"), Need::Cpus(2)];
const CPUSET: &[Need] = &[Need::Root, Need::Controller("cpuset")];
const PIDS: &[Need] = &[Need::Root, Need::Controller("pids")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("memory_is_limited", MEMORY, memory_is_limited),
        trial("swap_is_limited_with_it", MEMORY, swap_is_limited_with_it),
        trial("cpu_time_is_limited", CPU, cpu_time_is_limited),
        trial("cpus_are_limited", CPUSET, cpus_are_limited),
        trial("processes_are_limited", PIDS, processes_are_limited),
        trial("one_process_is_enough_to_start", PIDS, one_process_is_enough_to_start),
        trial("nothing_is_limited_unasked", ROOT, nothing_is_limited_unasked),
    ]
}

/// Fails unless the file of a container with `options` says `expected`.
fn check(
    options: &[&str],
    controller: &str,
    v1: &str,
    v2: &str,
    expected: (&str, &str),
) -> Verdict {
    let engine = Engine::new()?;
    let id = engine.start(options, &["sleep", "600"])?;
    let name = group::file(controller, v1, v2);
    let expected = if group::is_v2(controller) { expected.1 } else { expected.0 };
    let path = group::hierarchy(controller)?.join("porthole").join(&id).join(name);
    let found = std::fs::read_to_string(&path)?;
    anyhow::ensure!(found.trim() == expected, "{options:?}: {name} is {found:?}, not {expected:?}");
    engine.ask(&["rm", "-f", &id])?.succeeded()?;
    engine.is_empty(&[&id])
}

fn memory_is_limited() -> Verdict {
    let bytes = ("67108864", "67108864");
    check(&["-m", "64m"], "memory", "memory.limit_in_bytes", "memory.max", bytes)
}

fn swap_is_limited_with_it() -> Verdict {
    let swap = |options: &[&str], sum: &str, alone: &str| {
        let files = ("memory.memsw.limit_in_bytes", "memory.swap.max");
        check(options, "memory", files.0, files.1, (sum, alone))
    };
    swap(&["-m", "64m"], "134217728", "67108864")?;
    swap(&["-m", "64m", "--memory-swap", "64m"], "67108864", "0")?;
    swap(&["-m", "64m", "--memory-swap", "96m"], "100663296", "33554432")?;
    swap(&["-m", "64m", "--memory-swap", "-1"], "9223372036854771712", "max")
}

fn cpu_time_is_limited() -> Verdict {
    let quota = |cpus: &str, quota_us: &str| {
        let v2 = format!("{quota_us} 100000");
        check(&["--cpus", cpus], "cpu", "cpu.cfs_quota_us", "cpu.max", (quota_us, &v2))
    };
    quota("1", "100000")?;
    quota("0.5", "50000")?;
    quota("1.5", "150000")
}

fn cpus_are_limited() -> Verdict {
    check(&["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "cpuset.cpus", ("0", "0"))
}

fn processes_are_limited() -> Verdict {
    check(&["--pids-limit", "20"], "pids", "pids.max", "pids.max", ("20", "20"))
}

fn one_process_is_enough_to_start() -> Verdict {
    let engine = Engine::new()?;
    engine.run(&["--pids-limit", "1"], &["true"])?.succeeded()?;
    engine.is_empty(&[])
}

fn nothing_is_limited_unasked() -> Verdict {
    let max = ("9223372036854771712", "max");
    check(&[], "memory", "memory.limit_in_bytes", "memory.max", max)?;
    check(&[], "cpu", "cpu.cfs_quota_us", "cpu.max", ("-1", "max 100000"))?;
    check(&[], "pids", "pids.max", "pids.max", ("max", "max"))
}
