//! Programs that everybody uses, in containers that `porthole` makes: what they
//! show is what the container was given.

use anyhow::Result;
use libtest_mimic::Trial;
use support::needs::{online_cpus, swap_total};
use support::terminal::Terminal;
use support::{Need, Ran, Verdict, container, speed, trial};

const MIB: u64 = 1 << 20;
const PROCPS: &[Need] = &[Need::Container, Need::Program("top", "procps")];
const BUSYBOX: &[Need] = &[Need::Container, Need::Program("busybox", "busybox-static")];
const HTOP: &[Need] = &[Need::Container, Need::Program("htop", "htop")];
const MANY_HTOPS: &[Need] = &[Need::Container, Need::Speed, Need::Program("htop", "htop")];
const MPSTAT: &[Need] = &[Need::Container, Need::Speed, Need::Program("mpstat", "sysstat")];
const MANY_TOPS: &[Need] = &[Need::Container, Need::Speed, Need::Program("top", "procps")];
const IOSTAT: &[Need] = &[Need::Container, Need::Program("iostat", "sysstat")];
const PSUTIL: &[Need] = &[
    Need::Container,
    Need::Speed,
    Need::File("/usr/bin/python3", "python3"),
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
];
const LSCPU: &[Need] = &[Need::Container, Need::Speed, Need::Program("lscpu", "util-linux")];
const LSMEM: &[Need] = &[Need::Container, Need::Speed, Need::Program("lsmem", "util-linux")];
const HWLOC: &[Need] = &[Need::Container, Need::Speed, Need::Program("hwloc-ls", "hwloc-nox")];
const NUMACTL: &[Need] = &[Need::Container, Need::Speed, Need::Program("numactl", "numactl")];
const CPUSETS: &[Need] = &[
    Need::Container,
    Need::Controller("cpuset"),
    Need::Cpus(4),
    Need::Program("lscpu", "util-linux"),
    Need::Program("hwloc-ls", "hwloc-nox"),
];
const IDS: &[Need] = &[
    Need::Container,
    Need::Speed,
    Need::Controller("cpuset"),
    Need::Cpus(2),
    Need::Program("taskset", "util-linux"),
    Need::Program("hwloc-ls", "hwloc-nox"),
];
const FOUR_CPUS: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(4)];

/// Every `--cpus` of the tests, with the CPUs that a container then has.
const QUOTAS: &[(&str, usize)] = &[("0.5", 1), ("1", 1), ("1.5", 2), ("2", 2)];

/// Whole numbers of CPUs that this machine can give to a container.
fn counts() -> impl Iterator<Item = usize> {
    1..=online_cpus().min(3)
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("free_total_is_the_limit", PROCPS, free_total_is_the_limit),
        trial("top_shows_memory_and_tasks", PROCPS, top_shows_memory_and_tasks),
        trial("vmstat_shows_the_limit", PROCPS, vmstat_shows_the_limit),
        trial("memory_swap_is_memory_and_swap", PROCPS, memory_swap_is_memory_and_swap),
        trial("busybox_top_shows_the_limit", BUSYBOX, busybox_top_shows_the_limit),
        trial("htop_shows_the_limit", HTOP, htop_shows_the_limit),
        trial("htop_has_a_meter_for_each_cpu", MANY_HTOPS, htop_has_a_meter_for_each_cpu),
        trial("top_has_a_line_for_each_cpu", MANY_TOPS, top_has_a_line_for_each_cpu),
        trial("mpstat_has_a_row_for_each_cpu", MPSTAT, mpstat_has_a_row_for_each_cpu),
        trial("iostat_counts_what_diskstats_does", IOSTAT, iostat_counts_what_diskstats_does),
        trial("getconf_counts_cpus", &[Need::Container], getconf_counts_cpus),
        trial("lscpu_is_consistent", LSCPU, lscpu_is_consistent),
        trial("hwloc_is_consistent", HWLOC, hwloc_is_consistent),
        trial("numactl_shows_the_containers_cpus", NUMACTL, numactl_shows_the_containers_cpus),
        trial("lsmem_counts_the_containers_blocks", LSMEM, lsmem_counts_the_containers_blocks),
        trial("cpusets_are_consistent", CPUSETS, cpusets_are_consistent),
        trial(
            "ids_that_the_kernel_tells_are_physical",
            IDS,
            ids_that_the_kernel_tells_are_physical,
        ),
        trial("python_and_psutil_count_cpus", PSUTIL, python_and_psutil_count_cpus),
        trial("psutil_sees_the_limit", PSUTIL, psutil_sees_the_limit),
        trial("cpuset_of_a_container", FOUR_CPUS, cpuset_of_a_container),
        trial("no_view_leaves_the_hosts", PROCPS, no_view_leaves_the_hosts),
    ]
}

