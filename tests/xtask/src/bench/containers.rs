//! The part of docs/PERFORMANCE.md that is about containers and not about files: new ones,
//! many at once, those that come and go, and how they are started; pure.

use std::fmt::{self, Write as _};

use super::figures::{Churn, Cost, FLOOR, Figures, FirstReads, LXCFS, Loops, Memory, OURS};
use super::plot::number;

/// Of a daemon with 1,000 containers, in MiB.
const MOST_MIB: f64 = 12.0;

/// Descriptors that a daemon may have: 24 for each of the 512 containers whose files it
/// keeps open, one for each of 512 readers, and 256 others (`procfs-fuse/src/config.rs`).
const MOST_DESCRIPTORS: f64 = 13_056.0;

/// What a first read may take, in microseconds.
const FIRST_READ_US: f64 = 300.0;

/// Of lxcfs's CPU time.
const MOST_CPU: f64 = 0.2;

/// Of what a daemon has after the first half of the containers that come and go: pages come
/// and go by some dozens from one look to the next.
const MOST_OF_FIRST_HALF: f64 = 1.05;

/// One number and the most that it may be.
#[derive(Debug, Clone, Copy)]
struct Measured {
    number: f64,
    most: f64,
}

impl Measured {
    fn new(number: f64, most: f64) -> Self {
        Self { number, most }
    }
}

/// Bold where it is more.
impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = f.precision().unwrap_or(0);
        let Self { number, most } = self;
        if number <= most {
            write!(f, "{number:.places$}")
        } else {
            write!(f, "**{number:.places$}**")
        }
    }
}

/// The rows of the targets that are about containers.
pub fn targets(out: &mut String, figures: &Figures) {
    out.push_str("| of containers | bound | measured |\n|---|---|---|\n");
    first_read_targets(out, figures);
    loop_targets(out, figures);
    memory_targets(out, figures);
    churn_targets(out, figures);
    if let Some(idle) = figures.idle_wakeups_a_minute {
        let idle = Measured::new(idle, 0.0);
        row(out, "wake-ups in a minute while nobody asks", "0", &format!("{idle:.0}"));
    }
    out.push('\n');
}

fn row(out: &mut String, what: &str, bound: &str, measured: &str) {
    let _infallible = writeln!(out, "| {what} | {bound} | {measured} |");
}

fn first_read_targets(out: &mut String, figures: &Figures) {
    let slowest = figures.first_reads_of(OURS).max_by(|a, b| a.p50_us.total_cmp(&b.p50_us));
    if let Some(read) = slowest {
        let (p50, file) = (Measured::new(read.p50_us, FIRST_READ_US), short(&read.file));
        row(
            out,
            "first read of a new container, p50, us",
            "at most 300",
            &format!("{p50} ({file})"),
        );
    }
    let started = figures.first_reads.iter().flat_map(|first| &first.started);
    if let Some(ours) = started.into_iter().find(|started| started.rival == OURS) {
        let count = Measured::new(ours.a_read, 0.0);
        row(out, "processes and threads started for it", "0", &format!("{count:.2}"));
    }
}

fn loop_targets(out: &mut String, figures: &Figures) {
    let Some(loops) = &figures.loops else { return };
    let of = |rival| Some(figures.loop_cpu_us(rival)? / figures.loop_cpu_us(LXCFS)?);
    let what =
        |whose| format!("{} containers in a loop, CPU time of {whose} / lxcfs's", loops.containers);
    if let Some(ours) = of(OURS) {
        let ours = Measured::new(ours, MOST_CPU);
        row(out, &what("the daemon"), "at most 0.2", &format!("{ours:.2}"));
    }
    if let Some(floor) = of(FLOOR) {
        row(out, &what("the floor"), "no less is to be had by FUSE", &format!("{floor:.2}"));
    }
}

fn memory_targets(out: &mut String, figures: &Figures) {
    let Some(memory) = &figures.memory else { return };
    let resident = |cost: &Cost| {
        let [all, once] = [cost.resident_mib(), cost.mib()].map(|mib| Measured::new(mib, MOST_MIB));
        format!("{all:.1}; shared counted once {once:.1}")
    };
    let living = format!("resident with {} living containers, MiB", memory.living);
    row(out, &living, "at most 12", &resident(&memory.with_living));
    let after = format!("and after {} short-lived ones", memory.short_lived);
    row(out, &after, "at most 12", &resident(&memory.after_short_lived));
    let most = [&memory.with_living, &memory.after_short_lived].map(|cost| cost.descriptors);
    row(out, "descriptors meanwhile", "at most 13056", &descriptors(most.into_iter().max()));
}

