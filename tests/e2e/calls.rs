//! System calls that ask how big the machine is: what they say, and that they are the
//! kernel's in everything else.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::needs::online_cpus;
use support::{Container, Need, Ran, Verdict, binaries, container, daemon, trial};

const PYTHON: Need = Need::File("/usr/bin/python3", "python3");
const CPU: &[Need] = &[Need::Container, Need::Controller("cpu"), Need::Cpus(2), PYTHON];
const MORE: &[Need] =
    &[Need::Container, Need::Speed, Need::Controller("cpu"), Need::Cpus(2), PYTHON];
const CPUSET: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(2), PYTHON];
const MEMORY: &[Need] =
    &[Need::Container, Need::Controller("memory"), Need::LargeProgram("gcc", "gcc")];
const X32: &[Need] = &[Need::Container, Need::Controller("memory"), PYTHON];
/// A compiler for 32-bit programs, too.
const COMPAT: &[Need] = &[
    Need::Container,
    Need::Controller("memory"),
    Need::LargeFile("/usr/lib/gcc/x86_64-linux-gnu/12/32/libgcc.a", "gcc-multilib"),
];
const OPENMP: &[Need] =
    &[Need::Container, Need::Controller("cpu"), Need::Cpus(2), Need::LargeProgram("gcc", "gcc")];
const TASKSET: &[Need] = &[Need::Container, Need::Speed, Need::Controller("cpuset"), Need::Cpus(2)];
const NUMACTL: &[Need] = &[
    Need::Container,
    Need::Speed,
    Need::Controller("cpu"),
    Need::Cpus(2),
    Need::Program("numactl", "numactl"),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("affinity_is_the_quota", CPU, affinity_is_the_quota),
        trial("affinity_is_translated", CPUSET, affinity_is_translated),
        trial("affinity_follows_an_update", CPU, affinity_follows_an_update),
        trial("masks_and_errors_are_the_kernels", CPU, masks_and_errors_are_the_kernels),
        trial("other_threads_are_found", CPU, other_threads_are_found),
        trial("nobody_pins_what_is_not_theirs", MORE, nobody_pins_what_is_not_theirs),
        trial("sysinfo_is_what_the_files_say", MEMORY, || sysinfo_is_what_the_files_say("")),
        trial("a_static_program_is_told_too", MEMORY, || sysinfo_is_what_the_files_say("-static")),
        trial("a_32_bit_program_is_told_too", COMPAT, || sysinfo_is_what_the_files_say("-m32")),
        trial("x32_is_told_too", X32, x32_is_told_too),
        trial("loads_are_those_of_the_file", MORE, loads_are_those_of_the_file),
        trial("calls_are_counted", CPU, calls_are_counted),
        trial("exec_is_answered_too", MORE, exec_is_answered_too),
        trial("the_kernel_answers_when_told_to", MORE, the_kernel_answers_when_told_to),
        trial("taskset_and_numactl_work", NUMACTL, taskset_and_numactl_work),
        trial("taskset_goes_by_the_containers_numbers", TASKSET, taskset_goes_by_its_numbers),
        trial("openmp_pins_its_threads", OPENMP, openmp_pins_its_threads),
        trial("a_32_bit_program_pins_and_fails_as_by_the_kernel", COMPAT, a_32_bit_program_pins),
    ]
}

/// Runs Python in a new container; what it prints.
fn python(options: &[&str], script: &str) -> Result<Ran> {
    container::run(options, &["/usr/bin/python3", "-c", script])?.succeeded()
}

#[track_caller]
fn check(options: &[&str], script: &str, expected: &str) -> Verdict {
    let ran = python(options, script)?;
    ran.equal("what Python prints", &ran.stdout.trim(), &expected)
}

fn affinity_is_the_quota() -> Verdict {
    check(&["--cpus", "1"], "import os; print(os.sched_getaffinity(0))", "{0}")?;
    check(&["--cpus", "1.5"], "import os; print(os.sched_getaffinity(0))", "{0, 1}")
}

/// The host's CPU 1 is CPU 0 in the container.
fn affinity_is_translated() -> Verdict {
    let script = "\
import os
print(os.sched_getaffinity(0))
os.sched_setaffinity(0, {0})
status = open('/proc/self/status').read()
print(status.split('Cpus_allowed_list:')[1].split()[0])
try: os.sched_setaffinity(0, {1})
except OSError as error: print(error.errno)
";
    check(&["--cpuset-cpus", "1"], script, "{0}\n1\n22")?;
    // Where numbers are the machine's own, they stay so.
    let script = "\
import os
os.sched_setaffinity(0, {1})
print(os.sched_getaffinity(0))
print(open('/proc/self/status').read().split('Cpus_allowed_list:')[1].split()[0])
";
    check(&["--cpuset-cpus", "0-1"], script, "{1}\n1")
}

