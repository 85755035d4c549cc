//! What a hostile container does: 64 threads, in eight processes, ask without a pause.
//!
//! Each process is this program again. The first one of the container starts the
//! others; all end when their standard input does. One process of the test's stops them,
//! or freezes their group, every few milliseconds, where that is what they are for.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Group, Random, group, process};

/// Set for the first process of a hostile container; what it does.
pub(crate) const HOSTILE: &str = "PORTHOLE_TESTS_HOSTILE";

/// Set for all of them; the mount point.
const ROOT: &str = "PORTHOLE_TESTS_HOSTILE_ROOT";

/// Set for the other processes.
const PART: &str = "PORTHOLE_TESTS_HOSTILE_PART";

/// Processes: more open files are needed than one of them may have.
const PROCESSES: usize = 8;

/// Threads of each.
const THREADS: usize = 8;

/// Files that each thread keeps open where that is what it is for: 100,000 in all.
const OPENS: usize = 100_000 / (PROCESSES * THREADS);

/// How long it goes on between two interruptions.
const BETWEEN: Duration = Duration::from_millis(2);

/// How long its group stays frozen each time.
const FROZEN: Duration = Duration::from_millis(10);

/// What a hostile container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hostility {
    /// Opens, reads and closes.
    TightLoops,
    /// Reads files that stay open: a request for each read.
    KeptReads,
    /// Opens 100,000 files, and goes on opening.
    Opens,
    /// Starts a process for each read.
    ForkedReaders,
    /// Is stopped and continued while it reads.
    InterruptedReads,
    /// Reads a few bytes anywhere.
    WildSeeks,
    /// Is frozen and thawed while it reads.
    FrozenReads,
}

impl Hostility {
    pub(crate) const ALL: [Self; 7] = [
        Self::TightLoops,
        Self::KeptReads,
        Self::Opens,
        Self::ForkedReaders,
        Self::InterruptedReads,
        Self::WildSeeks,
        Self::FrozenReads,
    ];

    fn called(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hostility| format!("{hostility:?}") == name)
    }
}

/// A hostile container; it ends with this value.
pub(crate) struct Hostiles {
    first: Child,
    over: Arc<AtomicBool>,
    interrupting: Option<JoinHandle<Result<()>>>,
}

impl Hostiles {
    /// Starts one in `group` against the files below `root`, and waits until all of its
    /// processes are there.
    pub(crate) fn start(group: &Group, root: &Path, hostility: Hostility) -> Result<Self> {
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let mut command = group.container(&[&program]);
        command.env(HOSTILE, format!("{hostility:?}")).env(ROOT, root);
        let mut first = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut ready = [0; PROCESSES];
        first.stdout.as_mut().context("no output")?.read_exact(&mut ready)?;
        let over = Arc::new(AtomicBool::new(false));
        let mut hostiles = Self { first, over, interrupting: None };
        hostiles.interrupt(group, hostility)?;
        Ok(hostiles)
    }

    /// Stops them, or freezes their group, again and again.
    fn interrupt(&mut self, group: &Group, hostility: Hostility) -> Result<()> {
        let over = Arc::clone(&self.over);
        self.interrupting = match hostility {
            Hostility::InterruptedReads => {
                let processes = process::descendants(Pid::from_raw(self.first.id().cast_signed()))?;
                Some(thread::spawn(move || stop_and_continue(&processes, &over)))
            }
            Hostility::FrozenReads => {
                let frozen = Freezer::of(group)?;
                Some(thread::spawn(move || freeze_and_thaw(&frozen, &over)))
            }
            _by_themselves => None,
        };
        Ok(())
    }

    /// Ends it.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.over.store(true, SeqCst);
        if let Some(interrupting) = self.interrupting.take() {
            interrupting.join().map_err(|_panic| anyhow::anyhow!("nobody interrupts"))??;
        }
        drop(self.first.stdin.take());
        self.first.wait()?;
        Ok(())
    }
}

impl Drop for Hostiles {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        if let Some(interrupting) = self.interrupting.take() {
            let _ended = interrupting.join();
        }
        // Dead already, unless a test has failed. unshare's child, process 1, ends when
        // its input does, and all others with it.
        drop(self.first.stdin.take());
        let _dead = self.first.wait();
    }
}

