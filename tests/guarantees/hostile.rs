//! Callers that mean harm: pointers to nothing, memory that is taken away or written while
//! it is answered, callers killed while they wait. Nobody else may notice, and nothing of
//! them may stay.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use nix::unistd::Pid;
use procfs_fuse::answer::notes::Notes;
use procfs_fuse::sys::shared_memory;
use support::{Need, Ran, Verdict, alone, container, process, speed};

use crate::callers::Callers;
use crate::calls::{holder, nothing_wrong};

const PYTHON: &[Need] =
    &[Need::Container, Need::Controller("cpu"), Need::File("/usr/bin/python3", "python3")];

const MILLION: &[Need] = &[
    Need::Container,
    Need::Controller("cpu"),
    Need::File("/usr/bin/python3", "python3"),
    Need::Full,
];

/// Files that are kept open for a minute or two after callers and containers have ended: of
/// 512 callers at most, and of few containers.
const KEPT_FILES: usize = 512 + 128;

/// What a process may have grown by, in KiB: what it allocates does not grow with calls.
const GROWTH_KIB: u64 = 8192;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        alone("hostile_callers_harm_nobody_else", PYTHON, || hostile(1, 20_000)),
        alone("a_million_hostile_calls_leak_nothing", MILLION, || {
            hostile(speed::repetitions(10), 100_000)
        }),
    ]
}

/// Prints what was answered that the kernel would not have, or how many calls were made:
/// in all, into memory that came and went, and by those who were killed. Of memory that
/// comes and goes both answers must have been seen, else nothing has raced.
const HOSTILE: &str = "\
import ctypes, os, random, signal, sys, threading, time
NUMBERS = {'x86_64': (99, 204, 203), 'aarch64': (179, 123, 122)}[os.uname().machine]
SYSINFO, GET, SET = NUMBERS
libc = ctypes.CDLL(None, use_errno=True)
made, raced, killed = 0, {}, 0
def call(*words):
    global made
    made += 1
    said = libc.syscall(*[ctypes.c_long(word) for word in words])
    return said if said >= 0 else -ctypes.get_errno()
wrong = {}
# Else a thread that runs keeps the others waiting for 5 ms.
sys.setswitchinterval(1e-5)
def expect(what, said, *allowed):
    if said not in allowed: wrong[what] = said
EFAULT, EINVAL, ESRCH = -14, -22, -3
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
other = libc.mmap(ctypes.c_void_p(0x20000000), 4096, 3, 0x100022, -1, 0)
def flip(stop):
    place = ctypes.c_void_p(other)
    while not stop:
        libc.munmap(place, 4096)
        libc.mmap(place, 4096, 3, 0x100022, -1, 0)
        libc.mprotect(place, 4096, 0)
        libc.mprotect(place, 4096, 3)
def scribble(stop):
    masks = [bytes([number]) * 128 for number in (0, 1, 3, 255)]
    while not stop: ctypes.memmove(page, random.choice(masks), 128)
def race():
    stop = []
    threads = [threading.Thread(target=what, args=(stop,)) for what in (flip, scribble)]
    for thread in threads: thread.start()
    for _ in range(15):
        for what, said, *allowed in (
            ('sysinfo', call(SYSINFO, other + 4000 - 112), 0, EFAULT),
            ('get', call(GET, 0, 128, other), EFAULT, *range(8, 129)),
            ('set', call(SET, 0, 128, other), 0, EFAULT, EINVAL),
            ('set what is written', call(SET, 0, 128, page), 0, EINVAL),
        ):
            expect('racing ' + what, said, *allowed)
            raced.setdefault(what, set()).add(min(said, 1))
    stop.append(1)
    for thread in threads: thread.join()
def kill():
    global killed
    mine, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        call(SYSINFO, page)
        os.write(theirs, b'.')
        while True: call(SYSINFO, page)
    os.close(theirs)
    # It calls on and on from here, and is nearly always waiting for an answer.
    if os.read(mine, 1) != b'.': wrong['child'] = 'it never called'
    os.close(mine)
    time.sleep(random.random() / 2000)
    os.kill(child, signal.SIGKILL)
    ended = os.waitpid(child, 0)[1]
    if ended != signal.SIGKILL: wrong['killed'] = ended
    killed += 1
calls = int(sys.argv[1])
while made < calls:
    bad(); race(); kill()
    for _ in range(700): expect('many', call(GET, 0, 1024, page), *range(8, 1025))
for what in ('sysinfo', 'get', 'set'):
    if made > 10000 and len(raced[what]) < 2: wrong[what] = 'never raced: %s' % raced[what]
print(wrong or 'nothing wrong')
print(made, 'calls,', killed, 'killed,', raced, file=sys.stderr)
";

/// What a process holds: open descriptors, and KiB of memory.
#[derive(Debug, Clone, Copy)]
struct Holding {
    open: usize,
    resident_kib: u64,
}

impl Holding {
    fn of(pid: Pid) -> Result<Self> {
        let open = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        Ok(Self { open, resident_kib: resident.context("no VmRSS")? })
    }

    fn check(self, what: &str, before: Self) -> Verdict {
        eprintln!("{what} before and after: {before:?} {self:?}");
        ensure!(self.open <= before.open + KEPT_FILES, "{what} leaks descriptors");
        ensure!(self.resident_kib <= before.resident_kib + GROWTH_KIB, "{what} leaks memory");
        Ok(())
    }
}

/// What the holder has noted.
pub(crate) fn notes(holder: Pid) -> Result<&'static Notes> {
    const MEMORY: u32 = 100;
    let path = format!("/proc/{holder}/fd/{MEMORY}");
    let memory = File::options().read(true).write(true).open(path)?;
    Ok(shared_memory::map_notes(memory.as_fd())?)
}

/// Listeners that are held, and calls that are noted as being answered.
fn slots(notes: &Notes) -> (usize, usize) {
    let held = notes.listeners.iter().filter(|place| place.listener().is_some());
    let taken = notes.taken.iter().filter(|taken| taken.request.id().is_some());
    (held.count(), taken.count())
}

/// Containers one after the other, each of which makes so many calls: together they take
/// longer than a container is given.
fn hostile(containers: u32, calls: u32) -> Verdict {
    let calls = speed::repetitions(calls).to_string();
    let words = ["/usr/bin/python3", "-c", HOSTILE, &calls];
    // What is made once is made.
    Ran::new(&mut container::run_command(&["--cpus", "1"], &["nproc"])?)?.succeeded()?;
    let callers = Callers::start(3)?;
    let holder = holder()?;
    let answerer = process::child(holder, "portholefs")?;
    let notes = notes(holder)?;
    let (held, takeovers) = (slots(notes).0, notes.takeovers.load(SeqCst));
    let before = [holder, answerer].map(Holding::of);
    for _container in 0..containers {
        let ran = container::run(&["--cpus", "1"], &words)?.succeeded()?;
        eprintln!("{}", ran.stderr.trim());
        ran.equal("hostile calls", &ran.stdout.trim(), &"nothing wrong")?;
    }
    let seen = callers.finish()?;
    let [holder_before, answerer_before] = before;
    Holding::of(holder)?.check("the holder", holder_before?)?;
    Holding::of(answerer)?.check("the answerer", answerer_before?)?;
    crate::holders::wait("nothing is held or being answered", || Ok(slots(notes) == (0, 0)))?;
    ensure!(held == 3, "{held} listeners of three callers were held");
    let takeovers = notes.takeovers.load(SeqCst) - takeovers;
    ensure!(takeovers == 0, "{takeovers} answerers died of hostile callers");
    nothing_wrong(&seen, "beside hostile callers")
}