fn affinity_follows_an_update() -> Verdict {
    let container = Container::sleeping(&["--cpus", "1"])?;
    let ran = container.shell("nproc")?;
    ran.equal("before", &ran.stdout.trim(), &"1")?;
    Ran::new(container::porthole()?.args(["update", "--cpus", "2", container.id()]))?
        .succeeded()?;
    let ran = container.shell("nproc")?;
    ran.equal("after", &ran.stdout.trim(), &"2")
}

/// Errors and lengths beside those of the same calls that the kernel answers.
fn masks_and_errors_are_the_kernels() -> Verdict {
    let script = "\
import ctypes, os
GET, SET = {'x86_64': (204, 203), 'aarch64': (123, 122)}[os.uname().machine]
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    said = libc.syscall(*[ctypes.c_long(word) for word in words])
    return said if said >= 0 else -ctypes.get_errno()
room = ctypes.create_string_buffer(4096)
place = ctypes.addressof(room)
for length in (0, 1, 4, 8, 12, 16, 64, 128, 1024, 4096, 1 << 32): print(call(GET, 0, length, place))
for pid in (-1, 1 << 22): print(call(GET, pid, 128, place), call(SET, pid, 128, place))
print(call(GET, 0, 128, 1), call(SET, 0, 128, 1), call(SET, 0, 0, 1))
";
    let ours = python(&["--cpus", "1"], script)?;
    let kernels = python(&["--cpus", "1", "--no-syscall-view"], script)?;
    ours.equal("lengths and errors", &ours.stdout, &kernels.stdout)
}

fn other_threads_are_found() -> Verdict {
    let script = "\
import os, threading, time
child = os.fork()
if child == 0: time.sleep(60)
print(os.sched_getaffinity(child))
os.sched_setaffinity(child, {0})
print(os.sched_getaffinity(child), os.sched_getaffinity(1))
wait = threading.Event()
thread = threading.Thread(target=wait.wait)
thread.start()
print(os.sched_getaffinity(thread.native_id))
wait.set()
os.kill(child, 9)
";
    check(&["--cpus", "1"], script, "{0}\n{0} {0}\n{0}")
}

/// Root of the container has no CAP_SYS_NICE there, and an ordinary user is nobody.
fn nobody_pins_what_is_not_theirs() -> Verdict {
    let container = Container::sleeping(&["--cpus", "2"])?;
    let pinned = "taskset -cp 0 1 >/dev/null 2>&1 && echo pinned || echo refused";
    let as_user = |command: &[&str]| {
        let words = ["exec", "-u", "1000", container.id(), "--"];
        Ran::new(container::porthole()?.args(words).args(command))
    };
    let ran = as_user(&["sh", "-c", pinned])?;
    ran.equal("by an ordinary user", &ran.stdout.trim(), &"refused")?;
    let ran = as_user(&["taskset", "-c", "1", "nproc"])?;
    ran.equal("itself it may", &ran.stdout.trim(), &"1")?;
    let ran = container.shell(pinned)?;
    ran.equal("by root", &ran.stdout.trim(), &"pinned")
}

/// Asks in C, which is built in the container by `gcc` with these `flags`.
fn sysinfo_is_what_the_files_say(flags: &str) -> Verdict {
    let script = format!(
        "cat >/tmp/ask.c <<'END'
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>
int main(void) {{
    struct sysinfo told;
    cpu_set_t cpus;
    if (sysinfo(&told) || sched_getaffinity(0, sizeof cpus, &cpus)) return 1;
    printf(\"%llu %llu %ld %d %d\\n\", (unsigned long long)told.totalram * told.mem_unit,
           (unsigned long long)told.totalswap * told.mem_unit, told.uptime, CPU_COUNT(&cpus),
           (int)sizeof(long));
}}
END
gcc {flags} -o /tmp/ask /tmp/ask.c && /tmp/ask && awk '/^SwapTotal/{{print $2 * 1024}}' /proc/meminfo"
    );
    let ran = container::shell(&["-m", "96m", "--cpus", "1"], &script)?;
    let words: Vec<&str> = ran.stdout.split_ascii_whitespace().collect();
    let [memory, swap, uptime, cpus, long, swap_total] = words[..] else {
        return ran.holds("there are six numbers", false);
    };
    ran.equal("bytes of memory", &memory, &(96 << 20).to_string().as_str())?;
    ran.equal("bytes of swap", &swap, &swap_total)?;
    ran.equal("CPUs", &cpus, &"1")?;
    ran.equal("bytes of a long", &long, &if flags == "-m32" { "4" } else { "8" })?;
    ran.between("seconds", uptime.parse()?, 0, 60)
}

