//! What bounds the *ids* of CPUs stays the machine's, because the kernel goes on
//! handing out the machine's ids.
//!
//! Programs size arrays by `/sys/devices/system/cpu/possible`: the answer to a lookup
//! in a per-CPU map of BPF, as libbpf's `libbpf_num_possible_cpus()`, and whatever
//! they index by the `cpu_id` of rseq(2), as allocators do. With less room than the
//! kernel fills, memory behind the array is overwritten. Each trial also sizes one
//! by `online`, which is the container's, and sees that happen.

use std::process::Command;

use anyhow::Result;
use libtest_mimic::Trial;
use support::needs::online_cpus;
use support::{Container, Group, Need, Ran, Verdict, container, daemon, trial};

const PYTHON: Need = Need::File("/usr/bin/python3", "python3");
const CPU: &[Need] = &[Need::Container, Need::Controller("cpu"), Need::Cpus(2), PYTHON];
const BPF: &[Need] = &[Need::Container, Need::Bpf, Need::Controller("cpu"), Need::Cpus(2), PYTHON];
const CPUSET: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(2), PYTHON];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_per_cpu_bpf_lookup_survives_in_one_cpu", BPF, a_bpf_lookup_survives),
        trial("a_bpf_lookup_survives_under_nobodys_runtime", BPF, a_bpf_lookup_of_a_group_survives),
        trial("an_array_indexed_by_rseq_survives_in_one_cpu", CPU, an_rseq_array_survives),
        trial(
            "an_rseq_array_survives_under_nobodys_runtime",
            CPU,
            an_rseq_array_of_a_group_survives,
        ),
        trial("an_rseq_array_survives_on_the_last_cpu", CPUSET, an_rseq_array_survives_on_the_last),
    ]
}

/// The directory in which a container of `porthole` finds its CPUs.
const DIRECTORY: &str = "/sys/devices/system/cpu";

/// What both programs begin with: an array sized by a file, in a larger piece of
/// memory that is filled with a pattern.
const ARRAY: &str = "\
import ctypes, os, struct, sys
MACHINE = os.uname().machine
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    said = libc.syscall(ctypes.c_long(number[MACHINE]), *words)
    if said < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return said
ranges = [part.split('-') for part in open(sys.argv[1]).read().strip().split(',')]
CPUS = sum(int(part[-1]) - int(part[0]) + 1 for part in ranges)
GUARD = 0xaa
memory = (ctypes.c_ubyte * 65536)(*[GUARD] * 65536)
def finish():
    '''Bytes of the array, and bytes from its begin to the last that was written to.'''
    used = max((place + 1 for place, byte in enumerate(memory) if byte != GUARD), default=0)
    print(8 * CPUS, used)
";

/// Looks a key up in a per-CPU map of eight bytes a CPU; `union bpf_attr` of
/// include/uapi/linux/bpf.h.
const LOOKUP: &str = "\
BPF = {'x86_64': 321, 'aarch64': 280}
CREATE, LOOKUP_ELEM, PERCPU_ARRAY = 0, 1, 6
def bpf(command, attributes):
    return call(BPF, command, ctypes.c_char_p(attributes), len(attributes))
table = bpf(CREATE, struct.pack('=5I', PERCPU_ARRAY, 4, 8, 1, 0))
key = ctypes.c_uint32(0)
bpf(LOOKUP_ELEM, struct.pack('=IIQQQ', table, 0, ctypes.addressof(key), ctypes.addressof(memory), 0))
finish()
";

/// Counts in the array on every CPU that it may run on, at the place that the kernel
/// writes to `struct rseq`. The C library is told to leave that to us.
const COUNT: &str = "\
RSEQ = {'x86_64': 334, 'aarch64': 293}
SIGNATURE, SIZE, CPU_ID = 0x53053053, 32, 4
room = (ctypes.c_ubyte * (2 * SIZE))()
area = ctypes.addressof(room) + -ctypes.addressof(room) % SIZE
call(RSEQ, ctypes.c_void_p(area), SIZE, 0, SIGNATURE)
counters = ctypes.cast(memory, ctypes.POINTER(ctypes.c_uint64))
for cpu in sorted(os.sched_getaffinity(0)):
    os.sched_setaffinity(0, {cpu})
    counters[ctypes.c_uint32.from_address(area + CPU_ID).value] += 1
