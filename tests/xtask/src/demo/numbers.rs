//! What `top`, `free` and friends print, as numbers; which are right for a
//! container, and the table that shows them.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command;

/// What a container is given.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// CPUs' worth of time.
    pub cpus: u64,
}

/// What one machine, real or not, says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// CPUs of `getconf _NPROCESSORS_ONLN`.
    pub cpus: u64,
    /// What `nproc` says: it asks sched_getaffinity(2) and reads no file.
    pub nproc: u64,
    /// Total memory of `free`, in bytes.
    pub memory: u64,
    /// Total swap of `free`, in bytes.
    pub swap: u64,
    /// `up` of `top`'s first line.
    pub up: String,
    /// The first load average of `top`'s first line.
    pub load: f64,
    /// `Tasks:` of `top`.
    pub processes: u64,
    /// `MiB Mem` of `top`.
    pub top_memory: String,
}

impl Numbers {
    /// Runs `script` by `shell`, a `sh` somewhere, and reads what it prints.
    pub fn ask(mut shell: Command, script: &str) -> Result<Self> {
        shell.args(["-c", script]);
        let text = command::output(&mut shell)?;
        Self::parse(&text).with_context(|| format!("not what was expected to be printed:\n{text}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let word = |prefix: &str, index: usize| {
            let line = text.lines().find(|line| line.starts_with(prefix))?;
            line.split_ascii_whitespace().nth(index)
        };
        let head = text.lines().find(|line| line.starts_with("top - "))?;
        let (_clock, up) = head.split_once(" up ")?;
        // "12 min,  1 user" or "3 days,  4:05,  1 user"
        let (up, _users) = up.split_once("user")?;
        let up = up.rsplit_once(',')?.0;
        let (_before, load) = head.split_once("load average: ")?;
        let mut counts = text.lines().rev();
        Some(Self {
            nproc: counts.next()?.parse().ok()?,
            cpus: counts.next()?.parse().ok()?,
            memory: word("Mem:", 1)?.parse().ok()?,
            swap: word("Swap:", 1)?.parse().ok()?,
            up: up.trim().to_owned(),
            load: load.split(',').next()?.parse().ok()?,
            processes: word("Tasks:", 1)?.parse().ok()?,
            top_memory: word("MiB Mem", 3)?.to_owned(),
        })
    }

    /// The numbers as the table shows them.
    fn cells(&self) -> [String; 8] {
        [
            self.cpus.to_string(),
            format!("{} MiB", self.memory >> 20),
            format!("{} MiB", self.top_memory),
            format!("{} MiB", self.swap >> 20),
            self.up.clone(),
            format!("{:.2}", self.load),
            self.processes.to_string(),
            self.nproc.to_string(),
        ]
    }
}

/// The first column: what was asked, and of whom.
const QUESTIONS: [&str; 8] = [
    "CPUs (getconf)",
    "memory (free)",
    "memory (top)",
    "swap (free)",
    "up (top)",
    "load (top)",
    "processes (top)",
    "nproc *",
];

/// The three machines side by side.
pub fn table(limits: &Limits, host: &Numbers, without: &Numbers, with: &Numbers) -> String {
    let Limits { memory_mib, cpus } = limits;
    let mut text = format!(
        "porthole run -m {memory_mib}m --cpus {cpus}\n\n{:17}{:>14}{:>20}{:>18}\n",
        "", "host", "without porthole", "with porthole"
    );
    let rows = host.cells().into_iter().zip(without.cells()).zip(with.cells());
    for (question, ((host, without), with)) in QUESTIONS.iter().zip(rows) {
        let _ = writeln!(text, "{question:17}{host:>14}{without:>20}{with:>18}");
    }
    text + "\n* nproc reads no file: it asks sched_getaffinity(2), of which the kernel knows cpusets\n  \
            and no quotas. In the last column portholefs answers it.\n"
}

/// What a container with `limits` on `host` should not have been told.
pub fn wrong(limits: &Limits, host: &Numbers, told: &Numbers) -> Vec<String> {
    let memory = (limits.memory_mib << 20).min(host.memory);
    // By default a container may swap as much as it has memory.
    let swap = memory.min(host.swap);
    let mut wrong = Vec::new();
    let mut check = |holds: bool, message: String| {
        if !holds {
            wrong.push(message);
        }
    };
    check(told.cpus == limits.cpus.min(host.cpus), format!("{} CPUs", told.cpus));
    check(told.nproc == limits.cpus.min(host.cpus), format!("{} CPUs for nproc", told.nproc));
    check(told.memory == memory, format!("{} bytes of memory", told.memory));
    let mib = format!("{}.0", memory >> 20);
    check(told.top_memory == mib, format!("{} MiB of memory in top", told.top_memory));
    check(told.swap == swap, format!("{} bytes of swap", told.swap));
    check(told.up == "0 min", format!("up {}", told.up));
    // The shell and the program it runs.
    check(told.processes <= 2, format!("{} processes", told.processes));
    // Nobody but those two can have run or waited.
    check(told.load <= 2.0, format!("a load of {}", told.load));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
top - 01:48:02 up 3 days,  4:05,  1 user,  load average: 0.59, 6.91, 5.65
Tasks:   2 total,   1 running,   0 sleeping,   0 stopped,   0 zombie
%Cpu(s):  0.0 us,  0.0 sy,  0.0 ni,100.0 id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st
MiB Mem :    512.0 total,    500.5 free,      1.2 used,      6.6 buff/cache
MiB Swap:      0.0 total,      0.0 free,      0.0 used.    510.2 avail Mem

    PID USER      PR  NI    VIRT    RES    SHR S  %CPU  %MEM     TIME+ COMMAND
      1 root      20   0    8648   5012   2980 R   0.0   0.0   0:00.00 top
               total        used        free      shared  buff/cache   available
Mem:       536870912     1385424   535624000       12776     6143536   534860800
Swap:              0           0           0
1
2
";

    fn numbers() -> Numbers {
        Numbers {
            cpus: 1,
            nproc: 2,
            memory: 512 << 20,
            swap: 0,
            up: "3 days,  4:05".into(),
            load: 0.59,
            processes: 2,
            top_memory: "512.0".into(),
        }
    }

    #[test]
    fn what_the_programs_print_is_understood() {
        assert_eq!(Numbers::parse(TEXT), Some(numbers()));
        assert_eq!(Numbers::parse(""), None);
    }

    #[test]
    fn the_hosts_numbers_are_wrong_in_a_container() {
        let limits = Limits { memory_mib: 512, cpus: 1 };
        let host = Numbers {
            cpus: 8,
            nproc: 8,
            memory: 16 << 30,
            swap: 1 << 30,
            up: "3 days,  4:05".into(),
            load: 5.0,
            processes: 200,
            top_memory: "16384.0".into(),
        };
        let right =
            Numbers { nproc: 1, swap: 512 << 20, up: "0 min".into(), load: 0.1, ..numbers() };
        assert_eq!(wrong(&limits, &host, &right), Vec::<String>::new());
        assert_eq!(
            wrong(&limits, &host, &host),
            [
                "8 CPUs",
                "8 CPUs for nproc",
                "17179869184 bytes of memory",
                "16384.0 MiB of memory in top",
                "1073741824 bytes of swap",
                "up 3 days,  4:05",
                "200 processes",
                "a load of 5",
            ]
        );
    }
}
