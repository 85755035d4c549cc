//! The neighbour of a hostile container: looks at two files every millisecond, and says
//! how long it waited.
//!
//! It is this program again, in a container of its own. One look opens, reads and closes
//! `meminfo`, as `free` does; the other reads a `stat` that stays open, as `top` does.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use support::Group;

/// Set for a neighbour; the mount point.
pub(crate) const NEIGHBOUR: &str = "PORTHOLE_TESTS_NEIGHBOUR";

/// How long it rests between two looks: as often as anybody looks who is no benchmark.
const PAUSE: Duration = Duration::from_millis(1);

/// Looks of which one in a hundred is one.
const ENOUGH: usize = 100;

/// Looks before the first that counts: first reads open files and fill caches.
const WARM_UP: usize = 20;

/// How long it waited for one of its files, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    /// Half of the waits were at most so long.
    pub(crate) p50: f64,
    /// All but one in a hundred were at most so long.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) longest: f64,
}

/// How long it waited for each of its files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Open, read to the end, close: `meminfo`.
    pub(crate) open: Waits,
    /// A read of a `stat` that stays open.
    pub(crate) kept: Waits,
}

/// A neighbour that looks until it is asked what it saw.
pub(crate) struct Neighbour(Child);

impl Neighbour {
    /// Starts one in `group` and waits until it looks at files below `root`.
    pub(crate) fn start(group: &Group, root: &Path) -> Result<Self> {
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let mut command = group.container(&[&program]);
        command.env(NEIGHBOUR, root).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut ready = [0];
        child.stdout.as_mut().context("no output")?.read_exact(&mut ready)?;
        Ok(Self(child))
    }

    /// Ends it.
    pub(crate) fn finish(mut self) -> Result<Seen> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().context("no output")?.read_to_string(&mut text)?;
        ensure!(self.0.wait()?.success(), "the neighbour failed: {text}");
        let told: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        Ok(Seen { open: Waits::told(&told, "open")?, kept: Waits::told(&told, "kept")? })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // Dead already, unless a test has failed.
        let _dead = self.0.kill();
        let _dead = self.0.wait();
    }
}

impl Seen {
    /// True when nothing else on the machine held it up: then all but few of its waits are
    /// much alike.
    pub(crate) fn is_calm(&self) -> bool {
        [self.open, self.kept].iter().all(|waits| waits.p99 <= 8.0 * waits.p50)
    }

    /// True when it waited at most `factor` times as long as in `other`.
    pub(crate) fn is_within(&self, factor: f64, other: Self) -> bool {
        let is_within = |one: Waits, other: Waits| {
            one.p50 <= factor * other.p50 && one.p99 <= factor * other.p99
        };
        is_within(self.open, other.open) && is_within(self.kept, other.kept)
    }
}

impl Waits {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at =
            |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or(0.0);
        Self { p50: at(50), p99: at(99), longest: times.last().copied().unwrap_or(0.0) }
    }

    fn told(told: &Value, key: &str) -> Result<Self> {
        let number = |place: usize| told.get(key)?.get(place)?.as_f64();
        let all = || Some(Self { p50: number(0)?, p99: number(1)?, longest: number(2)? });
        all().with_context(|| told.to_string())
    }

    fn tell(self) -> [f64; 3] {
        [self.p50, self.p99, self.longest]
    }
}

/// Looks until standard input ends.
pub(crate) fn look(root: &Path) -> ExitCode {
    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let looking = scope.spawn(|| look_at(root, &ended));
        let _told = io::stdout().write_all(b"r").and_then(|()| io::stdout().flush());
        let _until_it_ends = io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, SeqCst);
        looking.join()
    });
    let told = match seen {
        Ok(Ok(Seen { open, kept })) => json!({"open": open.tell(), "kept": kept.tell()}),
        Ok(Err(error)) => json!(format!("{error:#}")),
        Err(_panic) => json!("it panicked"),
    };
    match write!(io::stdout(), "{told}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_listens) => ExitCode::FAILURE,
    }
}

fn look_at(root: &Path, ended: &AtomicBool) -> Result<Seen> {
    let (meminfo, stat) = (root.join("proc/meminfo"), File::open(root.join("proc/stat"))?);
    let mut buffer = vec![0; 1 << 16];
    let (mut open, mut kept) = (Vec::new(), Vec::new());
    while !ended.load(SeqCst) {
        open.push(timed(|| fs::read(&meminfo).map(|text| text.len()))?);
        kept.push(timed(|| stat.read_at(&mut buffer, 0))?);
        thread::sleep(PAUSE);
    }
    ensure!(open.len() > WARM_UP + ENOUGH, "it could look {} times only", open.len());
    let of = |times: Vec<f64>| Waits::of(times.into_iter().skip(WARM_UP).collect());
    Ok(Seen { open: of(open), kept: of(kept) })
}

/// How long `read` took, in microseconds; it must find something.
fn timed(read: impl FnOnce() -> io::Result<usize>) -> Result<f64> {
    let start = Instant::now();
    let length = read()?;
    let took = start.elapsed();
    ensure!(length > 0, "a file is empty");
    Ok(took.as_secs_f64() * 1e6)
}
