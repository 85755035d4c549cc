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
    /// System calls for one open, read and close.
    #[serde(default)]
    pub calls: Vec<Calls>,
    /// With many containers.
    pub memory: Option<Memory>,
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
    /// All but one in a hundred took at most so long.
    pub p99_us: f64,
    /// Operations in a second, of all readers.
    pub a_second: f64,
    /// CPU time of the daemon for one operation.
    pub cpu_us: f64,
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
