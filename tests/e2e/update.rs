//! Changes while a container runs: the next read or open tells the new truth.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use support::{Container, Group, Need, Ran, Verdict, alone, container, daemon, speed, trial};

use crate::cpu_directory::{HOTPLUG, Unplugged};
use crate::docker::Docker;

const MIB: u64 = 1 << 20;
const MEMORY: &[Need] = &[Need::Container, Need::Controller("memory")];
const CPU: &[Need] = &[
    Need::Container,
    Need::Controller("cpu"),
    Need::Controller("memory"),
    Need::Cpus(2),
    Need::File("/usr/bin/python3", "python3"),
];
const DOCKER: &[Need] = &[
    Need::Container,
    Need::Cpus(2),
    Need::Speed,
    Need::LargeProgram("dockerd", "docker.io"),
    Need::Program("python3", "python3"),
    Need::Program("free", "procps"),
];
const CPUSET: &[Need] = &[Need::Container, Need::Controller("cpuset"), Need::Cpus(2)];
const REFUSED: &[Need] = &[Need::Container, Need::Speed, Need::Controller("memory")];
const SWAP: &[Need] = &[Need::Container, Need::Controller("memory"), Need::Swap];
const PIDS: &[Need] = &[Need::Container, Need::Controller("pids")];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("an_update_is_seen_by_open_files", CPU, an_update_is_seen_by_open_files),
        trial("an_update_is_seen_by_programs", CPU, an_update_is_seen_by_programs),
        trial("an_update_by_docker_is_seen", DOCKER, an_update_by_docker_is_seen),
        alone("an_unplugged_cpu_is_gone_from_files", HOTPLUG, an_unplugged_cpu_is_gone_from_files),
        trial("an_update_of_the_cpuset_is_seen", CPUSET, an_update_of_the_cpuset_is_seen),
        trial("an_update_of_swap_is_seen", SWAP, an_update_of_swap_is_seen),
        trial("an_update_of_the_pids_limit_holds", PIDS, an_update_of_the_pids_limit_holds),
        trial(
            "no_counter_of_stat_steps_back_when_n_changes",
            CPU,
            no_counter_of_stat_steps_back_when_n_changes,
        ),
        trial("what_an_update_does_not_name_stays", MEMORY, what_an_update_does_not_name_stays),
        trial(
            "an_update_that_is_refused_changes_nothing",
            REFUSED,
            an_update_that_is_refused_changes_nothing,
        ),
        trial(
            "a_moved_process_is_told_its_new_group",
            MEMORY,
            a_moved_process_is_told_its_new_group,
        ),
        trial(
            "who_joins_namespaces_and_group_sees_the_container",
            MEMORY,
            who_joins_namespaces_and_group_sees_the_container,
        ),
    ]
}

/// How old the text of meminfo may be in a container of `porthole run`: 10 ms, in ticks
/// of the kernel, which are up to 10 ms long.
const FRESH: Duration = Duration::from_millis(20);

/// `porthole update OPTIONS` of one container; it may fail. When this returns, what was
/// read before the update is too old to be shown again.
fn update(container: &Container, options: &[&str]) -> Result<Ran> {
    let ran = Ran::new(container::porthole()?.arg("update").args(options).arg(container.id()))?;
    thread::sleep(FRESH);
    Ok(ran.beside(container.readings()))
}

/// A program in a container that keeps files open, as monitors do, and prints
/// them whenever it is asked to.
struct Reader {
    child: std::process::Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Reader {
    const SCRIPT: &'static str = "\
import os, sys
files = [os.open(path, os.O_RDONLY) for path in sys.argv[1:]]
for line in sys.stdin:
    for file in files:
        text = os.pread(file, 1 << 20, 0).decode()
        print(len(text.splitlines()), text, sep='\\n', end='', flush=True)";

    fn start(container: &Container, files: &[&str]) -> Result<Self> {
        let mut exec = container::porthole()?;
        exec.args(["exec", "-i", container.id(), "--"]);
        Self::start_by(exec, files)
    }

    /// Starts one through `command`, which runs in a container what follows.
    fn start_by(mut command: Command, files: &[&str]) -> Result<Self> {
        command.args(["/usr/bin/python3", "-c", Self::SCRIPT]);
        command.args(files).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let ask = child.stdin.take().context("a pipe")?;
        let answer = BufReader::new(child.stdout.take().context("a pipe")?);
        Ok(Self { child, ask, answer })
    }

    /// What each of `COUNT` files says now.
    fn read<const COUNT: usize>(&mut self) -> Result<[String; COUNT]> {
        self.ask.write_all(b"\n")?;
        let mut texts = [const { String::new() }; COUNT];
        for text in &mut texts {
            let lines = self.line()?;
            for _ in 0..lines.trim().parse::<usize>().with_context(|| format!("{lines:?}"))? {
                *text += &self.line()?;
            }
        }
        Ok(texts)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.answer.read_line(&mut line)? > 0, "the reader has ended");
        Ok(line)
    }

