//! How busy the CPUs are said to be, against what the cgroup was charged.

use std::time::Instant;

use anyhow::Result;
use libtest_mimic::Trial;
use support::{Container, Need, Ran, Verdict, alone};

const TOP: &[Need] = &[Need::Container, Need::Program("top", "procps")];
const MPSTAT: &[Need] = &[Need::Container, Need::Program("mpstat", "sysstat")];
const FOUR_CPUS: &[Need] = &[Need::Container, Need::Cpus(4), Need::Program("mpstat", "sysstat")];

/// How far a program's percentage may be from what was charged, in points.
const CLOSE: f64 = 5.0;

/// A program that does nothing but use a CPU.
const BURN: &str = "while :; do :; done";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("top_shows_what_half_a_cpu_was_charged", TOP, || check("0.5", 1, 1, top)),
        alone("top_shows_what_one_and_a_half_cpus_were_charged", TOP, || check("1.5", 2, 2, top)),
        alone("mpstat_shows_what_one_cpu_was_charged", MPSTAT, || check("1", 1, 1, mpstat)),
        alone("mpstat_shows_what_three_cpus_were_charged", FOUR_CPUS, || check("3", 3, 2, mpstat)),
        alone("an_idle_container_is_idle", TOP, an_idle_container_is_idle),
    ]
}

/// Burns with `burners` processes in a container of `cpus`, which sees
/// `visible`, and compares what `measure` shows with what was charged meanwhile.
fn check(
    cpus: &str,
    visible: u32,
    burners: u32,
    measure: fn(&Container) -> Result<(Ran, f64)>,
) -> Verdict {
    let script = format!("{}sleep 600", format!("{{ {BURN}; }} & ").repeat(burners as usize));
    let container = Container::start(&["--cpus", cpus], &["sh", "-c", &script])?;
    let (start, before) = (Instant::now(), container.cpu_seconds()?);
    let (ran, shown) = measure(&container)?;
    let (after, lasted) = (container.cpu_seconds()?, start.elapsed().as_secs_f64());
    let charged = (after - before) / lasted / f64::from(visible) * 100.0;
    let ran =
        ran.beside(format!("charged {:.2} s in {lasted:.2} s: {charged:.1} %", after - before));
    ran.between("percent busy", shown, charged - CLOSE, charged + CLOSE)
}

/// `top` itself is all that runs; starting it is charged too, and its second
/// screen does not show that.
fn an_idle_container_is_idle() -> Verdict {
    let container = Container::sleeping(&["--cpus", "1"])?;
    let (start, before) = (Instant::now(), container.cpu_seconds()?);
    let (ran, shown) = top(&container)?;
    let charged = (container.cpu_seconds()? - before) / start.elapsed().as_secs_f64() * 100.0;
    ran.between("percent busy", shown, 0.0, charged + CLOSE)
}

/// The busy percentage of the second screen of `top`: the first is since boot.
fn top(container: &Container) -> Result<(Ran, f64)> {
    let ran = container.exec(&["top", "-b", "-n2", "-d4"])?.succeeded()?;
    let idle = ran.find("idle", |text| {
        let line = text.lines().filter(|line| line.starts_with("%Cpu")).nth(1)?;
        let (before, _rest) = line.split_once(" id")?;
        before.rsplit([' ', ',']).next()?.parse::<f64>().ok()
    })?;
    Ok((ran, 100.0 - idle))
}

fn mpstat(container: &Container) -> Result<(Ran, f64)> {
    let ran = container.exec(&["mpstat", "4", "1"])?.succeeded()?;
    let idle = ran.find("idle", |text| {
        let line = text.lines().find(|line| line.starts_with("Average:"))?;
        line.split_ascii_whitespace().next_back()?.parse::<f64>().ok()
    })?;
    Ok((ran, 100.0 - idle))
}
