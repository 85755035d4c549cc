//! The process that reads: this same program, started in a container.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags, openat};
use support::{Group, Ran};

use crate::private::Tree;
use crate::rivals::{Rival, Root};

/// The first argument of the program when it is the reader.
const READ: &str = "--read";

/// What stands before the socket of a daemon that is asked for a private tree.
const PRIVATE: &str = "private:";

/// Reads of each thread before the first that counts: first reads open files and
/// fill caches.
pub(crate) const WARM_UP: u32 = 50;

/// Larger than any of the files.
pub(crate) const BUFFER: usize = 1 << 16;

/// What one operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Open, read to the end, close: what `free` and `cat` do.
    Open,
    /// Read at offset 0 of a descriptor that is kept open: what `top` does.
    Kept,
}

/// What a reader does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// What one operation is.
    pub(crate) way: Way,
    /// How many threads do it.
    pub(crate) threads: usize,
    /// For how long.
    pub(crate) span: Span,
}

/// How long a reader reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Span {
    /// So many milliseconds.
    Milliseconds(u64),
    /// So many operations of each thread.
    Operations(u64),
}

/// What one round found.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// Half of the operations took at most so long, in microseconds.
    pub(crate) p50: f64,
    /// All but one in a hundred took at most so long, in microseconds.
    pub(crate) p99: f64,
    /// Operations in a second.
    pub(crate) rate: f64,
    /// CPU time of the daemon for one operation, in microseconds.
    pub(crate) cpu: f64,
}

impl Way {
    pub(crate) const ALL: [Self; 2] = [Self::Open, Self::Kept];

    /// As figures have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Kept => "kept",
        }
    }
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

/// A reader of one file of one rival, in a container of `group`.
pub(crate) fn command(group: &Group, rival: &Rival, file: &str, load: Load) -> Result<Command> {
    let program = std::env::current_exe()?;
    let root = match &rival.root {
        Root::Path(path) => path.to_string_lossy().into_owned(),
        Root::Private(socket) => format!("{PRIVATE}{}", socket.display()),
    };
    let span = match load.span {
        Span::Milliseconds(count) => format!("{count}ms"),
        Span::Operations(count) => format!("{count}x"),
    };
    Ok(group.container(&[
        &program.to_string_lossy(),
        READ,
        load.way.word(),
        &load.threads.to_string(),
        &span,
        &root,
        file,
    ]))
}

/// Reads one file of one rival for one round, in a container of `group`.
pub(crate) fn time(group: &Group, rival: &Rival, file: &str, load: Load) -> Result<Timing> {
    let before = cpu_seconds(&rival.pids)?;
    let ran = Ran::new(&mut command(group, rival, file, load)?)?.succeeded()?;
    let after = cpu_seconds(&rival.pids)?;
    let numbers: Vec<f64> = ran.find("numbers", |text| {
        text.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
    })?;
    let [p50, p99, operations, seconds] = *numbers.as_slice() else {
        anyhow::bail!("there are not four numbers\n{ran}");
    };
    let warm_up = f64::from(WARM_UP) * f64::from(u32::try_from(load.threads)?);
    let cpu = (after - before) * 1e6 / (operations + warm_up);
    Ok(Timing { p50, p99, rate: operations / seconds, cpu })
}

/// The round with the middle p50; its CPU time is that of all rounds, since the clock
/// of CPU time has ticks of 10 ms.
pub(crate) fn median(mut rounds: Vec<Timing>) -> Timing {
    rounds.sort_by(|a, b| a.p50.total_cmp(&b.p50));
    let cpu: f64 = rounds.iter().map(|round| round.cpu * round.rate).sum();
    let rate: f64 = rounds.iter().map(|round| round.rate).sum();
    let middle = rounds.get(rounds.len() / 2).copied().unwrap_or_default();
    Timing { cpu: if rate > 0.0 { cpu / rate } else { 0.0 }, ..middle }
}