/// The filter is asked before the kernel looks whether it has such calls, so this holds
/// on every kernel. docker's profile, which knows none of them, refuses them as always. On
/// other machines there is no second form, and it is the plain one.
fn x32_is_told_too() -> Verdict {
    let script = "\
import ctypes, os
number = {'x86_64': 0x40000000 | 99, 'aarch64': 179}[os.uname().machine]
told = (ctypes.c_ulong * 32)()
print(ctypes.CDLL(None).syscall(ctypes.c_long(number), ctypes.byref(told)), told[4])
";
    let expected = format!("0 {}", 64 << 20);
    check(&["-m", "64m", "--security-opt", "seccomp=unconfined"], script, &expected)
}

/// The file is read by one process and the call answered by another, and both sample: also
/// while a load rises, and where the call came first.
fn loads_are_those_of_the_file() -> Verdict {
    let script = "\
import ctypes, os, time
libc = ctypes.CDLL(None)
told = (ctypes.c_ulong * 32)()
def by_call():
    if libc.sysinfo(ctypes.byref(told)): raise OSError
    loads = [(load >> 5) + 10 for load in told[1:4]]
    return ['%d.%02d' % (load >> 11, (load & 2047) * 100 >> 11) for load in loads]
def by_file(): return open('/proc/loadavg').read().split()[:3]
child = os.fork()
while child == 0: pass
seen, compared = set(), 0
for turn in range(26):
    # Between two that are the same there was no sample.
    before, between, after = (by_file(), by_call(), by_file()) if turn else (by_call(), by_file(), by_call())
    if before == after:
        compared += 1
        seen.add(before[0])
        if between != before: print(turn, between, before)
    time.sleep(.5)
os.kill(child, 9)
print('same' if compared > 20 and len(seen) > 1 else (compared, seen))
";
    check(&["--cpus", "1"], script, "same")
}

fn calls_are_counted() -> Verdict {
    let affinity = |outcome| {
        let series =
            format!("porthole_calls_total{{call=\"sched_getaffinity\",outcome=\"{outcome}\"}}");
        metric(&series)
    };
    let _lasts = Container::sleeping(&["--cpus", "1"])?;
    let (answered, failed) = (affinity("container")?, affinity("error")?);
    let script = "\
import ctypes, os
for _ in range(3): os.sched_getaffinity(0)
ctypes.CDLL(None).sched_getaffinity(0, 128, ctypes.c_void_p(1))
";
    python(&["--cpus", "1"], script)?;
    // Who is answered may be quicker than who counts that.
    let are_told = || Ok(affinity("container")? >= answered + 3 && affinity("error")? > failed);
    eventually("three calls that were answered are told, and one that failed", are_told)?;
    ensure!(metric("porthole_table_used{table=\"listeners\"}")? >= 1, "one listener is held");
    Ok(())
}

/// Waits until `is_so`, far longer than it needs.
fn eventually(what: &str, is_so: impl Fn() -> Result<bool>) -> Verdict {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "in vain: {what}");
    }
    Ok(())
}

/// What the shared daemon tells of itself.
fn metric(series: &str) -> Result<u64> {
    let mut command = Command::new(binaries::path("portholefs")?);
    let ran = Ran::new(command.arg("metrics").arg(daemon::shared()?))?.succeeded()?;
    let line = ran.stdout.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = line.with_context(|| format!("there is no {series}\n{ran}"))?;
    value.parse().with_context(|| format!("{series} is {value}"))
}

fn exec_is_answered_too() -> Verdict {
    let container = Container::sleeping(&["--cpus", "1"])?;
    for _exec in 0..3 {
        let ran = container.shell("nproc")?;
        ran.equal("CPUs", &ran.stdout.trim(), &"1")?;
    }
    // Itself, and the command of the container, for which there is another listener.
    for (command, expected) in [
        ("taskset -c 0 nproc", "1"),
        ("taskset -c 1 nproc 2>/dev/null || echo refused", "refused"),
        ("taskset -cp 1", "pid 1's current affinity list: 0"),
        ("taskset -cp 0 1 | tail -n 1", "pid 1's new affinity list: 0"),
    ] {
        let ran = container.shell(command)?;
        ran.equal(command, &ran.stdout.trim(), &expected)?;
    }
    Ok(())
}

fn the_kernel_answers_when_told_to() -> Verdict {
    let online = online_cpus().to_string();
    for option in ["--no-syscall-view", "--no-view"] {
        let ran = container::run(&["--cpus", "1", option], &["nproc"])?.succeeded()?;
        ran.equal(option, &ran.stdout.trim(), &online.as_str())?;
    }
    let mut command = container::run_command(&["--cpus", "1"], &["nproc"])?;
    let ran = Ran::new(command.env("PORTHOLE_NO_SYSCALL_VIEW", "1"))?.succeeded()?;
    ran.equal("by the environment", &ran.stdout.trim(), &online.as_str())
}