    fn end(mut self) -> Verdict {
        drop(self.ask);
        self.answer.read_to_string(&mut String::new())?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the reader ended with {status}");
        Ok(())
    }
}

/// Files that tell a size, as [`check_sizes`] expects them.
const FILES: [&str; 4] =
    ["/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/sys/devices/system/cpu/online"];

/// What `top` does: it keeps the files open and reads them again from the start.
fn an_update_is_seen_by_open_files() -> Verdict {
    let container = Container::sleeping(&["-m", "128m", "--cpus", "1"])?;
    let mut reader = Reader::start(&container, &FILES)?;
    check_sizes(&reader.read()?, 128 * MIB, 1)?;
    for (mib, cpus, visible) in [("256m", "2", 2), ("192m", "0.5", 1), ("128m", "1.5", 2)] {
        update(&container, &["-m", mib, "--cpus", cpus])?.succeeded()?;
        let mib: u64 = mib.trim_end_matches('m').parse()?;
        check_sizes(&reader.read()?, mib * MIB, visible)?;
    }
    reader.end()
}

/// Every one of the four files must say `memory` bytes, or `cpus` CPUs.
fn check_sizes(
    [meminfo, cpuinfo, stat, online]: &[String; 4],
    memory: u64,
    cpus: usize,
) -> Verdict {
    let total = format!("MemTotal: {:>14} kB\n", memory / 1024);
    ensure!(meminfo.starts_with(&total), "expected {total:?} in\n{meminfo}");
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    ensure!(processors == cpus, "expected {cpus} processors in\n{cpuinfo}");
    let lines = stat.lines().filter(|line| line.starts_with("cpu")).count();
    ensure!(lines == cpus + 1, "expected {cpus} CPUs and their sum in\n{stat}");
    let list = if cpus == 1 { "0\n".to_owned() } else { format!("0-{}\n", cpus - 1) };
    ensure!(*online == list, "expected {list:?}, found {online:?}");
    Ok(())
}

/// What programs say when they are started anew, as [`check_told`] expects it.
const TELL: [&str; 3] = ["sh", "-c", "getconf _NPROCESSORS_ONLN; free -b | sed -n 2p"];

/// Whether the answer to [`TELL`] is this many CPUs and this much memory.
fn check_told(ran: &Ran, cpus: usize, memory: u64) -> Verdict {
    let words: Vec<&str> = ran.stdout.split_ascii_whitespace().take(3).collect();
    let expected = [cpus.to_string(), "Mem:".to_owned(), memory.to_string()];
    ran.equal("what programs say", &words, &expected.iter().map(String::as_str).collect())
}

fn an_update_is_seen_by_programs() -> Verdict {
    let container = Container::sleeping(&["-m", "128m", "--cpus", "1"])?;
    let told = |cpus, memory| check_told(&container.exec(&TELL)?, cpus, memory);
    told(1, 128 * MIB)?;
    update(&container, &["-m", "256m", "--cpus", "2"])?.succeeded()?;
    told(2, 256 * MIB)?;
    update(&container, &["-m", "96m", "--cpus", "0.25"])?.succeeded()?;
    told(1, 96 * MIB)
}

/// The same of a container of docker, whose files everybody shares.
fn an_update_by_docker_is_seen() -> Verdict {
    let docker = Docker::start()?;
    let size = ["-m", "128m", "--memory-swap", "128m", "--cpus", "1", "--detach"];
    let started = docker.run(&size, &daemon::shared()?, &["sleep", "600"])?.succeeded()?;
    let id = started.stdout.trim();
    let mut reader = Reader::start_by(docker.command(&["exec", "-i", id]), &FILES)?;
    let mut told = |memory, cpus| {
        check_sizes(&reader.read()?, memory, cpus)?;
        check_told(&Ran::new(docker.command(&["exec", id]).args(TELL))?, cpus, memory)
    };
    told(128 * MIB, 1)?;
    for (mib, quota, cpus) in [("256", "2", 2), ("96", "0.5", 1)] {
        let memory = format!("{mib}m");
        let words = ["update", "-m", &memory, "--memory-swap", &memory, "--cpus", quota, id];
        Ran::new(&mut docker.command(&words))?.succeeded()?;
        told(mib.parse::<u64>()? * MIB, cpus)?;
    }
    reader.end()
}