fn stop_and_continue(processes: &[Pid], over: &AtomicBool) -> Result<()> {
    while !over.load(SeqCst) {
        for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
            for process in processes {
                kill(*process, signal)?;
            }
        }
        thread::sleep(BETWEEN);
    }
    Ok(())
}

fn freeze_and_thaw(group: &Freezer, over: &AtomicBool) -> Result<()> {
    while !over.load(SeqCst) {
        group.set(true)?;
        thread::sleep(FROZEN);
        group.set(false)?;
        thread::sleep(BETWEEN);
    }
    Ok(())
}

/// The file that freezes a group, and its words for thawed and frozen.
struct Freezer(PathBuf, [&'static str; 2]);

impl Freezer {
    fn of(group: &Group) -> Result<Self> {
        if group::is_v2("memory") {
            return Ok(Self(group.folder("memory")?.join("cgroup.freeze"), ["0", "1"]));
        }
        Ok(Self(group.folder("freezer")?.join("freezer.state"), ["THAWED", "FROZEN"]))
    }

    fn set(&self, frozen: bool) -> Result<()> {
        let [thawed, freezing] = self.1;
        Ok(fs::write(&self.0, if frozen { freezing } else { thawed })?)
    }
}

/// Is hostile until standard input ends; `None` when this process was not started for that.
pub(crate) fn main() -> Option<ExitCode> {
    let hostility = Hostility::called(std::env::var(HOSTILE).ok()?.as_str())?;
    let root = PathBuf::from(std::env::var_os(ROOT)?);
    let others = match std::env::var_os(PART) {
        Some(_part) => Ok(Vec::new()),
        None => (1..PROCESSES).map(|_process| start_another()).collect::<io::Result<_>>(),
    };
    let be = |mut others: Vec<Child>| -> io::Result<()> {
        be_hostile(&root, hostility)?;
        others.iter_mut().try_for_each(|other| other.wait().map(|_status| ()))
    };
    Some(match others.and_then(be) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("a hostile process: {error}");
            ExitCode::FAILURE
        }
    })
}

fn start_another() -> io::Result<Child> {
    Command::new(std::env::current_exe()?).env(PART, "").spawn()
}

fn be_hostile(root: &Path, hostility: Hostility) -> io::Result<()> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let over = &over;
            scope.spawn(move || {
                // What a hostile thread cannot do any more it leaves to the others.
                let _failed = repeat(root, hostility, thread, over);
            });
        }
        let told = io::stdout().write_all(b"r").and_then(|()| io::stdout().flush());
        let _until_it_ends = io::stdin().read_to_end(&mut Vec::new());
        over.store(true, SeqCst);
        told
    })
}

fn repeat(root: &Path, hostility: Hostility, thread: usize, over: &AtomicBool) -> io::Result<()> {
    let file = root.join(if thread.is_multiple_of(2) { "proc/meminfo" } else { "proc/stat" });
    let mut buffer = vec![0; 1 << 16];
    let mut random = Random::new();
    let mut kept = vec![File::open(&file)?];
    while !over.load(SeqCst) {
        match hostility {
            Hostility::TightLoops | Hostility::InterruptedReads | Hostility::FrozenReads => {
                fs::read(&file)?;
            }
            Hostility::KeptReads => {
                kept.iter().try_for_each(|kept| kept.read_at(&mut buffer, 0).map(|_length| ()))?;
            }
            Hostility::Opens => {
                if kept.len() >= OPENS {
                    kept.clear();
                }
                kept.push(File::open(&file)?);
            }
            Hostility::ForkedReaders => {
                Command::new("cat").arg(&file).stdout(Stdio::null()).status()?;
            }
            Hostility::WildSeeks => {
                let (offset, length) = (random.below(5000), random.one_of(&[1, 7, 60]));
                let part = buffer.get_mut(..*length).unwrap_or_default();
                kept.iter().try_for_each(|kept| kept.read_at(part, offset).map(|_length| ()))?;
            }
        }
    }
    Ok(())
}
