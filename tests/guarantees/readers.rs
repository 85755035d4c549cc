//! Readers that compare what they read, in processes of containers of their own.
//!
//! Each process is this program again, process 1 of a pid namespace in a limited
//! group, with its own mount namespace. It reads with one thread of each kind
//! until its standard input ends, and then says what it saw.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use support::needs::is_imitated;
use support::program::Unproved;
use support::{Group, Verdict};

use crate::serving::Serving;

/// Set for a reader; the mount point.
pub(crate) const READER: &str = "PORTHOLE_TESTS_READER";

/// Set for a reader that reads a tree of its own.
const PRIVATE: &str = "PORTHOLE_TESTS_PRIVATE";

/// Memory that each reader's container may use: what `MemTotal` must say.
const LIMIT: u64 = 256 << 20;

/// Quota of a container with one CPU, in microseconds.
const ONE_CPU: u64 = 100_000;

/// How long a read may take while workers die or are replaced.
const STALL: Duration = Duration::from_millis(100);

/// How long it is watched how long reads take while nothing happens.
const CALM: Duration = Duration::from_secs(2);

/// Processes; each has a thread of every kind.
const PROCESSES: usize = 4;

/// How long a reader may take to end: it reads some files once more.
const PATIENCE: Duration = Duration::from_secs(20);

/// Faults that are enough to end a reader.
const MOST_FAULTS: usize = 10;

/// Readers that read until they are asked what they saw.
pub(crate) struct Readers {
    children: Vec<Child>,
    _groups: Vec<Group>,
}

/// What all readers saw together.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) faults: Vec<String>,
    pub(crate) longest: Duration,
}

impl Readers {
    /// Starts them and waits until each has read.
    pub(crate) fn start(serving: &Serving) -> Result<Self> {
        Self::start_each(serving, false)
    }

    /// The same, each with a private tree.
    pub(crate) fn start_private(serving: &Serving) -> Result<Self> {
        Self::start_each(serving, true)
    }

    fn start_each(serving: &Serving, is_private: bool) -> Result<Self> {
        let program = std::env::current_exe()?.to_string_lossy().into_owned();
        let (mut children, mut groups) = (Vec::new(), Vec::new());
        for process in 0..PROCESSES {
            let group = Group::new(&["memory", "cpu"])?;
            group.limit_memory(LIMIT)?;
            if process % 2 == 1 {
                // Every other one has fewer CPUs: names are not the same for all.
                group.limit_cpu(ONE_CPU)?;
            }
            let mut command = group.container(&[&program]);
            command.env(READER, serving.mount_point());
            if is_private {
                command.env(PRIVATE, "1");
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut ready = [0];
            child.stdout.as_mut().context("no output")?.read_exact(&mut ready)?;
            children.push(child);
            groups.push(group);
        }
        Ok(Self { children, _groups: groups })
    }

    /// Asks them to end; true when one cannot within `patience`.
    pub(crate) fn hang(&mut self, patience: Duration) -> Result<bool> {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        let deadline = Instant::now() + patience;
        for child in &mut self.children {
            while child.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    return Ok(true);
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(false)
    }

    /// Ends them; fails when one hangs.
    pub(crate) fn finish(mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        let deadline = Instant::now() + PATIENCE;
        for child in &mut self.children {
            while child.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    let _ = child.kill();
                    bail!("a reader hangs");
                }
                thread::sleep(Duration::from_millis(5));
            }
            let mut text = String::new();
            child.stdout.take().context("no output")?.read_to_string(&mut text)?;
            seen.add(&serde_json::from_str(&text).with_context(|| text.clone())?);
        }
        Ok(seen)
    }
}

impl Seen {
    fn add(&mut self, told: &Value) {
        let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or(0);
        self.reads += number("reads");
        let longest = Duration::from_micros(number("longest_us"));
        self.longest = self.longest.max(longest);
        let faults = told.get("faults").and_then(Value::as_array).into_iter().flatten();
        self.faults.extend(faults.filter_map(|fault| fault.as_str().map(str::to_owned)));
    }

    /// Forgets the counters that stepped back, at most once for each of `changes` and
    /// reader: those of tables that were begun anew do.
    pub(crate) fn forgive_steps_back(&mut self, changes: usize) -> Verdict {
        let before = self.faults.len();
        self.faults.retain(|fault| !fault.starts_with("counters step back"));
        let forgiven = before - self.faults.len();
        ensure!(forgiven <= changes * PROCESSES, "{forgiven} steps back in {changes} changes");
        Ok(())
    }

