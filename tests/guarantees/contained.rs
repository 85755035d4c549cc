//! A container made by nobody's runtime, that reads all the time.
//!
//! It is a control group with a limit of its own and a process in new pid and
//! mount namespaces. Its first process reads `/proc/meminfo` in a loop and
//! writes down what it saw, so that a test can ask afterwards what was seen at
//! any moment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Daemon, Group, Ran, binaries, process, speed};

/// Every file that the tests look at, and a directory that is mounted as a whole.
pub(crate) const FILES: [&str; 7] = [
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/sys/devices/system/cpu",
];

/// How long the reader may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a calm reader pauses.
const CALM: Duration = Duration::from_millis(100);

/// What the container runs. `read` is the shell's own, so that the loop starts no
/// process.
const READER: &str = "while $1; do
  read key value unit </proc/meminfo && echo $value >>\"$0\" || echo error >>\"$0\"
done 2>/dev/null";

/// How often a container reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All the time, so that it misses no moment.
    Busy,
    /// Every [`CALM`], as monitors do.
    Calm,
}

/// A container; it ends with this value.
#[derive(Debug)]
pub(crate) struct Contained {
    group: Group,
    unshare: Child,
    pid: Pid,
    seen: tempfile::NamedTempFile,
    limit: u64,
}

impl Contained {
    /// Starts one with a memory limit, in bytes, and without our files.
    pub(crate) fn without_files(limit: u64, pace: Pace) -> Result<Self> {
        let pause = match pace {
            Pace::Busy => ":".to_owned(),
            Pace::Calm => format!("sleep {}", speed::time(CALM).as_secs_f64()),
        };
        let group = Group::new(&["memory"])?;
        group.limit_memory(limit)?;
        let seen = tempfile::NamedTempFile::new()?;
        let path = seen.path().to_str().context("a temporary folder has a plain name")?;
        let mut unshare = group.container(&["sh", "-c", READER, path, &pause]);
        // unshare complains when its child is killed, which is how it ends here.
        let unshare = unshare.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let unshare_pid = Pid::from_raw(unshare.id().cast_signed());
        let pid = process::child(unshare_pid, "sh")?;
        Ok(Self { group, unshare, pid, seen, limit })
    }

