//! Callers that ask the kernel how big the machine is, in containers of `porthole run`.
//!
//! Each is this program again, the command of a container of one CPU. It calls with two
//! threads, holds what it is told against what it must be, until its standard input
//! ends, and then says what it saw.

use std::io::{self, Read as _, Write as _};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::sysinfo::sysinfo;
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::{container, speed};

/// Set for a caller.
pub(crate) const CALLER: &str = "PORTHOLE_TESTS_CALLER";

/// Memory of each container, in bytes: what `totalram` must be.
const LIMIT: u64 = 64 << 20;

/// How long a caller rests between two calls: 20 of them share two CPUs with those who
/// answer.
const PAUSE: Duration = Duration::from_micros(500);

/// How long callers may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Faults that are told; the rest are counted.
const MOST_FAULTS: usize = 5;

/// Calls until standard input ends.
pub(crate) fn call() -> ExitCode {
    let ended = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let callers = [ask_affinity, ask_sysinfo].map(|ask| {
            let ended = &ended;
            scope.spawn(move || ask_on(ask, ended))
        });
        let _told = io::stdout().write_all(b"r").and_then(|()| io::stdout().flush());
        let _until_it_ends = io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, SeqCst);
        callers.map(|caller| caller.join().unwrap_or_default())
    });
    let mut all = Seen::default();
    seen.into_iter().for_each(|seen| all.add(seen));
    let told = json!({
        "calls": all.calls,
        "longest_us": all.longest.as_micros(),
        "faults": all.faults,
    });
    match write!(io::stdout(), "{told}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_listens) => ExitCode::FAILURE,
    }
}

/// Asks until it is over, and once at least: whoever starts callers may end them before
/// this thread has run.
fn ask_on(ask: fn() -> Result<(), String>, ended: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    loop {
        let began = Instant::now();
        let fault = ask().err();
        seen.longest = seen.longest.max(began.elapsed());
        seen.calls += 1;
        seen.faults.extend(fault.filter(|_| seen.faults.len() < MOST_FAULTS));
        if ended.load(SeqCst) {
            return seen;
        }
        thread::sleep(PAUSE);
    }
}

/// One CPU, number 0, before and after it is asked for.
fn ask_affinity() -> Result<(), String> {
    let me = Pid::from_raw(0);
    let told = sched_getaffinity(me).map_err(|errno| format!("sched_getaffinity: {errno}"))?;
    let has = |cpu| told.is_set(cpu).unwrap_or(false);
    if !has(0) || (1..CpuSet::count()).any(has) {
        return Err("another CPU than 0".to_owned());
    }
    sched_setaffinity(me, &told).map_err(|errno| format!("sched_setaffinity: {errno}"))
}

fn ask_sysinfo() -> Result<(), String> {
    let told = sysinfo().map_err(|errno| format!("sysinfo: {errno}"))?;
    if told.ram_total() == LIMIT && told.ram_unused() <= LIMIT {
        return Ok(());
    }
    Err(format!("{} bytes of memory, {} of them free", told.ram_total(), told.ram_unused()))
}

/// What callers have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Calls, or pairs of calls.
    pub(crate) calls: u64,
    /// The longest of them.
    pub(crate) longest: Duration,
    /// What was wrong.
    pub(crate) faults: Vec<String>,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
        self.faults.extend(other.faults);
    }
}

/// Callers, each in a container of its own; they end with this value.
pub(crate) struct Callers(Vec<Child>);

impl Callers {
    /// Starts so many, and waits until they call.
    pub(crate) fn start(count: usize) -> Result<Self> {
        let program = std::env::current_exe()?;
        let folder = program.parent().context("a program is in a folder")?.display();
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        let volume = format!("{folder}:/tests:ro");
        let variable = format!("{CALLER}=1");
        let options = ["-i", "-m", "64m", "--cpus", "1", "-v", &volume, "-e", &variable];
        let mut children = Vec::new();
        for _caller in 0..count {
            let mut command = container::run_command(&options, &[&format!("/tests/{name}")])?;
            children.push(begin(&mut command)?);
        }
        let mut callers = Self(children);
        for child in &mut callers.0 {
            let mut ready = [0];
            child.stdout.as_mut().context("no output")?.read_exact(&mut ready)?;
        }
        Ok(callers)
    }

    /// Has them end; fails when one hangs.
    pub(crate) fn finish(mut self) -> Result<Seen> {
        for child in &mut self.0 {
            drop(child.stdin.take());
        }
        let deadline = Instant::now() + speed::time(PATIENCE);
        let mut seen = Seen::default();
        for child in &mut self.0 {
            while child.try_wait()?.is_none() {
                if Instant::now() > deadline {
                    bail!("a caller hangs");
                }
                thread::sleep(Duration::from_millis(5));
            }
            let mut text = String::new();
            child.stdout.take().context("no output")?.read_to_string(&mut text)?;
            seen.add(told(&text)?);
        }
        Ok(seen)
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Dead already, unless a test has failed.
            let _dead = child.kill();
            let _dead = child.wait();
        }
    }
}

fn begin(command: &mut Command) -> Result<Child> {
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn told(text: &str) -> Result<Seen> {
    let told: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let number = |key: &str| told.get(key).and_then(Value::as_u64).with_context(|| text.to_owned());
    let faults = told.get("faults").and_then(Value::as_array).into_iter().flatten();
    Ok(Seen {
        calls: number("calls")?,
        longest: Duration::from_micros(number("longest_us")?),
        faults: faults.filter_map(|fault| fault.as_str().map(str::to_owned)).collect(),
    })
}