finish()
";

/// What the C library is told.
const NO_RSEQ: &str = "GLIBC_TUNABLES=glibc.pthread.rseq=0";

/// `program` as words; it sizes its array by `file` in `directory`.
fn words(program: &str, directory: &str, file: &str) -> [String; 4] {
    let script = format!("{ARRAY}{program}");
    ["/usr/bin/python3".into(), "-c".into(), script, format!("{directory}/{file}")]
}

/// Sized by `possible` nothing behind the array is written to, and all of the array
/// is; sized by `online` it would have been.
fn check(run: impl Fn(&str) -> Result<Ran>) -> Verdict {
    let sizes = |file: &str| {
        let ran = run(file)?.succeeded()?;
        let sizes: Option<Vec<u64>> =
            ran.stdout.split_ascii_whitespace().map(|word| word.parse().ok()).collect();
        anyhow::Ok((ran, sizes.unwrap_or_default()))
    };
    let (ran, by_possible) = sizes("possible")?;
    let [room, used] = by_possible[..] else { return ran.holds("there are two sizes", false) };
    ran.between("bytes of the array that were used", used, 8 * online_cpus() as u64 - 7, room)?;
    let (ran, by_online) = sizes("online")?;
    let [room, used_again] = by_online[..] else { return ran.holds("there are two sizes", false) };
    ran.equal("bytes by the container's CPUs", &room, &8)?;
    ran.holds("as many were written to", used_again == used && used > room)
}

/// In a container of `porthole`, with the rights for BPF that it does not give.
fn a_bpf_lookup_survives() -> Verdict {
    let container = Container::sleeping(&["--cpus", "1"])?;
    let enter = format!(
        "echo 0 >{}/cgroup.procs && exec nsenter --target {} --mount --pid --cgroup \"$@\"",
        container.group("cpu")?.display(),
        container.init()?
    );
    check(|file| {
        let program = words(LOOKUP, DIRECTORY, file);
        Ran::new(Command::new("sh").args(["-c", &enter, "sh"]).args(program))
    })
}

fn an_rseq_array_survives() -> Verdict {
    check(|file| count(&["--cpus", "1"], file))
}

/// The only CPU of the container has the largest id of all.
fn an_rseq_array_survives_on_the_last() -> Verdict {
    let last = (online_cpus() - 1).to_string();
    check(|file| count(&["--cpuset-cpus", &last], file))
}

/// In a new container of `porthole`, on every CPU that the kernel lets it run on: it is
/// told of all of them.
fn count(options: &[&str], file: &str) -> Result<Ran> {
    let program = words(COUNT, DIRECTORY, file);
    container::run(
        &[&["-e", NO_RSEQ, "--no-syscall-view"], options].concat(),
        &program.each_ref().map(String::as_str),
    )
}

fn a_bpf_lookup_of_a_group_survives() -> Verdict {
    in_a_group(LOOKUP)
}

fn an_rseq_array_of_a_group_survives() -> Verdict {
    in_a_group(COUNT)
}

/// In a container that no runtime made, with all rights and the shared tree.
fn in_a_group(program: &str) -> Verdict {
    const ONE_CPU: u64 = 100_000;
    let group = Group::new(&["cpu"])?;
    group.limit_cpu(ONE_CPU)?;
    let directory = format!("{}{DIRECTORY}", daemon::shared()?.display());
    check(|file| {
        let program = words(program, &directory, file);
        let program: Vec<&str> =
            ["env", NO_RSEQ].into_iter().chain(program.each_ref().map(String::as_str)).collect();
        Ran::new(&mut group.container(&program))
    })
}
