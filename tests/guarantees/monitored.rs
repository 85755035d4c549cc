//! A container made by `porthole`, in which real monitors run all the time.
//!
//! Its first process runs `top` and `free` in turn and writes down when each began and
//! what it said of the memory, so that a test can ask afterwards. Each run opens the
//! files anew, as monitors that are started do.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;
use support::{Container, Daemon, speed};

use crate::contained::live_device;

/// How long the monitors may take to say something: a loaded machine runs 20
/// containers of them slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the container runs; a monitor that fails says so in a line. The time is the
/// machine's, in nanoseconds.
const MONITORS: &str = "while :; do
  { echo began $(date +%s%N); top -b -n 1 || echo failed; } 2>&1 |
    grep -E '^began|^MiB Mem|failed' >>/seen/\"$0\"
  { echo began $(date +%s%N); free -m || echo failed; } 2>&1 |
    grep -E '^began|^Mem:|failed' >>/seen/\"$0\"
  sleep $1
done";

/// How long the monitors pause.
const PAUSE: Duration = Duration::from_millis(100);

/// A container; it ends with this value.
pub(crate) struct Monitored {
    container: Container,
    seen: PathBuf,
    /// Its memory limit, in MiB.
    limit: u32,
}

impl Monitored {
    /// Starts one with a limit in MiB, the files of `daemon`, and its notes in
    /// `folder`.
    pub(crate) fn start(limit: u32, daemon: &Daemon, folder: &tempfile::TempDir) -> Result<Self> {
        let name = limit.to_string();
        let seen = folder.path().join(&name);
        // It may be looked at before the container has begun to write.
        std::fs::write(&seen, "")?;
        let volume = format!("{}:/seen", folder.path().display());
        let view = daemon.mount_point();
        let view = view.to_str().context("a temporary folder has a plain name")?;
        let options = ["-m", &format!("{limit}m"), "--view", view, "-v", &volume];
        let pause = speed::time(PAUSE).as_secs_f64().to_string();
        let container = Container::start(&options, &["sh", "-c", MONITORS, &name, &pause])?;
        Ok(Self { container, seen, limit })
    }

    /// Its first process, as the host counts.
    pub(crate) fn init(&self) -> Result<Pid> {
        let processes = self.container.group("memory")?.join("cgroup.procs");
        let is_first = |pid: &&str| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"))
        };
        let listed = std::fs::read_to_string(&processes)?;
        let first = listed.lines().find(is_first).context("the container has no first process")?;
        Ok(Pid::from_raw(first.parse()?))
    }

    /// How many files of ours can be seen in it.
    pub(crate) fn files(&self) -> Result<usize> {
        self.look(|_seen, _at_its_place| Ok(()))
    }

    /// The same; fails unless all are of the shared tree of `daemon`, as healed ones are.
    pub(crate) fn live_files(&self, daemon: &Daemon) -> Result<usize> {
        let live = live_device(daemon)?;
        // Where nothing can be put beneath a mount, a dead one stays there.
        let allowed = if support::needs::can_mount_beneath() { 1 } else { 2 };
        self.look(|seen, at_its_place| {
            let is_live = seen.split(' ').nth(2) == Some(&live) && at_its_place <= allowed;
            ensure!(is_live, "live is {live}, not {seen:?}");
            Ok(())
        })
    }

    /// Counts the files of ours that can be seen, each of which `check` is shown with the
    /// number of mounts at its place. What the runtime has masked stays beneath its mask
    /// as it was.
    fn look(&self, check: impl Fn(&str, usize) -> Result<()>) -> Result<usize> {
        let table = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.init()?))?;
        let point = |line: &str| line.split(' ').nth(4).map(str::to_owned);
        let ours = |line: &&str| line.contains(" - fuse.portholefs ");
        let mut files = 0;
        for line in table.lines().filter(ours) {
            let mounts = table.lines().filter(|other| point(other) == point(line));
            let is_masked = mounts.clone().any(|other| !ours(&other));
            // The newest of those at one place is seen.
            if is_masked || mounts.clone().next_back() != Some(line) {
                continue;
            }
            check(line, mounts.count())?;
            files += 1;
        }
        Ok(files)
    }

    /// Waits until each monitor has said the limit in a run that began after `since`.
    pub(crate) fn says_its_limit(&self, since: SystemTime) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let runs = self.runs()?;
            let says = |monitor: &str| {
                let after = runs.iter().filter(|run| run.began >= since);
                after.clone().any(|run| run.is_of(monitor) && run.says(self.limit))
            };
            if says("MiB Mem") && says("Mem:") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "limit {} MiB, said {runs:?}", self.limit);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless every monitor that began at or after `healed` said the limit and
    /// nothing else, and those before said it or failed.
    pub(crate) fn said_only_its_limit(&self, healed: SystemTime) -> Result<()> {
        let runs = self.runs()?;
        let is_wrong = |run: &&Run| !(run.says(self.limit) || (run.began < healed && run.failed()));
        let wrong = runs.iter().find(is_wrong);
        ensure!(wrong.is_none(), "limit {} MiB, healed {healed:?}, said {wrong:?}", self.limit);
        Ok(())
    }

    /// Every run that has ended: `grep` writes what it has of one at once.
    fn runs(&self) -> Result<Vec<Run>> {
        let text = std::fs::read_to_string(&self.seen)?;
        text.split("began ").skip(1).map(Run::parse).collect()
    }
}

/// One run of a monitor.
#[derive(Debug)]
struct Run {
    began: SystemTime,
    said: Vec<String>,
}

impl Run {
    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::to_owned);
        let began = lines.next().context("a run begins with its time")?;
        let began = began.parse().with_context(|| format!("{began:?} is no time"))?;
        Ok(Self { began: UNIX_EPOCH + Duration::from_nanos(began), said: lines.collect() })
    }

    fn is_of(&self, monitor: &str) -> bool {
        self.said.iter().any(|line| line.starts_with(monitor))
    }

    /// Whether it said `limit`, in MiB, and nothing else: the first number of its line.
    fn says(&self, limit: u32) -> bool {
        let first =
            |line: &str| line.split_ascii_whitespace().find_map(|word| word.parse::<f64>().ok());
        matches!(self.said.as_slice(), [line] if first(line) == Some(f64::from(limit)))
    }

    /// Whether it could not read. `free` reads twice when it was held up for a second,
    /// and shows what it could not read again as zeros.
    fn failed(&self) -> bool {
        let zero = |word: &str| word == "0";
        let is_failure = |line: &String| {
            line.contains("failed") || line.split_ascii_whitespace().skip(1).all(zero)
        };
        self.said.iter().all(is_failure)
    }
}