/// A container that may run on any CPU loses one, and has it again.
fn an_unplugged_cpu_is_gone_from_files() -> Verdict {
    let container = Container::sleeping(&["-m", "128m"])?;
    let mut reader = Reader::start(&container, &FILES)?;
    let mut told = |cpus| {
        check_sizes(&reader.read()?, 128 * MIB, cpus)?;
        check_told(&container.exec(&TELL)?, cpus, 128 * MIB)
    };
    let all = support::needs::online_cpus();
    told(all)?;
    let unplugged = Unplugged::new("/sys/devices/system/cpu/cpu1/online")?;
    told(all - 1)?;
    drop(unplugged);
    told(all)?;
    reader.end()
}

fn an_update_of_the_cpuset_is_seen() -> Verdict {
    let container = Container::sleeping(&["--cpuset-cpus", "0-1"])?;
    for (list, visible) in speed::tried(&[("1", "0\n"), ("0-1", "0-1\n"), ("0", "0\n")]) {
        update(&container, &["--cpuset-cpus", list])?.succeeded()?;
        let ran = container.shell("cat /sys/devices/system/cpu/online")?;
        ran.equal("online", &ran.stdout.as_str(), visible)?;
    }
    Ok(())
}

/// The sum grows and shrinks, on both sides of the memory that there was.
fn an_update_of_swap_is_seen() -> Verdict {
    let container = Container::sleeping(&["-m", "64m", "--memory-swap", "96m"])?;
    let told = |memory: u64, swap: u64| {
        let ran = container.shell("cat /proc/meminfo")?;
        ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(memory * MIB))?;
        ran.equal("SwapTotal", &ran.meminfo("SwapTotal")?, &(swap * MIB))
    };
    told(64, 32)?;
    for (memory, sum, swap) in
        speed::tried(&[(128, 192, 64), (128, 128, 0), (64, 96, 32), (96, 96, 0)])
    {
        let words = [format!("{memory}m"), format!("{sum}m")];
        update(&container, &["-m", &words[0], "--memory-swap", &words[1]])?.succeeded()?;
        told(*memory, *swap)?;
    }
    update(&container, &["--memory-swap", "112m"])?.succeeded()?;
    told(96, 16)
}

fn an_update_of_the_pids_limit_holds() -> Verdict {
    let container = Container::sleeping(&["--pids-limit", "50"])?;
    for (limit, kept) in [("20", "20"), ("-1", "max")] {
        update(&container, &["--pids-limit", limit])?.succeeded()?;
        let found = container.reading("pids", "pids.max", "pids.max")?;
        ensure!(found.trim() == kept, "pids.max is {found:?} after --pids-limit {limit}");
    }
    Ok(())
}

/// Times that the quota goes up and down at least; and at most, until enough was used.
const ROUNDS: std::ops::Range<u32> = 5..200;

/// Ticks of busy time without which nothing could have stepped back.
const ENOUGH: u64 = 20;

/// One busy process, and a quota that goes up and down over whole CPUs.
fn no_counter_of_stat_steps_back_when_n_changes() -> Verdict {
    let container = Container::start(&["--cpus", "1"], &["sh", "-c", "while :; do :; done"])?;
    let mut reader = Reader::start(&container, &["/proc/stat"])?;
    let first = reader.read::<1>()?;
    let mut before = first.clone();
    let mut charged = 0;
    for round in 0..ROUNDS.end {
        // On a busy machine it has to wait for its turn.
        if round >= speed::repetitions(ROUNDS.start) && charged > ENOUGH {
            break;
        }
        for cpus in ["2", "0.5", "1.5", "1", "2", "0.3", "2", "1"] {
            update(&container, &["--cpus", cpus])?.succeeded()?;
            for _reading in 0..3 {
                let now = reader.read::<1>()?;
                check_not_back(&before[0], &now[0], cpus)?;
                before = now;
            }
        }
        charged = busy_ticks(&before[0])? - busy_ticks(&first[0])?;
    }
    ensure!(
        charged > ENOUGH,
        "nothing was counted: {charged} ticks from\n{}to\n{}",
        first[0],
        before[0]
    );
    reader.end()
}

/// Ticks of user and system time in the first line of stat.
fn busy_ticks(stat: &str) -> Result<u64> {
    let fields: Vec<u64> =
        stat.split_ascii_whitespace().skip(1).take(3).map(str::parse).collect::<Result<_, _>>()?;
    Ok(fields.iter().sum())
}