fn churn_targets(out: &mut String, figures: &Figures) {
    let Some(churn) = &figures.churn else { return };
    let of = |what: fn(&Cost) -> f64| Some(Measured::new(churn.growth(what)?, MOST_OF_FIRST_HALF));
    if let (Some(resident), Some(once)) = (of(Cost::resident_mib), of(Cost::mib)) {
        let measured = format!("{resident:.2}; shared counted once {once:.2}");
        let what = "an hour of churn: resident / after the first half";
        row(out, what, "at most 1.05", &measured);
    }
    let most = churn.points.iter().map(|point| point.cost.descriptors).max();
    row(out, "an hour of churn: most descriptors", "at most 13056", &descriptors(most));
}

/// With the bound that they have.
fn descriptors(most: Option<u64>) -> String {
    let most = u32::try_from(most.unwrap_or_default()).unwrap_or(u32::MAX);
    Measured::new(f64::from(most), MOST_DESCRIPTORS).to_string()
}

impl Churn {
    /// The most that there was after the first half of the containers, of what there was
    /// then.
    fn growth(&self, of: impl Fn(&Cost) -> f64) -> Option<f64> {
        let all = self.points.last()?.containers;
        let mut later = self.points.iter().skip_while(|point| point.containers < all.div_ceil(2));
        let then = of(&later.next()?.cost);
        later.map(|point| of(&point.cost) / then).max_by(f64::total_cmp)
    }
}

/// All tables of the page that are about containers.
pub fn tables(out: &mut String, figures: &Figures) {
    if let Some(first) = &figures.first_reads {
        first_reads(out, first);
    }
    if let Some(measured) = &figures.loops {
        loops(out, measured);
    }
    if let Some(memory) = &figures.memory {
        crowd(out, memory);
    }
    if let Some(measured) = &figures.churn {
        churn(out, measured);
    }
    starts(out, figures);
}

fn first_reads(out: &mut String, first: &FirstReads) {
    let mut rivals: Vec<&str> = Vec::new();
    let mut files: Vec<&str> = Vec::new();
    for read in &first.reads {
        if !rivals.contains(&read.rival.as_str()) {
            rivals.push(&read.rival);
        }
        if !files.contains(&read.file.as_str()) {
            files.push(&read.file);
        }
    }
    let _infallible = write!(
        out,
        "## First read of a new container\n\n\
         Open, read to the end, close, by a process of a pid namespace and control groups that no daemon has seen before: {} containers\n\
         for each file and each of those who serve it, in turns.\n\n\
         | p50 / p90 / p99, us | {} |\n|---|{}\n",
        first.containers,
        rivals.join(" | "),
        "---|".repeat(rivals.len()),
    );
    for file in files {
        let of = |rival: &&str| {
            let read = first.reads.iter().find(|read| read.file == file && read.rival == **rival);
            let times = |read: &super::figures::FirstRead| {
                [read.p50_us, read.p90_us, read.p99_us].map(number).join(" / ")
            };
            read.map(times).unwrap_or_default()
        };
        let cells: Vec<_> = rivals.iter().map(of).collect();
        let _infallible = writeln!(out, "| `{file}` | {} |", cells.join(" | "));
    }
    let started = first.started.iter().map(|it| format!("{} {:.2}", it.rival, it.a_read));
    let _infallible = writeln!(
        out,
        "\nProcesses and threads that a daemon starts for one of them, counted by strace: {}.\n",
        started.collect::<Vec<_>>().join(", "),
    );
}

fn loops(out: &mut String, loops: &Loops) {
    let Loops { containers, files, reads, rivals } = loops;
    let _infallible = write!(
        out,
        "## {containers} containers in a loop\n\n\
         Each opens, reads and closes {files} files one after the other, all containers at once: {reads} reads of each of those who serve, in turns\n\
         (lxcfs's issue 446).\n\n\
         | | CPU time of the daemon for a read, us | reads a second |\n|---|---|---|\n",
    );
    for looped in rivals {
        let rate = number(looped.a_second);
        let _infallible = writeln!(out, "| {} | {:.0} | {rate} |", looped.rival, looped.cpu_us);
    }
    out.push('\n');
}

const COSTS: &str =
    "resident, MiB | what they share counted once, MiB | descriptors |\n|---|---|---|---|\n";

fn crowd(out: &mut String, memory: &Memory) {
    let _infallible = write!(
        out,
        "## Many containers\n\nEach reads every file. Keeper and worker together.\n\n| | {COSTS}"
    );
    cost(out, "before the first", &memory.before);
    cost(out, &format!("{} containers live", memory.living), &memory.with_living);
    cost(out, &format!("and {} came and went", memory.short_lived), &memory.after_short_lived);
    out.push('\n');
}