/// CPU time that processes have used together.
pub(crate) fn cpu_seconds(pids: &[Pid]) -> Result<f64> {
    pids.iter().map(|pid| cpu_seconds_of(*pid)).sum()
}

/// CPU time that a process has used, and those that it has started and waited for: the
/// 14th to 17th field of its stat, in ticks of 10 ms.
fn cpu_seconds_of(pid: Pid) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_name, fields) = stat.rsplit_once(") ").context("a stat file has a name in brackets")?;
    let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

/// Reads, when this process was started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [read, way, threads, span, root, file] = words.as_slice() else { return None };
    if read != READ {
        return None;
    }
    let way = if way == Way::Kept.word() { Way::Kept } else { Way::Open };
    let read = |(threads, span)| measure(&place(root, file)?, way, threads, span);
    Some(match parse(threads, span).and_then(read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{root}, {file}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn parse(threads: &str, span: &str) -> Result<(usize, Span)> {
    let span = match (span.strip_suffix("ms"), span.strip_suffix('x')) {
        (Some(count), _) => Span::Milliseconds(count.parse()?),
        (_, Some(count)) => Span::Operations(count.parse()?),
        _neither => anyhow::bail!("{span} is neither a time nor a number of operations"),
    };
    Ok((threads.parse()?, span))
}

/// Where a file is: all open it alike, below a descriptor.
type Place = (OwnedFd, String);

fn place(root: &str, file: &str) -> Result<Place> {
    let root = match root.strip_prefix(PRIVATE) {
        Some(socket) => Tree::ask(Path::new(socket))?.place(file)?,
        None => File::open(root)?.into(),
    };
    Ok((root, file.to_owned()))
}

/// Reads in so many threads and prints p50, p99, operations and seconds.
fn measure(place: &Place, way: Way, threads: usize, span: Span) -> Result<()> {
    let start = Instant::now();
    let mut times = thread::scope(|scope| -> Result<Vec<f32>> {
        let readers: Vec<_> =
            (0..threads).map(|_reader| scope.spawn(|| read(place, way, span))).collect();
        let mut times = Vec::new();
        for reader in readers {
            times.extend(reader.join().map_err(|_panic| anyhow::anyhow!("a reader panicked"))??);
        }
        Ok(times)
    })?;
    let seconds = match span {
        Span::Milliseconds(count) => Duration::from_millis(count).as_secs_f64(),
        Span::Operations(_) => start.elapsed().as_secs_f64(),
    };
    times.sort_by(f32::total_cmp);
    let at =
        |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or_default();
    println!("{} {} {} {seconds}", at(50), at(99), times.len());
    Ok(())
}

/// How long each operation of one thread took, in microseconds.
fn read(place: &Place, way: Way, span: Span) -> Result<Vec<f32>> {
    let mut buffer = vec![0; BUFFER];
    let kept = open(place)?;
    let mut operation = || match way {
        Way::Open => read_once(place, &mut buffer),
        Way::Kept => {
            anyhow::ensure!(kept.read_at(&mut buffer, 0)? > 0, "the file is empty");
            Ok(())
        }
    };
    for _read in 0..WARM_UP {
        operation()?;
    }
    let mut times = Vec::new();
    let start = Instant::now();
    let goes_on = |done: usize| match span {
        Span::Milliseconds(count) => start.elapsed() < Duration::from_millis(count),
        Span::Operations(count) => (done as u64) < count,
    };
    while goes_on(times.len()) {
        let before = Instant::now();
        operation()?;
        times.push(before.elapsed().as_secs_f32() * 1e6);
    }
    Ok(times)
}

fn open((root, path): &Place) -> Result<File> {
    Ok(openat(root, path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?.into())
}

/// Open, read to the end, close.
fn read_once(place: &Place, buffer: &mut [u8]) -> Result<()> {
    read_to_end(open(place)?, buffer)
}

/// Reads to the end, and closes.
pub(crate) fn read_to_end(mut file: File, buffer: &mut [u8]) -> Result<()> {
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