fn free_total_is_the_limit() -> Verdict {
    for mib in speed::tried(&[64_u64, 128, 512, 1024, 2048]) {
        let ran = container::shell(&["-m", &format!("{mib}m")], "free -b")?;
        let row = |name: &str| ran.find(name, |text| numbers_after(text, name));
        let memory = row("Mem:")?;
        ran.equal("total of free", &memory.first(), &Some(&(mib * MIB)))?;
        let used_and_free: u64 = memory.iter().skip(1).take(2).sum();
        ran.holds("used and free are at most the total", used_and_free <= mib * MIB)?;
        ran.equal("total of swap", &row("Swap:")?.first(), &Some(&swap_total().min(mib * MIB)))?;
    }
    Ok(())
}

/// The numbers of the line that begins with `name`.
fn numbers_after(text: &str, name: &str) -> Option<Vec<u64>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
}

fn top_shows_memory_and_tasks() -> Verdict {
    let ran = container::run(&["-m", "512m"], &["top", "-b", "-n1"])?.succeeded()?;
    let line = |prefix: &str| ran.find(prefix, |text| line_with(text, prefix).map(str::to_owned));
    ran.holds("top says 512 MiB", line("MiB Mem")?.contains("512.0 total"))?;
    ran.holds("top is alone", line("Tasks:")?.starts_with("Tasks:   1 total"))
}

fn line_with<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.lines().find(|line| line.starts_with(prefix))
}

fn vmstat_shows_the_limit() -> Verdict {
    let ran = container::run(&["-m", "512m"], &["vmstat", "-s"])?.succeeded()?;
    let total = ran.find("total memory", |text| {
        let line = text.lines().find(|line| line.ends_with("K total memory"))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    })?;
    ran.equal("K total memory", &total, &(512 * 1024))
}

fn memory_swap_is_memory_and_swap() -> Verdict {
    let ran = container::shell(&["-m", "128m", "--memory-swap", "128m"], "cat /proc/meminfo")?;
    ran.equal("SwapTotal", &ran.meminfo("SwapTotal")?, &0)?;
    let ran = container::shell(&["-m", "128m", "--memory-swap", "192m"], "cat /proc/meminfo")?;
    ran.equal("SwapTotal", &ran.meminfo("SwapTotal")?, &swap_total().min(64 * MIB))
}

/// Its first line adds up: `Mem: 1696K used, 522592K free, ...`.
fn busybox_top_shows_the_limit() -> Verdict {
    let ran = container::run(&["-m", "512m"], &["busybox", "top", "-b", "-n1"])?.succeeded()?;
    let sum = ran.find("memory line", |text| {
        let words = line_with(text, "Mem: ")?.split_ascii_whitespace();
        let sizes = words.filter_map(|word| word.strip_suffix('K')?.parse::<u64>().ok());
        Some(sizes.take(2).sum::<u64>())
    })?;
    ran.equal("used and free, in KiB", &sum, &(512 * 1024))
}

fn htop_shows_the_limit() -> Verdict {
    let command = container::run_command(&["-it", "-m", "512m", "--cpus", "1"], &["htop"])?;
    let mut terminal = Terminal::start(&command)?;
    terminal.wait_for("a memory meter of 512M", |text| text.contains("/512M]").then_some(()))?;
    terminal.type_keys("q")?;
    let shown = terminal.shown();
    let status = terminal.wait()?;
    anyhow::ensure!(status.success(), "htop ended with {status}:\n{shown}");
    Ok(())
}