fn churn(out: &mut String, churn: &Churn) {
    let all = churn.points.last().map_or(0, |point| point.containers);
    let _infallible = write!(
        out,
        "## Containers that come and go\n\n\
         {all} of them, {} at a time: the oldest goes when another comes, and each reads every file. That is an hour in which one starts each second\n\
         and lives for a minute, in as little time as it takes to start them: so what is given back after a time is given back later than in an hour.\n\n\
         | containers so far | {COSTS}",
        churn.alive,
    );
    for point in &churn.points {
        cost(out, &point.containers.to_string(), &point.cost);
    }
    out.push('\n');
}

fn cost(out: &mut String, what: &str, cost: &Cost) {
    let (resident, once) = (cost.resident_mib(), cost.mib());
    let _infallible =
        writeln!(out, "| {what} | {resident:.1} | {once:.1} | {} |", cost.descriptors);
}

fn starts(out: &mut String, figures: &Figures) {
    if figures.starts.is_empty() {
        return;
    }
    out.push_str(
        "## Starting a container\n\nFrom the command to its end, the program in it is `true`; in turns. `porthole run` mounts our files, makes a time namespace and \
         keeps the container's output; runc and crun have what `spec` gives them.\n\n| | p50, ms | p90, ms | starts |\n|---|---|---|---|\n",
    );
    for start in &figures.starts {
        let (p50, p90) = (start.p50_ms, start.p90_ms);
        let _infallible =
            writeln!(out, "| `{}` | {p50:.0} | {p90:.0} | {} |", start.runtime, start.count);
    }
    out.push('\n');
}

/// `stat` of `proc/stat`.
fn short(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::super::page::page;
    use super::super::page::tests::{check, figures};

    #[test]
    fn every_figure_is_on_the_page() {
        let page = page(&figures(), "");
        check(&page, "| p50 / p90 / p99, us | lxcfs | portholefs |");
        check(&page, "| `proc/stat` | 1800 / 3600 / 5400 | 200 / 400 / 600 |");
        check(
            &page,
            "Processes and threads that a daemon starts for one of them, counted by strace: lxcfs 2.00, portholefs 0.00.",
        );
        check(&page, "| lxcfs | 200 | 5000 |");
        check(&page, "| 1000 containers live | 12.0 | 9.0 | 60 |");
        check(&page, "| 3600 | 12.0 | 9.0 | 5060 |");
        check(&page, "| `crun` | 12 | 20 | 20 |");
    }

    #[test]
    fn targets_that_are_met_are_plain() {
        let page = page(&figures(), "");
        check(&page, "| first read of a new container, p50, us | at most 300 | 200 (stat) |");
        check(&page, "| processes and threads started for it | 0 | 0.00 |");
        check(
            &page,
            "| 50 containers in a loop, CPU time of the daemon / lxcfs's | at most 0.2 | 0.16 |",
        );
        check(
            &page,
            "| 50 containers in a loop, CPU time of the floor / lxcfs's | no less is to be had by FUSE | 0.06 |",
        );
        check(
            &page,
            "| resident with 1000 living containers, MiB | at most 12 | 12.0; shared counted once 9.0 |",
        );
        check(&page, "| descriptors meanwhile | at most 13056 | 60 |");
        check(&page, "| an hour of churn: most descriptors | at most 13056 | 5060 |");
        check(&page, "| wake-ups in a minute while nobody asks | 0 | 0 |");
    }

    #[test]
    fn targets_that_are_not_met_are_bold() {
        let mut figures = figures();
        figures.first_reads.as_mut().unwrap().reads[1].p50_us = 301.0;
        figures.first_reads.as_mut().unwrap().started[1].a_read = 0.5;
        figures.loops.as_mut().unwrap().rivals[2].cpu_us = 60.0;
        figures.memory.as_mut().unwrap().after_short_lived.resident_kib = 20 << 10;
        figures.churn.as_mut().unwrap().points[4].cost.kib = 10_000;
        figures.churn.as_mut().unwrap().points[3].cost.descriptors = 20_000;
        figures.idle_wakeups_a_minute = Some(2.0);
        let page = page(&figures, "");
        check(&page, "| first read of a new container, p50, us | at most 300 | **301** (stat) |");
        check(&page, "| processes and threads started for it | 0 | **0.50** |");
        check(
            &page,
            "| 50 containers in a loop, CPU time of the daemon / lxcfs's | at most 0.2 | **0.30** |",
        );
        check(
            &page,
            "| and after 1200 short-lived ones | at most 12 | **20.0**; shared counted once 9.0 |",
        );
        check(
            &page,
            "| an hour of churn: resident / after the first half | at most 1.05 | 1.00; shared counted once **1.09** |",
        );
        check(&page, "| an hour of churn: most descriptors | at most 13056 | **20000** |");
        check(&page, "| wake-ups in a minute while nobody asks | 0 | **2** |");
    }
}
