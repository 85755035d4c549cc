//! The process that reads: this same program, started in a container.

use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use support::{Group, Ran};

use crate::rivals::Rival;

/// The first argument of the program when it is the reader.
const READ: &str = "--read";

/// How long one file is read in one round.
const SPAN: Duration = Duration::from_millis(400);

/// Reads before the first that counts: first reads open files and fill caches.
const WARM_UP: u32 = 50;

/// What one round found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// Half of the reads took at most so long, in microseconds.
    pub(crate) p50: f64,
    /// All but one in a hundred took at most so long, in microseconds.
    pub(crate) p99: f64,
    /// Reads in a second.
    pub(crate) rate: f64,
    /// CPU time of the daemon for one read, in microseconds.
    pub(crate) cpu: f64,
}

impl Timing {
    /// `10 / 24`.
    pub(crate) fn short(&self) -> String {
        format!("{:.0} / {:.0}", self.p50, self.p99)
    }

    /// `36 / 80, 20 k/s, 9 us`.
    pub(crate) fn long(&self) -> String {
        format!("{}, {:.1}k/s, {:.0}us", self.short(), self.rate / 1000.0, self.cpu)
    }
}

/// Reads one file of one rival for one round, in a container of `group`.
pub(crate) fn time(group: &Group, rival: &Rival, file: &str) -> Result<Timing> {
    let program = std::env::current_exe()?;
    let path = rival.root.join(file);
    let before = cpu_seconds(&rival.pids)?;
    let words = [&program.to_string_lossy(), READ, &path.to_string_lossy()];
    let ran = Ran::new(&mut group.container(&words))?.succeeded()?;
    let after = cpu_seconds(&rival.pids)?;
    let numbers: Vec<f64> = ran.find("numbers", |text| {
        text.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
    })?;
    let [p50, p99, reads] = numbers.as_slice() else {
        anyhow::bail!("there are not three numbers\n{ran}");
    };
    let cpu = (after - before) * 1e6 / (reads + f64::from(WARM_UP));
    Ok(Timing { p50: *p50, p99: *p99, rate: reads / SPAN.as_secs_f64(), cpu })
}

/// The round with the middle p50.
pub(crate) fn median(mut rounds: Vec<Timing>) -> Timing {
    rounds.sort_by(|a, b| a.p50.total_cmp(&b.p50));
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

/// CPU time that processes have used together.
fn cpu_seconds(pids: &[Pid]) -> Result<f64> {
    pids.iter().map(|pid| cpu_seconds_of(*pid)).sum()
}

/// CPU time that a process has used: the 14th and 15th field of its stat, in
/// ticks of 10 ms.
fn cpu_seconds_of(pid: Pid) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_name, fields) = stat.rsplit_once(") ").context("a stat file has a name in brackets")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// Reads, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let mut words = std::env::args().skip(1);
    let path = words.next().filter(|word| word == READ).and_then(|_read| words.next())?;
    Some(match read(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn read(path: &str) -> Result<()> {
    let mut buffer = vec![0; 65536];
    for _read in 0..WARM_UP {
        read_once(path, &mut buffer)?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < SPAN {
        let before = Instant::now();
        read_once(path, &mut buffer)?;
        times.push(before.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    let at =
        |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or_default();
    println!("{} {} {}", at(50), at(99), times.len());
    Ok(())
}

/// Open, read to the end, close.
fn read_once(path: &str, buffer: &mut [u8]) -> Result<()> {
    let mut file = File::open(path)?;
    let mut total = 0;
    loop {
        match file.read(buffer)? {
            0 => break,
            length => total += length,
        }
    }
    anyhow::ensure!(total > 0, "the file is empty");
    Ok(())
}