fn htop_has_a_meter_for_each_cpu() -> Verdict {
    for count in counts() {
        let cpus = count.to_string();
        let command = container::run_command(&["-it", "--cpus", &cpus], &["htop"])?;
        let mut terminal = Terminal::start(&command)?;
        terminal.wait_for("the meter of swap", |text| text.contains("Swp[").then_some(()))?;
        terminal.type_keys("q")?;
        let shown = terminal.shown();
        let status = terminal.wait()?;
        anyhow::ensure!(status.success(), "htop ended with {status}:\n{shown}");
        anyhow::ensure!(meters(&shown) == count, "{} meters of {count}:\n{shown}", meters(&shown));
    }
    Ok(())
}

/// How many different meters of CPUs htop has drawn: `0[||  3.4%]`, or `CPU[...` if
/// there is one.
fn meters(shown: &str) -> usize {
    let before_bars = shown.split("%]").filter_map(|text| text.rsplit_once('['));
    let names = before_bars.filter_map(|(text, _bar)| {
        let number = text.rsplit(|letter: char| !letter.is_ascii_digit()).next()?;
        if text.ends_with("CPU") { Some(0) } else { number.parse::<usize>().ok() }
    });
    names.collect::<std::collections::BTreeSet<_>>().len()
}

fn top_has_a_line_for_each_cpu() -> Verdict {
    for (cpus, count) in QUOTAS {
        // Two of them stand side by side, cut at the width.
        let top = ["top", "-1", "-b", "-n1", "-w", "200"];
        let ran = container::run(&["--cpus", cpus], &top)?.succeeded()?;
        ran.equal("CPUs of top -1", &ran.stdout.matches("%Cpu").count(), count)?;
    }
    Ok(())
}

