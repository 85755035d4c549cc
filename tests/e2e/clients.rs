//! Programs that everybody uses, in containers that `porthole` makes: what they
//! show is what the container was given.

use anyhow::Result;
use libtest_mimic::Trial;
use support::needs::{online_cpus, swap_total};
use support::terminal::Terminal;
use support::{Need, Ran, Verdict, container, trial};

const MIB: u64 = 1 << 20;
const PROCPS: &[Need] = &[Need::Container, Need::Program("top", "procps")];
const BUSYBOX: &[Need] = &[Need::Container, Need::Program("busybox", "busybox-static")];
const HTOP: &[Need] = &[Need::Container, Need::Program("htop", "htop")];
const MPSTAT: &[Need] = &[Need::Container, Need::Program("mpstat", "sysstat")];
const PSUTIL: &[Need] = &[
    Need::Container,
    Need::File("/usr/bin/python3", "python3"),
    Need::File("/usr/lib/python3/dist-packages/psutil/__init__.py", "python3-psutil"),
];
const FOUR_CPUS: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(4)];

/// Every `--cpus` of the tests, with the CPUs that a container then has.
const QUOTAS: &[(&str, usize)] = &[("0.5", 1), ("1", 1), ("1.5", 2), ("2", 2)];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("free_total_is_the_limit", PROCPS, free_total_is_the_limit),
        trial("top_shows_memory_and_tasks", PROCPS, top_shows_memory_and_tasks),
        trial("vmstat_shows_the_limit", PROCPS, vmstat_shows_the_limit),
        trial("memory_swap_is_memory_and_swap", PROCPS, memory_swap_is_memory_and_swap),
        trial("busybox_top_shows_the_limit", BUSYBOX, busybox_top_shows_the_limit),
        trial("htop_shows_the_limit", HTOP, htop_shows_the_limit),
        trial("mpstat_has_a_row_for_each_cpu", MPSTAT, mpstat_has_a_row_for_each_cpu),
        trial("python_and_psutil_count_cpus", PSUTIL, python_and_psutil_count_cpus),
        trial("psutil_sees_the_limit", PSUTIL, psutil_sees_the_limit),
        trial("cpuset_of_a_container", FOUR_CPUS, cpuset_of_a_container),
        trial("no_view_leaves_the_hosts", PROCPS, no_view_leaves_the_hosts),
    ]
}

fn free_total_is_the_limit() -> Verdict {
    for mib in [64_u64, 128, 512, 1024, 2048] {
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

fn mpstat_has_a_row_for_each_cpu() -> Verdict {
    for (cpus, count) in QUOTAS {
        let ran = container::run(&["--cpus", cpus], &["mpstat", "-P", "ALL"])?.succeeded()?;
        let rows = ran.stdout.lines().filter(|line| {
            // A time, the CPU, ten numbers.
            let cpu = line.split_ascii_whitespace().nth(1);
            cpu.is_some_and(|cpu| cpu.parse::<usize>().is_ok())
        });
        ran.equal("rows of CPUs", &rows.count(), count)?;
    }
    Ok(())
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
    for (options, count) in [
        (&["--cpuset-cpus", "1-2"][..], "2"),
        (&["--cpuset-cpus", "1,3", "--cpus", "1"][..], "1"),
        (&["--cpuset-cpus", "0-2", "--cpus", "4"][..], "3"),
    ] {
        let ran = container::shell(
            options,
            "getconf _NPROCESSORS_ONLN; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat",
        )?;
        let counts: Vec<&str> = ran.stdout.lines().collect();
        ran.equal("CPUs online, in cpuinfo and in stat", &counts, &vec![count; 3])?;
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