    /// Starts one and puts the files of `daemon` into it.
    pub(crate) fn with_files(limit: u64, pace: Pace, daemon: &Daemon) -> Result<Self> {
        let container = Self::without_files(limit, pace)?;
        inject(daemon, &["--pid", &container.pid.to_string()])?.succeeded()?;
        container.wait_until_read()?;
        container.forget()?;
        Ok(container)
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the reader to see its own limit; from then on it must not see
    /// anything else.
    fn wait_until_read(&self) -> Result<()> {
        let own = (self.limit / 1024).to_string();
        let deadline = Instant::now() + PATIENCE;
        while !std::fs::read_to_string(self.seen.path())?.lines().any(|line| line == own) {
            ensure!(Instant::now() < deadline, "the reader never saw {own} kB");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// A command that becomes `program` inside, as one more process of it.
    pub(crate) fn command(&self, program: &[&str]) -> Command {
        self.command_in(self.pid, program)
    }

    /// The same in the mount namespace of its process `pid`.
    fn command_in(&self, pid: Pid, program: &[&str]) -> Command {
        let pid = pid.to_string();
        let enter = ["nsenter", "--mount", "--pid", "--target", &pid, "--"];
        self.group.command(&[&enter, program].concat())
    }

    /// Runs a shell script inside; it must succeed.
    pub(crate) fn shell(&self, script: &str) -> Result<Ran> {
        Ran::new(&mut self.command(&["sh", "-c", script]))?.succeeded()
    }

    /// Forgets what the reader has seen so far.
    pub(crate) fn forget(&self) -> Result<()> {
        Ok(self.seen.as_file().set_len(0)?)
    }

    /// Fails unless the reader saw its own limit, or an error where `may_fail`,
    /// and nothing else, since [`forget`](Self::forget). It may not have had its turn since
    /// then, so it is waited for.
    pub(crate) fn saw_only_its_own(&self, may_fail: bool) -> Result<()> {
        self.wait_until_read()?;
        let seen = std::fs::read_to_string(self.seen.path())?;
        let own = (self.limit / 1024).to_string();
        // The reader is writing while we read: its last line may be half a line.
        let complete = seen.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let wrong = |line: &&str| !(*line == own || (may_fail && *line == "error"));
        match complete.lines().find(wrong) {
            Some(line) => anyhow::bail!("the reader saw {line:?}, its limit is {own} kB"),
            None => Ok(()),
        }
    }

    /// Fails unless every file can be read inside, and says the container's size.
    pub(crate) fn reads_right(&self) -> Result<()> {
        self.reads_right_in(self.pid)
    }

    /// The same in the mount namespace of its process `pid`.
    pub(crate) fn reads_right_in(&self, pid: Pid) -> Result<()> {
        let files = FILES.join(" ");
        let script =
            format!("for f in {files}; do test -d $f && f=$f/online; cat $f || exit; done");
        let read = Ran::new(&mut self.command_in(pid, &["sh", "-c", &script]))?.succeeded()?;
        read.equal("MemTotal", &read.meminfo("MemTotal")?, &self.limit)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // The kernel ends a pid namespace with its first process.
        let _ended = kill(self.pid, Signal::SIGKILL);
        let _ended = self.unshare.wait();
    }
}

/// Runs `portholefs inject` with the files of `daemon`.
pub(crate) fn inject(daemon: &Daemon, words: &[&str]) -> Result<Ran> {
    let mut command = Command::new(binaries::path("portholefs")?);
    command.arg("inject").args(words).arg("--from").arg(daemon.mount_point());
    Ran::new(&mut command)
}

/// What is mounted at `path` in the mount namespace of `pid`: type and device of
/// each mount, the oldest first. Unless it was put beneath, the newest is seen.
pub(crate) fn mounted_at(pid: Pid, path: &str) -> Result<Vec<(String, String)>> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let at_path = table.lines().filter(|line| line.split(' ').nth(4) == Some(path));
    let mounts = at_path.map(|line| {
        let fs_type = line.split_once(" - ")?.1.split(' ').next()?;
        Some((fs_type.to_owned(), line.split(' ').nth(2)?.to_owned()))
    });
    mounts.collect::<Option<_>>().context("mountinfo is not in its format")
}

/// The device of the tree that `daemon` has mounted.
pub(crate) fn live_device(daemon: &Daemon) -> Result<String> {
    let path = daemon.mount_point();
    let mounts = mounted_at(Pid::this(), &path.to_string_lossy())?;
    ensure!(mounts.len() == 1, "mounts at {}: {mounts:?}", path.display());
    Ok(mounts.into_iter().map(|(_type, device)| device).collect())
}

/// Fails unless each of our files is there in the namespace of `pid`, alive, and
/// none of the dead.
pub(crate) fn has_each_file_once(pid: Pid, daemon: &Daemon) -> Result<()> {
    FILES.iter().try_for_each(|file| is_there_once(file, pid, daemon))
}

/// The same for one file. Where nothing can be put beneath a mount, the live one
/// lies on a dead one: on one, however many have died.
pub(crate) fn is_there_once(file: &str, pid: Pid, daemon: &Daemon) -> Result<()> {
    let live = ("fuse.portholefs".to_owned(), live_device(daemon)?);
    let mounts = mounted_at(pid, file)?;
    let beneath = usize::from(!support::needs::can_mount_beneath());
    let is_it = match mounts.split_last() {
        Some((seen, dead)) => *seen == live && dead.len() <= beneath && !dead.contains(&live),
        None => false,
    };
    ensure!(is_it, "{file}: {mounts:?}, expected {live:?}");
    Ok(())
}

/// Waits for `pid` to have a mount namespace of its own, and not `other`'s.
pub(crate) fn wait_for_own_namespace(pid: Pid, other: Pid) -> Result<()> {
    let namespace = |pid| std::fs::read_link(Path::new("/proc").join(format!("{pid}/ns/mnt")));
    while namespace(pid)? == namespace(other)? {
        std::thread::yield_now();
    }
    Ok(())
}
