//! All figures of one run as JSON, for `cargo xtask bench`, which makes
//! docs/PERFORMANCE.md of them: `bench --figures FILE`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use support::{Group, daemon};

use crate::loops::{self, Loops};
use crate::memory::{self, AN_HOUR, Churn, Crowd};
use crate::reader::{self, Load, Span, Way};
use crate::rivals::{FLOOR, LXCFS, OURS, PRIVATE, Rivals};
use crate::{FILES, calls, first, limited_group, measure, starts};

/// The first argument of the program when it takes figures.
const FIGURES: &str = "--figures";

/// Names the `portholefs` of another revision.
const AGAINST_VARIABLE: &str = "PORTHOLE_BENCH_AGAINST";

/// Set where a first look at the figures is enough.
const QUICK_VARIABLE: &str = "PORTHOLE_BENCH_QUICK";

/// How much is measured.
struct Effort {
    rounds: usize,
    /// Rounds of a comparison of two revisions, which may differ by little.
    rounds_against: usize,
    span: Span,
    /// Containers whose first read of each file is timed.
    first: usize,
    loops: Loops,
    crowd: Crowd,
    churn: Churn,
    starts: usize,
}

const THOROUGH: Effort = Effort {
    rounds: 5,
    rounds_against: 12,
    span: Span::Milliseconds(120),
    first: 100,
    loops: Loops { times: 40, rounds: 3 },
    crowd: Crowd { living: 1000, short_lived: 1200 },
    churn: AN_HOUR,
    starts: 20,
};

const QUICK: Effort = Effort {
    rounds: 1,
    rounds_against: 2,
    span: Span::Milliseconds(50),
    first: 2,
    loops: Loops { times: 2, rounds: 1 },
    crowd: Crowd { living: 20, short_lived: 20 },
    churn: Churn { containers: 40, alive: 4 },
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
    match std::env::var_os(AGAINST_VARIABLE).map(PathBuf::from) {
        Some(against) => of_revisions(effort, &against),
        None => of_rivals(effort),
    }
}

/// Of two revisions the reads are compared and nothing else.
fn of_revisions(effort: &Effort, against: &Path) -> Result<Value> {
    let load_before = load_average()?;
    let group = limited_group()?;
    let rivals = Rivals::of_revisions(against)?;
    let reads = reads(effort.span, effort.rounds_against, &group, &rivals)?;
    rivals.stop()?;
    Ok(json!({ "machine": machine(load_before)?, "reads": reads }))
}

fn of_rivals(effort: &Effort) -> Result<Value> {
    let load_before = load_average()?;
    let group = limited_group()?;
    let rivals = Rivals::start()?;
    let reads = reads(effort.span, effort.rounds, &group, &rivals)?;
    println!("first reads");
    let first_reads = first::all(&rivals, effort.first)?;
    println!("containers in a loop");
    let loops = loops::all(&rivals, effort.loops)?;
    let calls = calls(&group, &rivals)?;
    rivals.stop()?;
    println!("containers in a crowd");
    let memory = memory::of_crowd(effort.crowd)?;
    println!("containers that come and go");
    let churn = memory::of_churn(effort.churn)?;
    println!("nobody asks");
    let idle = memory::idle_wakeups()?;
    println!("container starts");
    let starts = starts::all(effort.starts)?;
    daemon::stop_shared()?;
    Ok(json!({
        "machine": machine(load_before)?,
        "reads": reads,
        "first_reads": first_reads,
        "loops": loops,
        "calls": calls,
        "memory": memory,
        "churn": churn,
        "idle_wakeups_a_minute": idle,
        "starts": starts,
    }))
}

/// Every file, both ways, by one reader and by eight.
fn reads(span: Span, rounds: usize, group: &Group, rivals: &Rivals) -> Result<Value> {
    let mut figures = Vec::new();
    for (way, threads) in Way::ALL.into_iter().flat_map(|way| [(way, 1), (way, 8)]) {
        for file in FILES {
            println!("{file}, {}, {threads} readers", way.word());
            let timings = measure(group, rivals, file, Load { way, threads, span }, rounds)?;
            for (rival, rounds) in rivals.all().iter().zip(timings) {
                let p50s: Vec<_> = rounds.iter().map(|round| round.p50).collect();
                let timing = reader::median(rounds);
                figures.push(json!({
                    "file": file,
                    "way": way.word(),
                    "threads": threads,
                    "rival": rival.name,
                    "p50_us": timing.p50,
                    "p50_us_of_rounds": p50s,
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