    /// Fails when a read took longer than is promised, which nothing is of an imitated
    /// processor. It is not proved on a machine where reads take longer than a fifth of
    /// that while nothing happens to the daemon.
    pub(crate) fn without_stall(&self) -> Verdict {
        if self.longest < STALL || is_imitated() {
            return Ok(());
        }
        let serving = Serving::start(&[])?;
        let readers = Readers::start(&serving)?;
        thread::sleep(CALM);
        let calm = readers.finish()?;
        calm.nothing_wrong("undisturbed")?;
        serving.stop()?;
        let (longest, calm) = (self.longest, calm.longest);
        if calm > STALL / 5 {
            let busy = "other programs keep this machine busy: a read took";
            let unproved = format!("{busy} {longest:?}, and undisturbed {calm:?}");
            return Err(Unproved(unproved).into());
        }
        bail!("a read took {longest:?}")
    }

    /// Fails unless every read was right; prints the longest.
    pub(crate) fn nothing_wrong(&self, what: &str) -> Verdict {
        eprintln!("{what}: {} reads, the longest took {:?}", self.reads, self.longest);
        let first = self.faults.first().map_or("", String::as_str);
        ensure!(self.faults.is_empty(), "{} wrong, first: {first}", self.faults.len());
        ensure!(self.reads >= 20, "only {} reads: nothing is tested", self.reads);
        Ok(())
    }
}

