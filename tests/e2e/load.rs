//! The load average of a container, and what it costs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::unistd::Pid;
use support::{Daemon, Group, Need, Verdict, alone, container, daemon, process, trial};

const LOAD: &[Need] = &[
    Need::Container,
    Need::Controller("pids"),
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
];
const LONG: &[Need] = &[
    Need::Container,
    Need::Controller("pids"),
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
    // A look at so many threads takes seconds there.
    Need::NativeSpeed,
    Need::Full,
];

/// Between two samples.
const PERIOD: Duration = Duration::from_secs(5);

/// What the kernel multiplies the three averages with in a period, as 1/2048;
/// `include/linux/sched/loadavg.h`.
const DECAY: [u64; 3] = [1884, 2014, 2037];

/// 1 in the kernel's fixed-point numbers.
const ONE: u64 = 2048;

/// How far from the reference an average may be: a twentieth of it, or, in
/// hundredths, what printing two digits loses.
const CLOSE: u64 = 20;
const PRINTED: u64 = 2;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("load_follows_what_runs_five_groups_deep", LOAD, || follows(3, 40, 2)),
        trial("last_pid_is_the_containers", &[Need::Container], last_pid_is_the_containers),
        trial("load_of_two_thousand_threads_follows_for_a_minute", LONG, || follows(4, 2000, 12)),
        alone(
            "nothing_runs_while_nobody_reads",
            &[Need::Container],
            nothing_runs_while_nobody_reads,
        ),
    ]
}

/// Process 1 of a container: it makes threads of a process five groups deep, says
/// what the load is when it is asked, and has some of them run when told to.
const SCRIPT: &str = "\
import os, subprocess, sys
path, deep, threads, busy = sys.argv[1], sys.argv[2].split(), sys.argv[3], sys.argv[4]
child = '''
import sys, threading, time
stop = threading.Event()
for number in range(int(sys.argv[1])): threading.Thread(target=stop.wait, daemon=True).start()
print('asleep', flush=True)
sys.stdin.readline()
'''
def enter():
    for group in deep: open(group + '/cgroup.procs', 'w').write('0')
sleeper = subprocess.Popen([sys.executable, '-c', child, threads], preexec_fn=enter,
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
sleeper.stdout.readline()
for line in sys.stdin:
    if line == 'run\\n':
        for number in range(int(busy)):
            subprocess.Popen(['sh', '-c', 'while :; do :; done'], preexec_fn=enter)
    print(open(path).read().strip(), flush=True)
os._exit(0)";

/// What the file says.
#[derive(Debug)]
struct Load {
    /// The three averages, in hundredths.
    averages: [u64; 3],
    threads: u64,
}

struct Loaded {
    child: std::process::Child,
    ask: Option<ChildStdin>,
    answer: BufReader<ChildStdout>,
}

impl Loaded {
    fn load(&mut self, word: &str) -> Result<Load> {
        let ask = self.ask.as_mut().context("it was not ended")?;
        ask.write_all(format!("{word}\n").as_bytes())?;
        let mut line = String::new();
        self.answer.read_line(&mut line)?;
        let load = || {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [one, five, fifteen, tasks, _last] = words[..] else { return None };
            let averages = [hundredths(one)?, hundredths(five)?, hundredths(fifteen)?];
            Some(Load { averages, threads: tasks.split_once('/')?.1.parse().ok()? })
        };
        load().with_context(|| format!("no load average: {line:?}"))
    }
}

/// `2.53`
fn hundredths(text: &str) -> Option<u64> {
    text.replace('.', "").parse().ok()
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // Process 1 ends at the end of its input, and the kernel ends the others.
        drop(self.ask.take());
        let _ended = self.child.wait();
    }
}

/// A load that was 0 and is `busy` follows the kernel's own formula, sample by
/// sample, for so many of them.
fn follows(busy: u64, threads: u64, samples: u32) -> Verdict {
    let group = Group::new(&["pids", "cpu"])?;
    let deep = Deep::new(&group)?;
    let mut loaded = start(&group, &deep, threads, busy)?;
    // From the first read on it is sampled; who reads half-way between two samples
    // does not run at either.
    let half = PERIOD / 2;
    let first = loaded.load("")?;
    let began = Instant::now();
    ensure!(first.threads >= threads, "{first:?}: fewer than {threads} threads");
    let seed = loaded.load("run")?.averages;
    let mut reference = seed.map(|average| average * ONE / 100);
    let mut shown = seed;
    for taken in 1..=samples {
        std::thread::sleep((PERIOD * taken + half).saturating_sub(began.elapsed()));
        shown = loaded.load("")?.averages;
        ensure!(began.elapsed() < PERIOD * (taken + 1), "the machine was too busy to be watched");
        reference = next(reference, busy);
    }
    for (shown, expected) in shown.into_iter().zip(reference.map(|average| average * 100 / ONE)) {
        let close = (expected / CLOSE).max(PRINTED);
        ensure!(
            shown.abs_diff(expected) <= close,
            "{shown} hundredths are not {expected}, after {samples} samples of {busy} from {seed:?}"
        );
    }
    Ok(())
}

