//! Sizes in the shared tree, for containers made by nobody's runtime: a control
//! group with limits and a pid namespace, all that `docker run -v` has too.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::needs::{host_meminfo, online_cpus};
use support::{Group, Need, Ran, Verdict, daemon, trial};

const MIB: u64 = 1 << 20;
const MEMORY: &[Need] = &[Need::Container, Need::Controller("memory")];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::File("/usr/bin/python3", "python3")];
const CPU: &[Need] = &[Need::Container, Need::Controller("cpu")];
const CPUSET: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(2)];
const FOUR_CPUS: &[Need] =
    &[Need::Container, Need::Controller("cpuset"), Need::Controller("cpu"), Need::Cpus(4)];
const SWAP: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Swap];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("mem_total_is_the_limit", MEMORY, mem_total_is_the_limit),
        trial(
            "mem_total_is_the_smallest_limit_above",
            MEMORY,
            mem_total_is_the_smallest_limit_above,
        ),
        trial("mem_total_is_at_most_the_hosts", MEMORY, mem_total_is_at_most_the_hosts),
        trial("mem_free_is_what_the_limit_leaves", MEMORY, mem_free_is_what_the_limit_leaves),
        trial(
            "mem_free_counts_a_parents_other_children",
            MEMORY,
            mem_free_counts_a_parents_other_children,
        ),
        trial("swap_total_is_the_limit", SWAP, swap_total_is_the_limit),
        trial(
            "unlimited_container_has_the_hosts_sizes",
            MEMORY,
            unlimited_container_has_the_hosts_sizes,
        ),
        trial("cpus_are_the_quota_rounded_up", CPU, cpus_are_the_quota_rounded_up),
        trial("cpus_are_the_smallest_quota_above", CPU, cpus_are_the_smallest_quota_above),
        trial("cpus_are_the_cpuset", CPUSET, cpus_are_the_cpuset),
        trial("cpus_are_the_effective_cpuset", FOUR_CPUS, cpus_are_the_effective_cpuset),
        trial(
            "cpus_are_the_smaller_of_quota_and_cpuset",
            FOUR_CPUS,
            cpus_are_the_smaller_of_quota_and_cpuset,
        ),
        trial("a_new_limit_is_seen_at_once", PYTHON, a_new_limit_is_seen_at_once),
    ]
}

/// A file of the shared tree, as a process in a container of `group` reads it.
fn read(group: &Group, file: &str) -> Result<Ran> {
    let path = daemon::shared()?.join(file);
    Ran::new(&mut group.container(&["cat", &path.to_string_lossy()]))?.succeeded()
}

fn mem_total_is_the_limit() -> Verdict {
    let group = Group::new(&["memory"])?;
    for mib in [64, 100, 512, 1024, 2048] {
        group.limit_memory(mib * MIB)?;
        let read = read(&group, "proc/meminfo")?;
        read.equal("MemTotal", &read.meminfo("MemTotal")?, &(mib * MIB))?;
    }
    Ok(())
}

fn mem_total_is_the_smallest_limit_above() -> Verdict {
    let parent = Group::new(&["memory"])?;
    parent.limit_memory(200 * MIB)?;
    let child = parent.child("child")?;
    let grandchild = child.child("grandchild")?;
    grandchild.limit_memory(1024 * MIB)?;
    let read = read(&grandchild, "proc/meminfo")?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(200 * MIB))
}

fn mem_total_is_at_most_the_hosts() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(host_meminfo("MemTotal") * 2)?;
    let read = read(&group, "proc/meminfo")?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &host_meminfo("MemTotal"))
}

/// A file of 30 MiB in a tmpfs is memory that cannot be reclaimed: MemFree must
/// be short of it, and MemAvailable too.
fn mem_free_is_what_the_limit_leaves() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let script = format!(
        "mount -t tmpfs none /mnt && head -c {} /dev/zero >/mnt/file && cat {}",
        30 * MIB,
        path.display()
    );
    let read = Ran::new(&mut group.container(&["sh", "-c", &script]))?.succeeded()?;
    read.between("MemFree", read.meminfo("MemFree")?, 55 * MIB, 70 * MIB)?;
    read.between("MemAvailable", read.meminfo("MemAvailable")?, 55 * MIB, 70 * MIB)?;
    read.between("Shmem", read.meminfo("Shmem")?, 30 * MIB, 31 * MIB)
}

fn mem_free_counts_a_parents_other_children() -> Verdict {
    let parent = Group::new(&["memory"])?;
    parent.limit_memory(100 * MIB)?;
    let (quiet, busy) = (parent.child("quiet")?, parent.child("busy")?);
    let path = daemon::shared()?.join("proc/meminfo");
    // The neighbour holds 40 MiB for as long as the reader runs.
    let mut neighbour = busy.container(&[
        "sh",
        "-c",
        &format!("mount -t tmpfs none /mnt && head -c {} /dev/zero >/mnt/file && echo ready && read line", 40 * MIB),
    ]);
    let mut neighbour = neighbour.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut ready = [0; 5];
    neighbour.stdout.as_mut().context("a pipe")?.read_exact(&mut ready)?;
    let read = Ran::new(&mut quiet.container(&["cat", &path.to_string_lossy()]))?.succeeded();
    drop(neighbour.stdin.take());
    neighbour.wait()?;
    let read = read?;
    read.equal("MemTotal", &read.meminfo("MemTotal")?, &(100 * MIB))?;
    read.between("MemFree", read.meminfo("MemFree")?, 45 * MIB, 60 * MIB)
}

