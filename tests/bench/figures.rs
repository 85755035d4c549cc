//! All figures of one run as JSON, for `cargo xtask bench`, which makes
//! docs/PERFORMANCE.md of them: `bench --figures FILE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use support::{Group, daemon};

use crate::memory::{self, Crowd};
use crate::reader::{Load, Span, Way};
use crate::rivals::{FLOOR, LXCFS, OURS, PRIVATE, Rivals};
use crate::{FILES, calls, limited_group, measure, starts};

/// The first argument of the program when it takes figures.
const FIGURES: &str = "--figures";

/// Names the `portholefs` of another revision.
const AGAINST_VARIABLE: &str = "PORTHOLE_BENCH_AGAINST";

/// Set where a first look at the figures is enough.
const QUICK_VARIABLE: &str = "PORTHOLE_BENCH_QUICK";

/// How much is measured.
struct Effort {
    rounds: usize,
    span: Span,
    crowd: Crowd,
    starts: usize,
}

const THOROUGH: Effort = Effort {
    rounds: 5,
    span: Span::Milliseconds(120),
    crowd: Crowd { living: 1000, short_lived: 1200 },
    starts: 20,
};

const QUICK: Effort = Effort {
    rounds: 1,
    span: Span::Milliseconds(50),
    crowd: Crowd { living: 20, short_lived: 20 },
    starts: 2,
};

/// Takes the figures, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    let file = words.next().filter(|word| word == FIGURES).and_then(|_figures| words.next())?;
    Some(match write(Path::new(&file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn write(file: &Path) -> Result<()> {
    let effort = if std::env::var_os(QUICK_VARIABLE).is_some() { QUICK } else { THOROUGH };
    let figures = all(&effort)?;
    std::fs::write(file, serde_json::to_vec_pretty(&figures)?)?;
    Ok(())
}

fn all(effort: &Effort) -> Result<Value> {
    let against = std::env::var_os(AGAINST_VARIABLE).map(PathBuf::from);
    let load_before = load_average()?;
    let group = limited_group()?;
    let rivals = Rivals::start(against.as_deref())?;
    let reads = reads(effort, &group, &rivals)?;
    // Of two revisions the reads are compared and nothing else.
    let calls = if against.is_none() { calls(&group, &rivals)? } else { Value::Null };
    rivals.stop()?;
    if against.is_some() {
        return Ok(json!({ "machine": machine(load_before)?, "reads": reads }));
    }
    println!("containers in a crowd");
    let memory = memory::of_crowd(effort.crowd)?;
    println!("nobody asks");
    let idle = memory::idle_wakeups()?;
    println!("container starts");
    let starts = starts::all(effort.starts)?;
    daemon::stop_shared()?;
    Ok(json!({
        "machine": machine(load_before)?,
        "reads": reads,
        "calls": calls,
        "memory": memory,
        "idle_wakeups_a_minute": idle,
        "starts": starts,
    }))
}

/// Every file, both ways, by one reader and by eight.
fn reads(effort: &Effort, group: &Group, rivals: &Rivals) -> Result<Value> {
    let mut figures = Vec::new();
    for (way, threads) in Way::ALL.into_iter().flat_map(|way| [(way, 1), (way, 8)]) {
        for file in FILES {
            println!("{file}, {}, {threads} readers", way.word());
            let load = Load { way, threads, span: effort.span };
            let timings = measure(group, rivals, file, load, effort.rounds)?;
            for (rival, timing) in rivals.all().iter().zip(timings) {
                figures.push(json!({
                    "file": file,
                    "way": way.word(),
                    "threads": threads,
                    "rival": rival.name,
                    "p50_us": timing.p50,
                    "p99_us": timing.p99,
                    "a_second": timing.rate,
                    "cpu_us": timing.cpu,
                }));
            }
        }
    }
    Ok(figures.into())
}

/// System calls for one open, read and close of each file.
fn calls(group: &Group, rivals: &Rivals) -> Result<Value> {
    let mut figures = Vec::new();
    let is_counted = |name| [FLOOR, LXCFS, OURS, PRIVATE].contains(&name);
    let counted = rivals.all().iter().filter(|rival| is_counted(rival.name));
    for rival in counted {
        for file in FILES {
            println!("{file}, system calls of {}", rival.name);
            let calls = calls::per_read(group, rival, file)?;
            figures.push(json!({ "file": file, "rival": rival.name, "calls": calls }));
        }
    }
    Ok(figures.into())
}

/// What it was measured on.
fn machine(load_before: f64) -> Result<Value> {
    let text = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let cpuinfo = text("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    Ok(json!({
        "kernel": text("/proc/sys/kernel/osrelease")?.trim(),
        "model": model,
        "cpus": std::thread::available_parallelism()?.get(),
        "cgroups": if support::needs::is_pure_v2() { "v2" } else { "v1" },
        "load_before": load_before,
    }))
}

/// Processes that ran or waited in the last minute, on average.
fn load_average() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().context("loadavg is empty")?.parse()?)
}
