//! Those who answer system calls are killed at any instant; no caller may notice more
//! than a delay.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::random::Random;
use support::{Need, Ran, Verdict, alone, container, daemon, process, speed};

use crate::callers::{Callers, Seen};

const QUICK: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Controller("cpu")];
const LONG: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::Controller("cpu"), Need::Full];
const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("cpu"), Need::File("/usr/bin/python3", "python3")];

const MILLION: &[Need] = &[
    Need::Container,
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
    Need::Full,
];

/// How long a call may take while answerers are killed.
const STALL: Duration = Duration::from_secs(2);

/// How long an answerer may take to be replaced.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("killed_answerers_are_not_noticed", QUICK, || kills(5, 40)),
        alone("many_killed_answerers_are_not_noticed_in_twenty_containers", LONG, || {
            kills(20, 500)
        }),
        alone("a_stopped_answerer_is_replaced", QUICK, a_stopped_answerer_is_replaced),
        alone("a_killed_holder_is_replaced", QUICK, a_killed_holder_is_replaced),
        alone("hostile_callers_harm_nobody_else", PYTHON, || hostile(20_000)),
        alone("a_million_hostile_calls_leak_nothing", MILLION, || hostile(1_000_000)),
    ]
}

/// The holder of the daemon that all trials share.
pub(crate) fn holder() -> Result<Pid> {
    let mount_point = daemon::shared()?;
    let is_it = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split(|byte| *byte == 0);
        words.any(|word| word == b"holder") && words.any(|word| is_path(word, &mount_point))
    };
    let entries = std::fs::read_dir("/proc")?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(is_it).map(Pid::from_raw).context("nobody holds listeners")
}

fn is_path(word: &[u8], path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes() == word
}

/// Kills the answerer and waits for the next one.
fn replace(holder: Pid, answerer: Pid, signal: Signal) -> Result<Pid> {
    kill(answerer, signal)?;
    let deadline = Instant::now() + speed::time(PATIENCE);
    loop {
        let others = process::descendants(holder)?;
        if let Some(next) = others.into_iter().find(|next| *next != answerer) {
            return Ok(next);
        }
        ensure!(Instant::now() < deadline, "answerer {answerer} is not replaced");
        thread::sleep(Duration::from_micros(200));
    }
}

fn kills(containers: usize, count: u32) -> Verdict {
    let callers = Callers::start(containers)?;
    let holder = holder()?;
    let mut answerer = process::child(holder, "portholefs")?;
    let mut random = Random::new();
    let count = speed::repetitions(count);
    for _kill in 0..count {
        thread::sleep(speed::time(Duration::from_micros(random.below(30_000))));
        answerer = replace(holder, answerer, Signal::SIGKILL)?;
    }
    nothing_wrong(&callers.finish()?, &format!("{count} kills under {containers} containers"))
}

fn nothing_wrong(seen: &Seen, what: &str) -> Verdict {
    eprintln!("{what}: {} calls, the longest took {:?}", seen.calls, seen.longest);
    ensure!(seen.faults.is_empty(), "{what}: {:?}", seen.faults);
    ensure!(seen.longest < speed::time(STALL), "{what}: a call took {:?}", seen.longest);
    ensure!(seen.calls > 0, "{what}: nobody called");
    Ok(())
}

/// One that neither answers nor dies, as if a caller's memory kept it waiting.
fn a_stopped_answerer_is_replaced() -> Verdict {
    let callers = Callers::start(3)?;
    let holder = holder()?;
    let answerer = process::child(holder, "portholefs")?;
    let next = replace(holder, answerer, Signal::SIGSTOP)?;
    ensure!(next != answerer, "it goes on");
    thread::sleep(speed::time(Duration::from_millis(500)));
    let seen = callers.finish()?;
    eprintln!("stopped: {} calls, the longest took {:?}", seen.calls, seen.longest);
    ensure!(seen.faults.is_empty(), "{:?}", seen.faults);
    Ok(())
}

/// Monitors have kept the listeners, and start another holder. What had been taken is
/// the kernel's: then a caller may see the machine once, but no call fails.
fn a_killed_holder_is_replaced() -> Verdict {
    let callers = Callers::start(5)?;
    for _kill in 0..3 {
        let before = holder()?;
        kill(before, Signal::SIGKILL)?;
        let deadline = Instant::now() + speed::time(PATIENCE);
        while !holder().is_ok_and(|next| next != before) {
            ensure!(Instant::now() < deadline, "nobody holds listeners any more");
            thread::sleep(Duration::from_millis(2));
        }
        // All five have found it when it answers for all.
        thread::sleep(speed::time(Duration::from_millis(300)));
    }
    let seen = callers.finish()?;
    eprintln!("3 dead holders: {} calls, the longest took {:?}", seen.calls, seen.longest);
    let failed: Vec<_> = seen.faults.iter().filter(|fault| fault.contains(": E")).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    ensure!(seen.faults.len() <= 3 * 4, "{:?}", seen.faults);
    ensure!(seen.longest < speed::time(STALL), "a call took {:?}", seen.longest);
    Ok(())
}