/// Reads until standard input ends; the `main` of a reader.
pub(crate) fn read(mount_point: &Path) -> ExitCode {
    let kinds: [Kind; 6] =
        [whole, kept_open, by_the_byte, in_two_parts, counters, directories_of_cpus];
    let over = &AtomicBool::new(false);
    let mut seen = Seen::default();
    let own = std::env::var_os(PRIVATE).map(|_set| support::private_tree::take(mount_point));
    let mount_point = match &own {
        None => mount_point,
        Some(Ok(own)) => own,
        Some(Err(error)) => {
            eprintln!("no private tree: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    thread::scope(|scope| {
        let threads = kinds.map(|kind| scope.spawn(move || repeat(kind, mount_point, over)));
        // Whoever started us closes our input when it has seen enough.
        let _ = io::stdout().write_all(b"\n").and_then(|()| io::stdout().flush());
        let _ = io::stdin().read_to_end(&mut Vec::new());
        over.store(true, SeqCst);
        for thread in threads {
            match thread.join() {
                Ok(Seen { reads, faults, longest }) => {
                    seen.reads += reads;
                    seen.faults.extend(faults);
                    seen.longest = seen.longest.max(longest);
                }
                Err(_panic) => seen.faults.push("a reading thread panicked".to_owned()),
            }
        }
    });
    let longest_us = u64::try_from(seen.longest.as_micros()).unwrap_or(u64::MAX);
    let told = json!({"reads": seen.reads, "faults": seen.faults, "longest_us": longest_us});
    let _ = writeln!(io::stdout(), "{told}");
    ExitCode::SUCCESS
}

/// One kind of reader: begins, and returns what to do again and again.
type Kind = fn(&Path) -> Result<Box<dyn FnMut() -> Result<Duration>>>;

fn repeat(kind: Kind, mount_point: &Path, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut step = match kind(mount_point) {
        Ok(step) => step,
        Err(error) => {
            seen.faults.push(format!("{error:#}"));
            return seen;
        }
    };
    // Once at least: whoever starts readers may end them before this thread has run.
    loop {
        match step() {
            Ok(took) => seen.longest = seen.longest.max(took),
            Err(error) => seen.faults.push(format!("{error:#}")),
        }
        seen.reads += 1;
        if over.load(SeqCst) || seen.faults.len() == MOST_FAULTS {
            return seen;
        }
    }
}

/// Opens, reads and closes, as `cat` does.
fn whole(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let path = mount_point.join("proc/meminfo");
    Ok(Box::new(move || {
        let (text, took) = timed(|| std::fs::read_to_string(&path))?;
        is_meminfo(&text)?;
        Ok(took)
    }))
}

/// Reads a file that stays open from its beginning, as `top` does.
fn kept_open(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let file = File::open(mount_point.join("proc/meminfo"))?;
    Ok(Box::new(move || {
        let mut buffer = vec![0; 65536];
        let (length, took) = timed(|| file.read_at(&mut buffer, 0))?;
        is_meminfo(std::str::from_utf8(buffer.get(..length).unwrap_or_default())?)?;
        Ok(took)
    }))
}

/// Reads one byte at a time, as `dash` does.
fn by_the_byte(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let path = mount_point.join("sys/devices/system/cpu/online");
    Ok(Box::new(move || {
        let ((), took) = timed(|| {
            let mut file = File::open(&path)?;
            let (mut text, mut byte) = (Vec::new(), [0]);
            while file.read(&mut byte)? == 1 {
                text.push(byte[0]);
            }
            let is_right = text.ends_with(b"\n") && text.first().is_some_and(u8::is_ascii_digit);
            if is_right { Ok(()) } else { Err(io::Error::other(format!("online: {text:?}"))) }
        })?;
        Ok(took)
    }))
}

/// Lists the directories of CPUs and walks through each, as `htop` does: as many as
/// there are CPUs online, and none beyond.
fn directories_of_cpus(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let directory = mount_point.join("sys/devices/system/cpu");
    let online = std::fs::read_to_string(directory.join("online"))?;
    let last = online.trim_end().rsplit('-').next().unwrap_or_default();
    let cpus = last.parse::<u32>()? + 1;
    let file = move |cpu: u32| directory.join(format!("cpu{cpu}/topology/core_id"));
    let directory = mount_point.join("sys/devices/system/cpu");
    Ok(Box::new(move || {
        let (names, took) =
            timed(|| std::fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>())?;
        let names = names.iter().filter_map(|entry| entry.file_name().into_string().ok());
        let number = |name: String| name.strip_prefix("cpu")?.parse::<u32>().ok();
        let mut listed: Vec<_> = names.filter_map(number).collect();
        listed.sort_unstable();
        ensure!(listed == (0..cpus).collect::<Vec<_>>(), "{listed:?}, {cpus} CPUs");
        for cpu in 0..cpus {
            std::fs::read_to_string(file(cpu)).with_context(|| format!("cpu{cpu}"))?;
        }
        ensure!(!file(cpus).exists(), "cpu{cpus} is there, {cpus} CPUs");
        Ok(took)
    }))
}

/// Reads a part, sleeps, and reads the rest: both must be of one moment.
fn in_two_parts(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let path = mount_point.join("proc/meminfo");
    let mut pause = 0;
    Ok(Box::new(move || {
        let mut file = File::open(&path)?;
        let mut part = [0; 500];
        let ((), first) = timed(|| file.read_exact(&mut part))?;
        pause = (pause + 7) % 23;
        thread::sleep(Duration::from_millis(pause));
        let mut text = String::from_utf8(part.to_vec())?;
        let (_length, second) = timed(|| file.read_to_string(&mut text))?;
        is_meminfo(&text)?;
        Ok(first.max(second))
    }))
}

/// Reads counters, which never step back.
fn counters(mount_point: &Path) -> Result<Box<dyn FnMut() -> Result<Duration>>> {
    let path = mount_point.join("proc/stat");
    let mut before = Vec::new();
    Ok(Box::new(move || {
        let (text, took) = timed(|| std::fs::read_to_string(&path))?;
        let now = cpu_times(&text)?;
        // From now on they count from here: one step back is told once.
        let before = std::mem::replace(&mut before, now.clone());
        let steps_back = before.iter().zip(&now).any(|(before, now)| before > now);
        ensure!(!steps_back, "counters step back: {before:?} {now:?}");
        Ok(took)
    }))
}

fn timed<T>(read: impl FnOnce() -> io::Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let read = read()?;
    Ok((read, start.elapsed()))
}

/// Fails unless `text` is the container's `/proc/meminfo`, whole.
fn is_meminfo(text: &str) -> Verdict {
    let wrong = || format!("not a whole meminfo of this container:\n{text}");
    let total = support::ran::meminfo(text, "MemTotal").with_context(wrong)?;
    ensure!(total == LIMIT && text.ends_with('\n'), wrong());
    let mut keys = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once(':').with_context(wrong)?;
        let number = value.trim_end_matches(" kB").trim_start();
        ensure!(number.parse::<u64>().is_ok(), wrong());
        keys.push(key);
    }
    let first = KEYS.get_or_init(|| keys.iter().map(|&key| key.to_owned()).collect());
    ensure!(first.iter().eq(keys), wrong());
    Ok(())
}

/// The lines of the first meminfo that this process read: all others have them too.
static KEYS: OnceLock<Vec<String>> = OnceLock::new();

/// The times in the first line of `/proc/stat`.
fn cpu_times(text: &str) -> Result<Vec<u64>> {
    let line = text.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let words = line.context("/proc/stat does not begin with \"cpu \"")?.split_ascii_whitespace();
    words.map(|word| word.parse().context("not a number")).collect()
}
