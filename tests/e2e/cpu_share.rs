//! How busy the CPUs are said to be, against what the cgroup was charged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use libtest_mimic::Trial;
use support::{Container, Need, Ran, Verdict, alone};

const TOP: &[Need] = &[Need::Container, Need::Program("top", "procps")];
const MPSTAT: &[Need] = &[Need::Container, Need::Program("mpstat", "sysstat")];
const FOUR_CPUS: &[Need] = &[Need::Container, Need::Cpus(4), Need::Program("mpstat", "sysstat")];

/// How far a program's percentage may be from what was charged, in points.
const CLOSE: f64 = 5.0;

/// How long programs measure; also said on their command lines.
const SPAN: Duration = Duration::from_secs(4);

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
    compare(&container, visible, measure)
}

/// `top` itself is all that runs.
fn an_idle_container_is_idle() -> Verdict {
    compare(&Container::sleeping(&["--cpus", "1"])?, 1, top)
}

fn compare(
    container: &Container,
    visible: u32,
    measure: fn(&Container) -> Result<(Ran, f64)>,
) -> Verdict {
    let measuring = AtomicBool::new(true);
    let (measured, charges) = std::thread::scope(|scope| {
        let charges = scope.spawn(|| watch(container, &measuring));
        let measured = measure(container);
        measuring.store(false, Ordering::Relaxed);
        (measured, charges.join())
    });
    let (ran, shown) = measured?;
    let charges = charges.map_err(|_panic| anyhow::anyhow!("the charges were not watched"))??;
    let charged = busy_cpus(&charges)? / f64::from(visible) * 100.0;
    let ran = ran.beside(format!("charged {charged:.1} % of {visible} CPUs"));
    ran.between("percent busy", shown, charged - CLOSE, charged + CLOSE)
}

/// What the container has been charged, in seconds, looked at now and then.
fn watch(container: &Container, measuring: &AtomicBool) -> Result<Vec<(Instant, f64)>> {
    let mut charges = Vec::new();
    while measuring.load(Ordering::Relaxed) {
        charges.push((Instant::now(), container.cpu_seconds()?));
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(charges)
}

/// CPUs that were busy in the last [`SPAN`]: programs end as soon as they have
/// measured, and what was charged for starting them they do not show.
fn busy_cpus(charges: &[(Instant, f64)]) -> Result<f64> {
    let (end, after) = charges.last().context("no charges")?;
    let in_span = |(time, _charged): &&(Instant, f64)| end.duration_since(*time) <= SPAN;
    let (start, before) = charges.iter().find(in_span).context("no charges")?;
    Ok((after - before) / end.duration_since(*start).as_secs_f64())
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