/// Pointers to nothing, to memory that is taken away meanwhile, and callers that are
/// killed in mid-call; prints what was answered that the kernel would not have.
const HOSTILE: &str = "\
import ctypes, mmap, os, random, signal, sys, threading
NUMBERS = {'x86_64': (99, 204, 203), 'aarch64': (179, 123, 122)}[os.uname().machine]
SYSINFO, GET, SET = NUMBERS
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    said = libc.syscall(*[ctypes.c_long(word) for word in words])
    return said if said >= 0 else -ctypes.get_errno()
wrong = {}
def expect(what, said, *allowed):
    if said not in allowed: wrong[what] = said
EFAULT, EINVAL, ESRCH, EPERM = -14, -22, -3, -1
libc.mmap.restype = ctypes.c_void_p
# Far from where the kernel puts what comes later.
page = libc.mmap(ctypes.c_void_p(0x10000000), 8192, 3, 0x100022, -1, 0)
libc.munmap(ctypes.c_void_p(page + 4096), 4096)
def bad():
    for place in (0, 8, page + 4096, page + 4090, 0xffffffff81000000, 2**63, -1):
        expect('sysinfo at %x' % place, call(SYSINFO, place), EFAULT)
        expect('get at %x' % place, call(GET, 0, 1024, place), EFAULT)
        expect('set at %x' % place, call(SET, 0, 1024, place), EFAULT)
    for length in (0, 1, 7, 9, 0x100000001):
        expect('length %d' % length, call(GET, 0, length, page), EINVAL)
    for pid in (-1, 2**31 - 1, 4000000):
        expect('pid %d' % pid, call(GET, pid, 1024, page), ESRCH)
        expect('set pid %d' % pid, call(SET, pid, 1024, page), ESRCH, EINVAL)
    expect('a good one', call(GET, 0, 1024, page), *range(8, 1025))
def race():
    other = libc.mmap(None, 4096, 3, 0x22, -1, 0)
    stop = []
    def flip():
        while not stop:
            libc.mprotect(ctypes.c_void_p(other), 4096, 0)
            libc.munmap(ctypes.c_void_p(other), 4096)
            libc.mmap(ctypes.c_void_p(other), 4096, 3, 0x32, -1, 0)
    thread = threading.Thread(target=flip)
    thread.start()
    for _ in range(200): expect('racing', call(SYSINFO, other + 4000 - 112), 0, EFAULT)
    stop.append(1)
    thread.join()
def killed():
    child = os.fork()
    if child == 0:
        while True: call(SYSINFO, page)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
calls = int(sys.argv[1])
while calls > 0:
    bad(); race(); killed()
    for _ in range(500): expect('many', call(GET, 0, 1024, page), *range(8, 1025))
    calls -= 750
print(wrong or 'nothing wrong')
";

/// Open descriptors and bytes of memory of the answerer.
fn held(answerer: Pid) -> Result<(usize, u64)> {
    let open = std::fs::read_dir(format!("/proc/{answerer}/fd"))?.count();
    let status = std::fs::read_to_string(format!("/proc/{answerer}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    Ok((open, resident.context("no VmRSS")?))
}

fn hostile(calls: u32) -> Verdict {
    let calls = speed::repetitions(calls).to_string();
    let words = ["/usr/bin/python3", "-c", HOSTILE, &calls];
    // What is made once is made.
    let warm = Ran::new(&mut container::run_command(&["--cpus", "1"], &["nproc"])?)?.succeeded()?;
    let callers = Callers::start(3)?;
    let answerer = process::child(holder()?, "portholefs")?;
    let before = held(answerer)?;
    let ran = container::run(&["--cpus", "1"], &words)?.succeeded()?;
    ran.equal("hostile calls", &ran.stdout.trim(), &"nothing wrong")?;
    let seen = callers.finish()?;
    let after = held(answerer)?;
    eprintln!("descriptors and KiB before and after {calls} hostile calls: {before:?} {after:?}");
    // Files of a container that has ended are kept open for a while, and are bounded.
    warm.between("descriptors", after.0 as u64, 0, before.0 as u64 + 64)?;
    warm.between("KiB resident", after.1, 0, before.1 + 8192)?;
    nothing_wrong(&seen, "beside hostile callers")
}
