//! What `bench --figures` writes, as types; and the ratios that targets speak of.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The kernel's own file.
pub const KERNEL: &str = "kernel";
/// A null answer by FUSE.
pub const FLOOR: &str = "floor";
/// Debian's lxcfs.
pub const LXCFS: &str = "lxcfs";
/// The shared tree of portholefs.
pub const OURS: &str = "portholefs";
/// A private tree of it.
pub const PRIVATE: &str = "private";
/// The same of another revision.
pub const AGAINST: &str = "against";

/// All figures of one run; of a comparison the reads alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Figures {
    /// What they were measured on.
    pub machine: Machine,
    /// A row for each file, way, number of readers and rival.
    pub reads: Vec<Read>,
    /// By containers that have not read before.
    pub first_reads: Option<FirstReads>,
    /// By many containers at once.
    pub loops: Option<Loops>,
    /// System calls for one open, read and close.
    #[serde(default)]
    pub calls: Vec<Calls>,
    /// With many containers.
    pub memory: Option<Memory>,
    /// While containers come and go.
    pub churn: Option<Churn>,
    /// While nobody asks.
    pub idle_wakeups_a_minute: Option<f64>,
    /// Starts of containers.
    #[serde(default)]
    pub starts: Vec<Start>,
}

/// A machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Machine {
    /// Its kernel's release.
    pub kernel: String,
    /// Its processor.
    pub model: String,
    /// How many of them.
    pub cpus: u32,
    /// Which version its controllers are on.
    pub cgroups: String,
    /// What ran on it when the measurement began.
    pub load_before: f64,
}

/// What reading one file of one rival took; the median of some rounds.
#[derive(Debug, Clone, Deserialize)]
pub struct Read {
    /// The file.
    pub file: String,
    /// `open` or `kept`.
    pub way: String,
    /// How many readers.
    pub threads: u32,
    /// Whose file.
    pub rival: String,
    /// Half of the operations took at most so long.
    pub p50_us: f64,
    /// The same of each round, in the order in which they were.
    #[serde(default)]
    pub p50_us_of_rounds: Vec<f64>,
    /// All but one in a hundred took at most so long.
    pub p99_us: f64,
    /// Operations in a second, of all readers.
    pub a_second: f64,
    /// CPU time of the daemon for one operation.
    pub cpu_us: f64,
}

/// First reads of containers.
#[derive(Debug, Clone, Deserialize)]
pub struct FirstReads {
    /// Containers for each file and rival.
    pub containers: u32,
    /// A row for each file and rival.
    pub reads: Vec<FirstRead>,
    /// For each daemon.
    pub started: Vec<Started>,
}

/// What the first read of a container took; each was another container's.
#[derive(Debug, Clone, Deserialize)]
pub struct FirstRead {
    /// The file.
    pub file: String,
    /// Whose file.
    pub rival: String,
    /// Half of them took at most so long.
    pub p50_us: f64,
    /// Nine in ten took at most so long.
    pub p90_us: f64,
    /// All but one in a hundred took at most so long.
    pub p99_us: f64,
}

/// What a daemon starts to learn who reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Started {
    /// Whose daemon.
    pub rival: String,
    /// Processes and threads for one first read, on average.
    pub a_read: f64,
}

/// Containers that read without a pause, all at once.
#[derive(Debug, Clone, Deserialize)]
pub struct Loops {
    /// How many.
    pub containers: u32,
    /// Files that each goes through.
    pub files: u32,
    /// Reads of each rival's files, of all containers together.
    pub reads: u32,
    /// A row for each rival.
    pub rivals: Vec<Looped>,
}

/// What containers in a loop cost one rival.
#[derive(Debug, Clone, Deserialize)]
pub struct Looped {
    /// Whose files.
    pub rival: String,
    /// CPU time of the daemon for one read.
    pub cpu_us: f64,
    /// Reads in a second, of all containers.
    pub a_second: f64,
}