/// Fails where a counter of a line that is in both texts is smaller in `now`.
fn check_not_back(before: &str, now: &str, cpus: &str) -> Verdict {
    let counting = ["cpu", "intr", "ctxt", "processes", "softirq"];
    let lines = now.lines().filter(|line| counting.iter().any(|name| line.starts_with(name)));
    for line in lines {
        let name = line.split(' ').next().unwrap_or_default();
        let numbers = |line: &str| -> Vec<u64> {
            line.split_ascii_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect()
        };
        let old = before.lines().find(|line| line.split(' ').next() == Some(name));
        let Some(old) = old else { continue };
        let back = numbers(old).into_iter().zip(numbers(line)).any(|(old, new)| new < old);
        ensure!(!back, "with --cpus {cpus}, a counter stepped back:\n{old}\n{line}");
    }
    Ok(())
}

/// What is noted of the container follows, also when it has ended.
fn what_an_update_does_not_name_stays() -> Verdict {
    let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let container = Container::start(&["-m", "64m", "--pids-limit", "50"], &["sh", "-c", script])?;
    update(&container, &["-m", "128m"])?.succeeded()?;
    let pids = container.reading("pids", "pids.max", "pids.max")?;
    ensure!(pids.trim() == "50", "pids.max is {pids:?}");
    check_noted(&container, 128 * MIB)?;
    Ran::new(container::porthole()?.args(["stop", container.id()]))?.succeeded()?;
    check_noted(&container, 128 * MIB)
}

fn check_noted(container: &Container, memory: u64) -> Verdict {
    let inspected = Ran::new(container::porthole()?.args(["inspect", container.id()]))?;
    let noted: serde_json::Value = serde_json::from_str(&inspected.stdout)?;
    let found = noted.pointer("/plan/resources/memory").and_then(serde_json::Value::as_u64);
    inspected.equal("the memory that is noted", &found, &Some(memory))
}

/// One line, and the limits are as they were.
fn an_update_that_is_refused_changes_nothing() -> Verdict {
    let container = Container::sleeping(&["-m", "64m"])?;
    let refused: [(&[&str], i32, &str); 4] = [
        (&[], 125, "porthole: update: no limit is named (give one of "),
        (&["-m", "4"], 1, "porthole: -m 4: 4 bytes is too little for a container"),
        (&["-m", "96m", "--cpus", "999"], 1, "porthole: --cpus 999: this machine has "),
        (&["--memory-swap", "32m"], 1, "porthole: --memory-swap 32m: it is memory and swap"),
    ];
    for (options, status, line) in refused {
        let ran = update(&container, options)?;
        ran.equal("exit status", &ran.status, &Some(status))?;
        ran.equal("lines of error", &ran.stderr.lines().count(), &1)?;
        ran.holds(line, ran.stderr.starts_with(line))?;
        let ran = container.shell("cat /proc/meminfo")?;
        ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(64 * MIB))?;
    }
    let ended = Ran::new(container::porthole()?.args(["update", "-m", "8m", "nobody"]))?;
    let line = "porthole: nobody: there is no such container (see: porthole ps -a)\n";
    ended.equal("standard error", &ended.stderr.as_str(), &line)
}

/// Process 1 of a container reads, moves itself into another group, and reads.
fn a_moved_process_is_told_its_new_group() -> Verdict {
    let (first, second) = (Group::new(&["memory"])?, Group::new(&["memory"])?);
    first.limit_memory(100 * MIB)?;
    second.limit_memory(200 * MIB)?;
    let path = daemon::shared()?.join("proc/meminfo");
    let script = format!(
        "grep MemTotal {path}; echo 0 >{folder}/cgroup.procs; grep MemTotal {path}; true",
        path = path.display(),
        folder = second.folder("memory")?.display(),
    );
    let ran = Ran::new(&mut first.container(&["sh", "-c", &script]))?.succeeded()?;
    let told = "MemTotal:         102400 kB\nMemTotal:         204800 kB\n";
    ran.equal("before and after", &ran.stdout.as_str(), &told)
}

/// What `docker exec` does, by the tools of util-linux.
fn who_joins_namespaces_and_group_sees_the_container() -> Verdict {
    let container = Container::sleeping(&["-m", "96m"])?;
    let init = container.init()?;
    let script = format!(
        "echo 0 >{}/cgroup.procs && exec nsenter --target {init} --mount --pid --cgroup --uts \
         cat /proc/meminfo",
        container.group("memory")?.display()
    );
    let ran = Ran::new(Command::new("sh").args(["-c", &script]))?.succeeded()?;
    ran.equal("MemTotal", &ran.meminfo("MemTotal")?, &(96 * MIB))
}