fn swap_total_is_the_limit() -> Verdict {
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    group.limit_swap(100 * MIB, 50 * MIB)?;
    let meminfo = read(&group, "proc/meminfo")?;
    meminfo.equal("SwapTotal", &meminfo.meminfo("SwapTotal")?, &(50 * MIB))?;
    let swaps = read(&group, "proc/swaps")?;
    let size = swaps.find("swap area", |text| {
        text.lines().nth(1)?.split_ascii_whitespace().nth(2)?.parse::<u64>().ok()
    })?;
    swaps.equal("size in /proc/swaps, in KiB", &size, &(50 * 1024))?;
    group.limit_swap(100 * MIB, 0)?;
    let meminfo = read(&group, "proc/meminfo")?;
    meminfo.equal("SwapTotal", &meminfo.meminfo("SwapTotal")?, &0)
}

fn unlimited_container_has_the_hosts_sizes() -> Verdict {
    let group = Group::new(&["memory", "cpu"])?;
    let meminfo = read(&group, "proc/meminfo")?;
    meminfo.equal("MemTotal", &meminfo.meminfo("MemTotal")?, &host_meminfo("MemTotal"))?;
    check_cpus(&group, online_cpus())
}

fn cpus_are_the_quota_rounded_up() -> Verdict {
    let group = Group::new(&["cpu"])?;
    for (quota_us, cpus) in
        [(50_000, 1), (100_000, 1), (150_000, 2), (200_000, 2), (10_000_000, usize::MAX)]
    {
        group.limit_cpu(quota_us)?;
        check_cpus(&group, cpus.min(online_cpus()))?;
    }
    Ok(())
}

fn cpus_are_the_smallest_quota_above() -> Verdict {
    let parent = Group::new(&["cpu"])?;
    parent.limit_cpu(100_000)?;
    check_cpus(&parent.child("child")?, 1)
}

fn cpus_are_the_cpuset() -> Verdict {
    let group = Group::new(&["cpuset"])?;
    group.limit_cpuset("1")?;
    check_cpus(&group, 1)
}

/// What was asked for is not what counts: the parent has taken CPUs away.
fn cpus_are_the_effective_cpuset() -> Verdict {
    let parent = Group::new(&["cpuset"])?;
    let child = parent.child("child")?;
    parent.limit_cpuset("1-3")?;
    child.limit_cpuset("1-3")?;
    check_cpus(&child, 3)?;
    let unset = parent.child("unset")?;
    check_cpus(&unset, 3)
}

fn cpus_are_the_smaller_of_quota_and_cpuset() -> Verdict {
    let group = Group::new(&["cpuset", "cpu"])?;
    group.limit_cpuset("0-2")?;
    check_cpus(&group, 3)?;
    group.limit_cpu(150_000)?;
    check_cpus(&group, 2)?;
    group.limit_cpu(400_000)?;
    check_cpus(&group, 3)
}

/// The count of CPUs from every file that tells it, and that they are 0..N-1.
fn check_cpus(group: &Group, expected: usize) -> Verdict {
    let online = read(group, "sys/devices/system/cpu/online")?;
    let list = if expected == 1 { "0\n".to_owned() } else { format!("0-{}\n", expected - 1) };
    online.equal("cpu/online", &online.stdout, &list)?;
    let wanted: Vec<usize> = (0..expected).collect();
    let cpuinfo = read(group, "proc/cpuinfo")?;
    cpuinfo.equal("processors of cpuinfo", &processors(&cpuinfo.stdout), &wanted)?;
    let stat = read(group, "proc/stat")?;
    stat.equal("cpu lines of stat", &cpu_lines(&stat.stdout), &wanted)
}

/// The numbers in the `processor` lines of cpuinfo.
fn processors(cpuinfo: &str) -> Vec<usize> {
    let lines = cpuinfo.lines().filter(|line| line.starts_with("processor"));
    lines.filter_map(|line| line.split_once(':')?.1.trim().parse().ok()).collect()
}

/// The numbers in `cpu0 ...` of stat.
fn cpu_lines(stat: &str) -> Vec<usize> {
    let lines = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines.filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

/// What `top` does: it keeps the file open and reads it again from the start.
fn a_new_limit_is_seen_at_once() -> Verdict {
    const SCRIPT: &str = "\
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
print(os.pread(file, 4096, 0).decode(), flush=True)
sys.stdin.read()
print(os.pread(file, 4096, 0).decode())";
    let group = Group::new(&["memory"])?;
    group.limit_memory(100 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let mut reader = group.container(&["/usr/bin/python3", "-c", SCRIPT, &path.to_string_lossy()]);
    let mut reader = reader.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let mut stdout = BufReader::new(reader.stdout.take().context("a pipe")?);
    stdout.read_line(&mut line)?;
    ensure!(line == "MemTotal:         102400 kB\n", "the first reading began with {line:?}");
    group.limit_memory(200 * MIB)?;
    drop(reader.stdin.take());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest)?;
    reader.wait()?;
    ensure!(rest.contains("MemTotal:         204800 kB\n"), "the second reading:\n{rest}");
    Ok(())
}