fn getconf_counts_cpus() -> Verdict {
    for (cpus, count) in speed::tried(QUOTAS) {
        let ran = container::run(&["--cpus", cpus], &["getconf", "_NPROCESSORS_ONLN"])?;
        ran.succeeded()?.number().and_then(|found: usize| {
            anyhow::ensure!(found == *count, "getconf says {found} with --cpus {cpus}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The value of a line of lscpu, which is named up to a colon.
fn lscpu_field<'a>(ran: &'a Ran, name: &str) -> Result<&'a str> {
    let line = ran.stdout.lines().find_map(|line| line.trim_start().strip_prefix(name));
    line.and_then(|line| line.strip_prefix(':'))
        .map(str::trim)
        .ok_or_else(|| anyhow::anyhow!("lscpu has no {name}:\n{ran}"))
}

fn check_lscpu(options: &[&str], count: usize) -> Verdict {
    let ran = container::run(options, &["lscpu"])?.succeeded()?;
    let number = |name| anyhow::Ok(lscpu_field(&ran, name)?.parse::<usize>()?);
    let product = number("Thread(s) per core")? * number("Core(s) per socket")?;
    let found = [number("CPU(s)")?, product * number("Socket(s)")?];
    ran.equal("CPUs, and threads * cores * sockets", &found, &[count; 2])?;
    let ids = |list: &str| cpu_count(list);
    ran.equal("CPUs online", &ids(lscpu_field(&ran, "On-line CPU(s) list")?), &Some(count))?;
    ran.holds("none is off-line", !ran.stdout.contains("Off-line"))?;
    ran.equal("complaints", &ran.stderr.as_str(), &"")
}

/// How many ids a list such as `0,1` or `0-2` has.
fn cpu_count(list: &str) -> Option<usize> {
    list.split(',')
        .map(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            Some(last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1)
        })
        .sum()
}

fn lscpu_is_consistent() -> Verdict {
    counts().try_for_each(|count| check_lscpu(&["--cpus", &count.to_string()], count))
}

/// hwloc checks every rule of its own on what it was told, and aborts on a breach.
fn check_hwloc(options: &[&str], count: usize) -> Verdict {
    let checked = [&["-e", "HWLOC_DEBUG_CHECK=1"], options].concat();
    let program = ["hwloc-ls", "--only", "pu"];
    let ran = container::run(&checked, &program)?.succeeded()?;
    ran.equal("processing units", &ran.stdout.lines().count(), &count)?;
    ran.equal("complaints", &ran.stderr.as_str(), &"")
}

fn hwloc_is_consistent() -> Verdict {
    counts().try_for_each(|count| check_hwloc(&["--cpus", &count.to_string()], count))
}

fn numactl_shows_the_containers_cpus() -> Verdict {
    for count in counts() {
        let options = ["--cpus", &count.to_string(), "-m", "512m"];
        let ran = container::run(&options, &["numactl", "-H"])?.succeeded()?;
        let words = |end: &str| -> usize {
            let lines = ran.stdout.lines().filter_map(|line| line.split_once(end));
            lines.map(|(_, rest)| rest.split_ascii_whitespace().count()).sum()
        };
        ran.equal("CPUs of all nodes", &words(" cpus:"), &count)?;
        let sizes = ran.stdout.lines().filter_map(|line| {
            line.split_once(" size: ")?.1.strip_suffix(" MB")?.parse::<u64>().ok()
        });
        ran.equal("MiB of all nodes", &sizes.sum(), &512)?;
        ran.equal("complaints", &ran.stderr.as_str(), &"")?;
    }
    Ok(())
}

/// It counts whole blocks: a limit that ends within one has all of it.
fn lsmem_counts_the_containers_blocks() -> Verdict {
    let block_size = std::fs::read_to_string("/sys/devices/system/memory/block_size_bytes")?;
    let block_size = u64::from_str_radix(block_size.trim(), 16)?;
    for limit in [100_u64 << 20, 512 << 20] {
        let options = ["--cpus", "1", "-m", &limit.to_string()];
        let list = ["lsmem", "--bytes", "--summary=only"];
        let ran = container::run(&options, &list)?.succeeded()?;
        let total: u64 = ran.find("the sum of what is online", |text| {
            let line = text.lines().find_map(|line| line.strip_prefix("Total online memory:"))?;
            line.trim().parse().ok()
        })?;
        ran.equal("bytes", &total, &limit.next_multiple_of(block_size))?;
        ran.equal("complaints", &ran.stderr.as_str(), &"")?;
    }
    Ok(())
}

fn cpusets_are_consistent() -> Verdict {
    for (list, count) in speed::tried(&[("0-2", 3), ("0-1", 2), ("1-2", 2), ("3", 1)]) {
        check_lscpu(&["--cpuset-cpus", list], *count)?;
    }
    // hwloc also reads the control group's own list, in which numbers are the host's.
    check_hwloc(&["--cpuset-cpus", "0-1"], 2)
}

/// A stated exception: whoever puts the kernel's ids beside the container's numbers
/// finds that its only CPU, 0, is not the one that its control group names.
fn ids_that_the_kernel_tells_are_physical() -> Verdict {
    let second = ["--cpuset-cpus", "1"];
    check_lscpu(&second, 1)?;
    let ran = container::shell(&second, "taskset -cp $$ | sed 's/.*: //'")?;
    ran.equal("CPUs of taskset", &ran.stdout.as_str(), &"0\n")?;
    let status = ["grep", "Cpus_allowed_list", "/proc/self/status"];
    let ran = container::run(&second, &status)?;
    ran.holds("status has the machine's", ran.stdout.ends_with("\t1\n"))?;
    let hwloc = ["hwloc-ls", "--no-io", "--only", "pu"];
    let ran = container::run(&second, &hwloc)?;
    ran.holds("hwloc finds none", ran.stderr.contains("Topology does not contain any PU"))?;
    let ran = container::run(&second, &[&hwloc[..], &["--disallowed"]].concat())?.succeeded()?;
    ran.equal("without the group's list", &ran.stdout.lines().count(), &1)
}

fn mpstat_has_a_row_for_each_cpu() -> Verdict {
    for (cpus, count) in QUOTAS {
        let ran = container::run(&["--cpus", cpus], &["mpstat", "-P", "ALL"])?.succeeded()?;
        let rows = ran.stdout.lines().filter(|line| {
            // A time, the CPU, ten numbers.
            let cpu = line.split_ascii_whitespace().nth(1);
            cpu.is_some_and(|cpu| cpu.parse::<usize>().is_ok())
        });
        ran.equal("rows of CPUs", &rows.count(), count)?;
        ran.holds("its heading", ran.stdout.contains(&format!("\t({count} CPU)\n")))?;
    }
    Ok(())
}

/// It reads `/sys/block/*/stat`. Its last columns are KiB read, written and discarded.
fn iostat_counts_what_diskstats_does() -> Verdict {
    let script = "cat /proc/diskstats; echo ==; iostat -d; echo ==; cat /proc/diskstats";
    let ran = container::shell(&["-m", "64m"], script)?;
    let parts: Vec<&str> = ran.stdout.split("==\n").collect();
    let [before, shown, after] = parts[..] else { return ran.holds("three parts", false) };
    ran.holds("iostat has a heading", shown.contains("kB_read"))?;
    // Sectors are half a KiB; iostat rounds each device down.
    let [before, after] = [before, after].map(|text| sum_of(text, [5, 9, 16]) / 2);
    let low = before.saturating_sub(shown.lines().count() as u64 * 3);
    ran.between("KiB of iostat", sum_of(shown, [5, 6, 7]), low, after)
}

/// The sum of all numbers in these columns.
fn sum_of(text: &str, columns: [usize; 3]) -> u64 {
    let rows = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    rows.map(|row| {
        let numbers = columns.iter().filter_map(|column| row.get(*column)?.parse::<u64>().ok());
        numbers.sum::<u64>()
    })
    .sum()
}

/// Runs Python in a container; prints words.
fn python(options: &[&str], expression: &str) -> Result<(Ran, Vec<f64>)> {
    let script = format!("import os, psutil; print(*({expression}))");
    let ran = container::run(options, &["/usr/bin/python3", "-c", &script])?.succeeded()?;
    let words = ran.find("numbers", |text| {
        text.split_ascii_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<f64>>>()
    })?;
    Ok((ran, words))
}

#[expect(clippy::cast_precision_loss, reason = "counts of CPUs and bytes far below 2^52")]
fn python_and_psutil_count_cpus() -> Verdict {
    for (cpus, count) in QUOTAS {
        let expression = "os.cpu_count(), psutil.cpu_count(), len(psutil.cpu_times(percpu=True))";
        let (ran, words) = python(&["--cpus", cpus], expression)?;
        ran.equal("os.cpu_count(), psutil.cpu_count(), rows", &words, &vec![*count as f64; 3])?;
        let (ran, words) = python(&["--cpus", cpus], "psutil.cpu_count(logical=False), 0")?;
        let cores = words.first().copied().unwrap_or_default();
        ran.between("cores", cores, 1.0, *count as f64)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of CPUs and bytes far below 2^52")]
fn psutil_sees_the_limit() -> Verdict {
    let expression = "psutil.virtual_memory().total, psutil.swap_memory().total";
    let (ran, words) = python(&["-m", "256m"], expression)?;
    let limit = 256 * MIB;
    ran.equal("total and swap", &words, &vec![limit as f64, limit.min(swap_total()) as f64])?;
    let (ran, words) = python(&["-m", "256m"], "psutil.virtual_memory().percent, 0")?;
    ran.between("percent in use", words.first().copied().unwrap_or(100.0), 0.0, 50.0)
}

fn cpuset_of_a_container() -> Verdict {
    for (options, count) in speed::tried(&[
        (&["--cpuset-cpus", "1-2"][..], "2"),
        (&["--cpuset-cpus", "1,3", "--cpus", "1"][..], "1"),
        (&["--cpuset-cpus", "0-2", "--cpus", "4"][..], "3"),
    ]) {
        let ran = container::shell(
            options,
            "getconf _NPROCESSORS_ONLN; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat",
        )?;
        let counts: Vec<&str> = ran.stdout.lines().collect();
        ran.equal("CPUs online, in cpuinfo and in stat", &counts, &vec![*count; 3])?;
    }
    Ok(())
}

fn no_view_leaves_the_hosts() -> Verdict {
    let ran = container::shell(
        &["-m", "64m", "--cpus", "1", "--no-view"],
        "cat /proc/meminfo; getconf _NPROCESSORS_ONLN",
    )?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &support::needs::host_meminfo("MemTotal"))?;
    let cpus = ran.stdout.lines().last().unwrap_or_default();
    ran.equal("CPUs", &cpus, &online_cpus().to_string().as_str())
}