/// System calls of one rival for one operation.
#[derive(Debug, Clone, Deserialize)]
pub struct Calls {
    /// The file.
    pub file: String,
    /// Whose file.
    pub rival: String,
    /// How often each was called, on average.
    pub calls: BTreeMap<String, f64>,
}

/// What many containers cost.
#[derive(Debug, Clone, Deserialize)]
pub struct Memory {
    /// Containers that live at once.
    pub living: u32,
    /// Containers that came and went.
    pub short_lived: u32,
    /// Before the first.
    pub before: Cost,
    /// With all that live.
    pub with_living: Cost,
    /// After those that came and went.
    pub after_short_lived: Cost,
}

/// What it costs that containers come and go.
#[derive(Debug, Clone, Deserialize)]
pub struct Churn {
    /// Containers that live at once.
    pub alive: u32,
    /// Looks at the costs, at regular intervals; the first is before the first container.
    pub points: Vec<Point>,
}

/// A look at the costs.
#[derive(Debug, Clone, Deserialize)]
pub struct Point {
    /// Containers that had come by then.
    pub containers: u32,
    /// What the daemon had.
    pub cost: Cost,
}

/// What keeper and worker have together.
#[derive(Debug, Clone, Deserialize)]
pub struct Cost {
    /// Resident memory, added up.
    pub resident_kib: u64,
    /// The same, what they share counted once.
    pub kib: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// How long containers took from the command to their end.
#[derive(Debug, Clone, Deserialize)]
pub struct Start {
    /// Who started them.
    pub runtime: String,
    /// Half took at most so long.
    pub p50_ms: f64,
    /// Nine in ten took at most so long.
    pub p90_ms: f64,
    /// How many.
    pub count: u32,
}

impl Cost {
    /// Resident memory, added up, in MiB.
    pub fn resident_mib(&self) -> f64 {
        mib(self.resident_kib)
    }

    /// The same, what they share counted once.
    pub fn mib(&self) -> f64 {
        mib(self.kib)
    }
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// One comparison of rivals: `open` by 1 reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case<'a> {
    /// `open` or `kept`.
    pub way: &'a str,
    /// How many readers.
    pub threads: u32,
}

/// All cases.
pub const CASES: [Case<'static>; 4] = [
    Case { way: "open", threads: 1 },
    Case { way: "open", threads: 8 },
    Case { way: "kept", threads: 1 },
    Case { way: "kept", threads: 8 },
];

impl Figures {
    /// The files, in the order in which they were read.
    pub fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = Vec::new();
        for read in &self.reads {
            if !files.contains(&read.file.as_str()) {
                files.push(&read.file);
            }
        }
        files
    }

    /// What one rival took for one file.
    pub fn read(&self, case: Case<'_>, file: &str, rival: &str) -> Option<&Read> {
        self.reads.iter().find(|read| {
            (read.way.as_str(), read.threads) == (case.way, case.threads)
                && (read.file.as_str(), read.rival.as_str()) == (file, rival)
        })
    }

    /// The first reads of one rival's files, in the order in which they were read.
    pub fn first_reads_of<'a>(&'a self, rival: &'a str) -> impl Iterator<Item = &'a FirstRead> {
        let reads = self.first_reads.iter().flat_map(|first| &first.reads);
        reads.filter(move |read| read.rival == rival)
    }

    /// CPU time of one rival for a read of containers in a loop.
    pub fn loop_cpu_us(&self, rival: &str) -> Option<f64> {
        let looped = self.loops.as_ref()?.rivals.iter().find(|looped| looped.rival == rival)?;
        Some(looped.cpu_us)
    }

    /// `of(one) / of(other)` for a file.
    pub fn ratio(
        &self,
        case: Case<'_>,
        file: &str,
        (one, other): (&str, &str),
        of: impl Fn(&Read) -> f64,
    ) -> Option<f64> {
        let (one, other) = (self.read(case, file, one)?, self.read(case, file, other)?);
        Some(of(one) / of(other)).filter(|ratio| ratio.is_finite())
    }
}
