//! A container made by `porthole`, in which real monitors run all the time.
//!
//! Its first process runs `top` and `free` in turn and writes down what they said
//! of the memory, so that a test can ask afterwards. Each run opens the files anew,
//! as monitors that are started do.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::unistd::Pid;
use support::{Container, Daemon, speed};

use crate::contained::live_device;

/// How long the monitors may take to say something: a loaded machine runs 20
/// containers of them slowly.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the container runs; a monitor that fails says so in a line.
const MONITORS: &str = "while :; do
  { top -b -n 1 || echo failed; } 2>&1 | grep -E '^MiB Mem|failed' >>/seen/\"$0\"
  { free -m || echo failed; } 2>&1 | grep -E '^Mem:|failed' >>/seen/\"$0\"
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
        let volume = format!("{}:/seen", folder.path().display());
        let view = daemon.mount_point();
        let view = view.to_str().context("a temporary folder has a plain name")?;
        let options = ["-m", &format!("{limit}m"), "--view", view, "-v", &volume];
        let pause = speed::time(PAUSE).as_secs_f64().to_string();
        let container = Container::start(&options, &["sh", "-c", MONITORS, &name, &pause])?;
        Ok(Self { container, seen: folder.path().join(name), limit })
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

    /// Forgets what was said, and waits until both monitors have said the limit again.
    pub(crate) fn says_its_limit_again(&self) -> Result<()> {
        std::fs::write(&self.seen, "")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.said()?;
            let says = |monitor: &str| {
                said.iter().any(|line| line.starts_with(monitor) && self.is_right(line))
            };
            if says("MiB Mem") && says("Mem:") {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "limit {} MiB, said {said:?}", self.limit);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fails unless all that was said is the limit, or a failure where `may_fail`.
    pub(crate) fn said_only_its_limit(&self, may_fail: bool) -> Result<()> {
        let said = self.said()?;
        let allowed = |line: &&String| self.is_right(line) || (may_fail && is_failure(line));
        let wrong = said.iter().find(|line| !allowed(line));
        ensure!(wrong.is_none(), "limit {} MiB, said {wrong:?}", self.limit);
        ensure!(!said.is_empty(), "nothing was said");
        Ok(())
    }

    /// The lines so far, but for one that is being written.
    fn said(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(&self.seen)?;
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        Ok(complete.lines().map(str::to_owned).collect())
    }

    /// Whether the first number of a line is the limit.
    fn is_right(&self, line: &str) -> bool {
        let first = line.split_ascii_whitespace().find_map(|word| word.parse::<f64>().ok());
        first == Some(f64::from(self.limit))
    }
}

/// Whether a monitor could not read. `free` reads twice when it was held up for a
/// second, and shows what it could not read again as zeros.
fn is_failure(line: &str) -> bool {
    let zero = |word: &str| word == "0";
    line.contains("failed") || line.split_ascii_whitespace().skip(1).all(zero)
}