fn taskset_and_numactl_work() -> Verdict {
    for command in ["taskset -c 0 nproc", "numactl --physcpubind=0 nproc", "nproc"] {
        let ran = container::shell(&["--cpus", "1"], command)?;
        ran.equal(command, &ran.stdout.trim(), &"1")?;
    }
    let ran = container::shell(&["--cpus", "1"], "numactl --show | grep physcpubind")?;
    ran.equal("what numactl may bind to", &ran.stdout.trim(), &"physcpubind: 0")?;
    for refused in [&["taskset", "-c", "1", "true"][..], &["numactl", "-C", "1", "true"]] {
        let ran = container::run(&["--cpus", "1"], refused)?;
        ran.holds("a CPU that is not there is refused", ran.status == Some(1))?;
    }
    Ok(())
}

/// The kernel knows no CPU 0 for this container, and would refuse to pin anybody there.
fn taskset_goes_by_its_numbers() -> Verdict {
    const KERNELS: &str = "taskset -c 0 grep Cpus_allowed_list /proc/self/status | cut -f2";
    for (command, expected) in [
        ("taskset -c 0 nproc", "1"),
        ("taskset -cp $$ | sed 's/.*: //'", "0"),
        ("taskset 1 nproc", "1"),
        ("taskset -c 1 nproc 2>/dev/null || echo refused", "refused"),
        (KERNELS, "1"),
    ] {
        let ran = container::shell(&["--cpuset-cpus", "1"], command)?;
        ran.equal(command, &ran.stdout.trim(), &expected)?;
    }
    Ok(())
}

/// Short masks, uneven ones, other threads and missing ones, by the calls themselves: in the
/// container, brought into it, and beside what the kernel says.
fn a_32_bit_program_pins() -> Verdict {
    const BUILD: &str = r#"cat >/tmp/pins.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
static unsigned char mask[4096];
static int call(int number, int pid, unsigned length) {
    int said = syscall(number, pid, length, mask);
    return said < 0 ? -errno : said;
}
int main(void) {
    enum { GET = SYS_sched_getaffinity, SET = SYS_sched_setaffinity };
    unsigned lengths[] = {0, 1, 4, 6, 8, 12, 64, 128, 1024, 4096};
    for (int i = 0; i < 10; i++) printf("%d ", call(GET, 0, lengths[i]));
    printf("%d %d %d\n", call(GET, -1, 64), call(GET, 1 << 22, 64), call(SET, 1 << 22, 64));
    call(GET, 0, 64);
    fprintf(stderr, "%d\n", __builtin_popcount(mask[0]));
    int child = fork();
    for (; !child;) pause();
    memset(mask, 0, sizeof mask);
    mask[0] = 1;
    printf("%d ", call(SET, child, 4));
    memset(mask, 255, sizeof mask);
    printf("%d %d %d\n", call(GET, child, 8), mask[0], mask[9]);
    kill(child, SIGKILL);
}
END
gcc -m32 -o /tmp/pins /tmp/pins.c"#;
    let container = Container::sleeping(&["--cpus", "1"])?;
    container.shell(BUILD)?;
    let script = format!("{BUILD} && /tmp/pins");
    let run = container::shell(&["--cpus", "1"], &script)?;
    let kernels = container::shell(&["--cpus", "1", "--no-syscall-view"], &script)?;
    for ours in [run, container.shell("/tmp/pins")?] {
        ours.equal("lengths, errors and masks", &ours.stdout, &kernels.stdout)?;
        ours.equal("CPUs", &ours.stderr.trim(), &"1")?;
    }
    Ok(())
}

/// Each thread asks for the CPU that it was promised, and has it for itself.
fn openmp_pins_its_threads() -> Verdict {
    let script = "cat >/tmp/pins.c <<'END'
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stdio.h>
int main(void) {
    int threads = 0, pinned = 0;
    cpu_set_t all;
    CPU_ZERO(&all);
#pragma omp parallel
#pragma omp critical
    {
        cpu_set_t mine;
        sched_getaffinity(0, sizeof mine, &mine);
        threads++;
        pinned += CPU_COUNT(&mine) == 1;
        CPU_OR(&all, &all, &mine);
    }
    printf(\"%d %d %d %d\\n\", threads, omp_get_num_procs(), pinned, CPU_COUNT(&all));
}
END
gcc -fopenmp -o /tmp/pins /tmp/pins.c && OMP_PROC_BIND=true OMP_PLACES=threads /tmp/pins 2>&1";
    let ran = container::shell(&["--cpus", "1"], script)?;
    ran.equal("with one CPU", &ran.stdout.trim(), &"1 1 1 1")?;
    let ran = container::shell(&["--cpus", "2"], script)?;
    ran.equal("with two", &ran.stdout.trim(), &"2 2 2 2")
}
