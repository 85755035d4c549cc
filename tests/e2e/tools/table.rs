//! docs/COMPATIBILITY.md: what every program says, with and without porthole.
//!
//! The table has no number of the machine that it was made on, so that it is the
//! same wherever it is made again: what is not the container's is "the host's".

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use support::lxcfs::Lxcfs;
use support::{Need, Verdict, daemon, needs};

use super::docker::Docker;
use super::programs::{CHECKS, Check, Counts, Source};
use super::{AGE, ask, number};

/// With `UPDATE_EXPECT=1` the table is written and not compared.
pub(super) const NEEDS: &[Need] = &[
    Need::Full,
    Need::Workspace,
    Need::Container,
    Need::CgroupV1,
    Need::Program("lxcfs", "lxcfs"),
    Need::Program("dockerd", "docker.io"),
];

const HEAD: &str = "\
# Compatibility

What programs of Debian say in a container of 512 MiB and one CPU on a larger machine (cgroup v1). The first three are started by
`porthole run`, so only the files differ: the machine's own (`--no-view`), those of lxcfs (Debian's package, with `-l --enable-cfs
--enable-pidfd`), those of `portholefs`. The last is Debian's docker with the files of `portholefs`, by `deploy/docker/run.sh`. \"The
host's\" is the number of the whole machine; \"nothing\", that the program ended without one.

A row that names a system call is about a program that looks into no file, so that no file can help it: `porthole run` has the
call answered, others leave it to the kernel. What runc refuses to mount on is the host's under docker. The age of a container is
a matter of its time namespace, more than of files: `porthole run` makes one, docker does not, and there the age is the host's
[on purpose](decisions/uptime-without-time-namespace.md).

This table is made by a test (`tests/e2e/tools`): `UPDATE_EXPECT=1 cargo xtask test --full the_table` writes it, `cargo xtask test
--full` fails when it is no longer true. The column of `porthole run` is tested at every commit, on cgroup v1 and, but for the largest
programs, on v2 with four CPUs; so are the numbers of swap, on a machine that has some.

| program | looks into | should say | own files | lxcfs | `porthole run` | docker and porthole |
|---|---|---|---|---|---|---|
";

/// Where the cell of `porthole run` is in a row.
const PORTHOLE: usize = 5;

/// The page, as it was when this program was built: the VM has no clone of it.
const PAGE: &str = include_str!("../../../docs/COMPATIBILITY.md");

/// How the page is made again.
const WRITE: &str = "UPDATE_EXPECT=1 cargo xtask test --full the_table";

/// Whether the page has a row for it: not where the container's number is that of a
/// machine such as the one on which the page was made.
fn is_in_the_page(check: &Check) -> bool {
    !check.needs.contains(&Need::Swap)
}

/// Fails unless the page says of `check`, under porthole, what it has now said.
pub(super) fn says(check: &Check, number: Option<u64>) -> Verdict {
    if !is_in_the_page(check) {
        return Ok(());
    }
    let row = PAGE.lines().find(|line| line.starts_with(&format!("| {} |", check.name)));
    let row = row
        .with_context(|| format!("no row of docs/COMPATIBILITY.md is {} ({WRITE})", check.name))?;
    let cell = row.split(" | ").nth(PORTHOLE).unwrap_or_default();
    let now = judged(check, number);
    ensure!(
        cell == now,
        "docs/COMPATIBILITY.md says {cell:?}, {} says {now:?} ({WRITE})",
        check.name
    );
    Ok(())
}

/// Runs every program each way and compares with the page, or writes it.
pub(super) fn is_true() -> Verdict {
    let ways = Ways::new()?;
    let mut text = HEAD.to_owned();
    let mut right = [0; 4];
    let checks = || CHECKS.iter().filter(|check| is_in_the_page(check));
    for check in checks() {
        let source = match check.source {
            Source::Files => "files".to_owned(),
            Source::Refused(file) => format!("{file}, refused by runc"),
            Source::Call(name) => name.to_owned(),
        };
        write!(text, "| {} | {source} | {} |", check.name, check.counts.expected())?;
        for (right, answer) in right.iter_mut().zip(ways.answers(check)?) {
            *right += usize::from(answer.is_some_and(|number| check.counts.is_right(number)));
            write!(text, " {} |", judged(check, answer))?;
        }
        text.push('\n');
    }
    let [own, lxcfs, ours, docker] = right;
    let all = checks().count();
    let counts = format!("**{own}** | **{lxcfs}** | **{ours}** | **{docker}**");
    writeln!(text, "| **right, of {all}** | | | {counts} |")?;
    compare(&text)
}

/// The ways in which a program is run: the last columns of the table.
struct Ways {
    lxcfs: Lxcfs,
    docker: Docker,
}

impl Ways {
    fn new() -> Result<Self> {
        Ok(Self { lxcfs: Lxcfs::start()?, docker: Docker::start()? })
    }

    /// What a program says each way.
    fn answers(&self, check: &Check) -> Result<[Option<u64>; 4]> {
        let (lxcfs, ours) = (self.lxcfs.mount_point(), daemon::shared()?);
        let lxcfs = lxcfs.to_string_lossy();
        let all = [
            ask(check, &["--no-view"])?,
            // lxcfs answers no system call.
            ask(check, &["--view", &lxcfs, "--no-syscall-view"])?,
            ask(check, &["--view", &ours.to_string_lossy()])?,
            self.docker.ask(check, &ours)?,
        ];
        Ok(all.map(|ran| number(&ran.stdout)))
    }
}

/// A cell: the answer and whether it is right.
fn judged(check: &Check, answer: Option<u64>) -> String {
    match answer {
        None => "nothing ✗".to_owned(),
        Some(number) if check.counts.is_right(number) => {
            format!("{} ✓", check.counts.said(number))
        }
        Some(number) if check.counts.is_hosts(number) => "the host's ✗".to_owned(),
        Some(number) => format!("{} ✗", check.counts.said(number)),
    }
}

impl Counts {
    /// The number in words that are the same for every unit.
    pub(super) fn said(self, number: u64) -> String {
        match self {
            Self::Cpus => format!("{number} CPU"),
            Self::Memory(unit) => format!("{} MiB", (number * unit) >> 20),
            Self::Swap(unit) => format!("{} MiB of swap", (number * unit) >> 20),
            Self::Uptime if number <= AGE => "its age".to_owned(),
            // Another at each run.
            Self::Uptime => "nobody's age".to_owned(),
        }
    }

    /// Whether it is the host's. A node's memory is a little more than `MemTotal`, and
    /// programs round.
    fn is_hosts(self, number: u64) -> bool {
        let near = |number: u64, total: u64| number.abs_diff(total) < total / 10;
        match self {
            Self::Cpus => usize::try_from(number).is_ok_and(|cpus| cpus == needs::online_cpus()),
            Self::Memory(unit) => near(number * unit, needs::host_meminfo("MemTotal")),
            Self::Swap(unit) => near(number * unit, needs::swap_total()),
            Self::Uptime => near(number, needs::uptime()),
        }
    }
}

fn compare(text: &str) -> Verdict {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "docs", "COMPATIBILITY.md"].iter().collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return Ok(std::fs::write(&path, text)?);
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let new: Vec<_> =
        text.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    ensure!(found == text, "the table is no longer true ({WRITE}): {new:#?}");
    Ok(())
}