/// Five groups in each other, in each hierarchy of a group; removed with this value.
struct Deep(Vec<PathBuf>);

impl Deep {
    fn new(group: &Group) -> Result<Self> {
        let mut deep = Self(Vec::new());
        let mut tops = vec![group.folder("pids")?, group.folder("cpu")?];
        tops.dedup();
        for top in tops {
            let mut level = top.to_owned();
            for name in ["a", "b", "c", "d", "e"] {
                level = level.join(name);
                std::fs::create_dir(&level)?;
                deep.0.push(level.clone());
            }
        }
        Ok(deep)
    }

    /// The innermost, as words.
    fn innermost(&self) -> String {
        let innermost = self.0.iter().filter(|level| level.ends_with("a/b/c/d/e"));
        innermost.map(|level| level.display().to_string()).collect::<Vec<_>>().join(" ")
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        // Processes that are ending hold their group for a moment; one that cannot
        // be removed is told of when the program ends.
        let deadline = Instant::now() + PERIOD;
        for level in self.0.iter().rev() {
            while std::fs::remove_dir(level).is_err() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn start(group: &Group, deep: &Deep, threads: u64, busy: u64) -> Result<Loaded> {
    let path = daemon::shared()?.join("proc/loadavg").display().to_string();
    let (threads, busy) = (threads.to_string(), busy.to_string());
    let words = ["/usr/bin/python3", "-c", SCRIPT, &path, &deep.innermost(), &threads, &busy];
    let mut command = group.container(&words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let ask = child.stdin.take().context("a pipe")?;
    let answer = BufReader::new(child.stdout.take().context("a pipe")?);
    Ok(Loaded { child, ask: Some(ask), answer })
}

/// `calc_load()` of kernel/sched/loadavg.c.
fn next(averages: [u64; 3], running: u64) -> [u64; 3] {
    let active = running * ONE;
    let mut next = averages;
    for (average, decay) in next.iter_mut().zip(DECAY) {
        let sum = *average * decay + active * (ONE - decay);
        *average = (sum + if active >= *average { ONE - 1 } else { 0 }) / ONE;
    }
    next
}

/// The largest in use, as the container numbers it: it has but one process.
fn last_pid_is_the_containers() -> Verdict {
    let ran = container::run(&[], &["cat", "/proc/loadavg"])?.succeeded()?;
    let last = ran.find("a last pid", |text| text.split_ascii_whitespace().nth(4)?.parse().ok());
    ran.equal("last pid", &last?, &1_u64)
}

/// Nobody has asked for a load, so nothing is sampled, and nothing wakes up.
fn nothing_runs_while_nobody_reads() -> Verdict {
    let daemon = Daemon::start()?;
    let pid = daemon.pid();
    let before = at_rest(pid)?;
    std::thread::sleep(PERIOD * 2);
    let after = switches(pid)?;
    ensure!(before == after, "context switches of each thread: {before:?}, then {after:?}");
    daemon.stop()
}

/// What [`switches`] says once the daemon has done what it does to begin with: nobody has
/// woken up for a second.
fn at_rest(keeper: Pid) -> Result<BTreeMap<String, u64>> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut before = switches(keeper)?;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = switches(keeper)?;
        if now == before {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "it has no rest: {before:?}, then {now:?}");
        before = now;
    }
}

/// How often each thread of a daemon's processes gave its CPU away: the wake-ups. What
/// heals ends by itself, maybe while it is looked at.
fn switches(keeper: Pid) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for pid in process::descendants(keeper)? {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
        for task in tasks.flatten() {
            let status = task.path().join("status");
            let Ok(text) = std::fs::read_to_string(&status) else { continue };
            let count = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = count.context("no context switches")?.trim().parse()?;
            found.insert(status.display().to_string(), count);
        }
    }
    Ok(found)
}
