//! The first read of a new container: what it takes to be told numbers by a daemon that has
//! never seen the reader, its pid namespace or its control groups.
//!
//! Each read is that of a container of its own, which reads one file of one rival. Its
//! process has read a file of the kernel's before, so that its own code and buffer are in
//! memory; the daemon has answered others.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use support::Ran;

use crate::reader::{self, BUFFER};
use crate::rivals::{FLOOR, KERNEL, LXCFS, OURS, Rival, Rivals, Root};
use crate::{calls, limited_group};

/// The first argument of the program when it is the reader.
const FIRST: &str = "--first";

/// The files that are read first: every program that asks for its machine's size begins with
/// one of them.
const FILES: [&str; 4] = ["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/loadavg"];

/// Containers over which it is counted what a rival starts.
const TRACED: u32 = 20;

/// Times first reads in `containers` containers for each file and rival, in turns.
pub(crate) fn all(rivals: &Rivals, containers: usize) -> Result<Value> {
    let rivals: Vec<_> = [KERNEL, FLOOR, LXCFS, OURS].map(|name| rivals.named(name)).into();
    let rivals = rivals.into_iter().collect::<Result<Vec<_>>>()?;
    let pairs: Vec<_> =
        FILES.iter().flat_map(|file| rivals.iter().map(move |rival| (*file, *rival))).collect();
    let mut times: Vec<Vec<f64>> = pairs.iter().map(|_pair| Vec::new()).collect();
    // The first container of all may be the first that makes a daemon start a thread.
    for number in 0..=containers {
        for (times, (file, rival)) in times.iter_mut().zip(&pairs) {
            let took = one(rival, file)?;
            if number > 0 {
                times.push(took);
            }
        }
    }
    let reads = pairs.iter().zip(&mut times).map(|((file, rival), times)| {
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get((times.len() - 1) * part / 100).copied();
        json!({
            "file": file, "rival": rival.name,
            "p50_us": at(50), "p90_us": at(90), "p99_us": at(99),
        })
    });
    let reads: Value = reads.collect();
    let started = [LXCFS, OURS].into_iter().filter_map(|name| {
        let rival = rivals.iter().find(|rival| rival.name == name)?;
        Some(started(rival).map(|count| json!({ "rival": name, "a_read": count })))
    });
    let started: Value = started.collect::<Result<_>>()?;
    Ok(json!({ "containers": containers, "reads": reads, "started": started }))
}

/// What the first read of `file` by a new container takes, in microseconds.
fn one(rival: &Rival, file: &str) -> Result<f64> {
    let Root::Path(root) = &rival.root else {
        anyhow::bail!("a private tree is nobody's before it is made");
    };
    let (program, path) = (std::env::current_exe()?, root.join(file));
    let group = limited_group()?;
    let words = [&program.to_string_lossy(), FIRST, &path.to_string_lossy()];
    Ran::new(&mut group.container(&words))?.succeeded()?.number()
}

/// Processes and threads that `rival` starts for one first read.
fn started(rival: &Rival) -> Result<f64> {
    let read = || (0..TRACED).try_for_each(|_container| one(rival, "proc/stat").map(drop));
    Ok(calls::starts(rival, read)? / f64::from(TRACED))
}

/// Reads, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    let path = words.next().filter(|word| word == FIRST).and_then(|_first| words.next())?;
    Some(match time(Path::new(&path)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// Prints how long it takes to open, read and close the file at `path`.
fn time(path: &Path) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    read(&PathBuf::from("/proc/self/limits"), &mut buffer)?;
    buffer.fill(1);
    let began = Instant::now();
    read(path, &mut buffer)?;
    println!("{}", began.elapsed().as_secs_f64() * 1e6);
    Ok(())
}

fn read(path: &Path, buffer: &mut [u8]) -> Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    reader::read_to_end(file, buffer)
}
