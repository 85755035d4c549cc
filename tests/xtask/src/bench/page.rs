//! docs/PERFORMANCE.md from figures; pure.
//!
//! What a person has written on the page, below [`NOTES`], stays.

use std::fmt::Write as _;

use super::containers;
use super::figures::{CASES, Calls, Case, FLOOR, Figures, KERNEL, LXCFS, OURS, PRIVATE, Read};
use super::plot::{self, Chart, number};

/// Where a person's part of the page begins.
const NOTES: &str = "## What stands in the way";

/// Those who are compared, in the order of columns.
const RIVALS: [&str; 5] = [KERNEL, FLOOR, LXCFS, OURS, PRIVATE];

/// A target: what is compared, of which files, and the bound.
struct Target {
    what: &'static str,
    files: &'static [&'static str],
    rivals: (&'static str, &'static str),
    of: fn(&Read) -> f64,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// The most that there is to be had, whoever serves by FUSE.
    Most,
}

const EVERY_FILE: &[&str] =
    &["proc/meminfo", "proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg"];

const TARGETS: &[Target] = &[
    Target {
        what: "p50 / floor's: meminfo, uptime, loadavg",
        files: &["proc/meminfo", "proc/uptime", "proc/loadavg"],
        rivals: (OURS, FLOOR),
        of: |read| read.p50_us,
        bound: Bound::AtMost(1.5),
    },
    Target {
        what: "p50 / floor's: stat, cpuinfo",
        files: &["proc/stat", "proc/cpuinfo"],
        rivals: (OURS, FLOOR),
        of: |read| read.p50_us,
        bound: Bound::AtMost(2.0),
    },
    Target {
        what: "lxcfs's p50 / ours",
        files: EVERY_FILE,
        rivals: (LXCFS, OURS),
        of: |read| read.p50_us,
        bound: Bound::AtLeast(5.0),
    },
    Target {
        what: "lxcfs's p50 / the floor's",
        files: EVERY_FILE,
        rivals: (LXCFS, FLOOR),
        of: |read| read.p50_us,
        bound: Bound::Most,
    },
    Target {
        what: "reads a second / lxcfs's",
        files: EVERY_FILE,
        rivals: (OURS, LXCFS),
        of: |read| read.a_second,
        bound: Bound::AtLeast(5.0),
    },
    Target {
        what: "private meminfo's p50 / the kernel's",
        files: &["proc/meminfo"],
        rivals: (PRIVATE, KERNEL),
        of: |read| read.p50_us,
        bound: Bound::AtMost(1.0),
    },
    Target {
        what: "p50 of the other private files / floor's",
        files: &["proc/stat", "proc/cpuinfo", "proc/uptime", "proc/loadavg"],
        rivals: (PRIVATE, FLOOR),
        of: |read| read.p50_us,
        bound: Bound::AtMost(1.3),
    },
    Target {
        what: "the daemon's CPU time for a read / lxcfs's",
        files: EVERY_FILE,
        rivals: (OURS, LXCFS),
        of: |read| read.cpu_us,
        bound: Bound::AtMost(0.2),
    },
];

/// Those that were measured.
fn rivals(figures: &Figures) -> Vec<&'static str> {
    let is_measured = |name: &&str| figures.reads.iter().any(|read| read.rival == *name);
    RIVALS.into_iter().filter(|name| is_measured(name)).collect()
}

/// The page; `before` is what it says now.
pub fn page(figures: &Figures, before: &str) -> String {
    let mut out = String::new();
    head(&mut out, figures);
    targets(&mut out, figures);
    for case in CASES {
        reads(&mut out, figures, case);
    }
    if !figures.calls.is_empty() {
        calls(&mut out, figures);
    }
    containers::tables(&mut out, figures);
    let notes = before.split_once(NOTES).map_or("\n\nNothing is noted yet.\n", |(_, notes)| notes);
    out + NOTES + notes
}

/// The pictures of the page by the names of their files.
pub fn pictures(figures: &Figures) -> Vec<(String, String)> {
    CASES.iter().map(|case| (picture_name(*case), picture(figures, *case))).collect()
}

fn picture_name(case: Case<'_>) -> String {
    format!("{}-{}.svg", case.way, case.threads)
}

/// By one reader it is time that counts, by many how much is done.
fn picture(figures: &Figures, case: Case<'_>) -> String {
    let shown: fn(&Read) -> f64 =
        if case.threads == 1 { |read| read.p50_us } else { |read| read.a_second };
    let what = if case.threads == 1 { "microseconds, median" } else { "reads a second" };
    let title = format!("{}: {what}", title(case));
    let rivals = rivals(figures);
    let bars = |file: &str| -> Vec<f64> {
        rivals.iter().map(|rival| figures.read(case, file, rival).map_or(0.0, shown)).collect()
    };
    let groups = figures.files().into_iter().map(|file| (file, bars(file))).collect();
    plot::svg(&Chart { title: &title, bars: &rivals, groups })
}

fn title(case: Case<'_>) -> String {
    let way = match case.way {
        "open" => "Open, read, close",
        _kept => "Read of a descriptor that is kept open",
    };
    let readers = if case.threads == 1 { "one reader" } else { "eight readers" };
    format!("{way}, {readers}")
}

fn head(out: &mut String, figures: &Figures) {
    let machine = &figures.machine;
    let version = if machine.cgroups == "v2" { "cgroup v2" } else { "cgroup v1 or hybrid" };
    let _infallible = write!(
        out,
        "# What it costs\n\n\
         Written by `cargo xtask bench`; what is below the last heading, by hand. All were read in turns in one run, by one program in one container:\n\
         the *kernel*'s own file, the *floor* (a null answer through FUSE, with the daemon's kernel options: `tests/bench/floor.rs`), Debian's *lxcfs* with\n\
         every option that makes its files truer, *portholefs* (the shared tree), and a *private* tree of it. Ratios can be compared with those of other machines, times cannot.\n\n\
         Measured on {} CPUs ({}), Linux {}, {version}. When it began, {:.1} other processes wanted a CPU{}\n\n",
        machine.cpus,
        machine.model,
        machine.kernel,
        machine.load_before,
        if machine.load_before > 0.5 {
            ": **the machine was shared**, so p99 and the differences of rounds are those of a busy machine."
        } else {
            "."
        },
    );
}

fn targets(out: &mut String, figures: &Figures) {
    out.push_str("## Targets\n\nThe worst file of each; **bold** is not met.\n\n| ratio | bound |");
    for case in CASES {
        let _infallible = write!(out, " {}, {} |", case.way, case.threads);
    }
    out.push_str("\n|---|---|---|---|---|---|\n");
    for target in TARGETS {
        let bound = match target.bound {
            Bound::AtMost(bound) => format!("at most {bound}"),
            Bound::AtLeast(bound) => format!("at least {bound}"),
            Bound::Most => "no more is to be had by FUSE".to_owned(),
        };
        let _infallible = write!(out, "| {} | {bound} |", target.what);
        for case in CASES {
            let _infallible = write!(out, " {} |", target.cell(figures, case));
        }
        out.push('\n');
    }
    out.push_str("\n*open*: open, read to the end, close. *kept*: a read at 0 of a descriptor that is kept open. 1, 8: readers.\n\n");
    containers::targets(out, figures);
}

impl Target {
    fn cell(&self, figures: &Figures, case: Case<'_>) -> String {
        let ratio = |file: &&&str| figures.ratio(case, file, self.rivals, self.of);
        let ratios = self.files.iter().filter_map(|file| Some((ratio(&file)?, *file)));
        let worst = match self.bound {
            Bound::AtMost(_) => ratios.max_by(|a, b| a.0.total_cmp(&b.0)),
            Bound::AtLeast(_) | Bound::Most => ratios.min_by(|a, b| a.0.total_cmp(&b.0)),
        };
        let Some((ratio, file)) = worst else { return "not measured".to_owned() };
        let is_met = match self.bound {
            Bound::AtMost(bound) => ratio <= bound,
            Bound::AtLeast(bound) => ratio >= bound,
            Bound::Most => true,
        };
        let name = file.rsplit('/').next().unwrap_or(file);
        if is_met { format!("{ratio:.2} ({name})") } else { format!("**{ratio:.2}** ({name})") }
    }
}

fn reads(out: &mut String, figures: &Figures, case: Case<'_>) {
    let rivals = rivals(figures);
    let _infallible = write!(
        out,
        "## {}\n\n![](performance/{})\n\n\
         | p50 / p99, us; reads a second; CPU | {} | ours / floor | lxcfs / ours |\n\
         |---|---|---|{}\n",
        title(case),
        picture_name(case),
        rivals.join(" | "),
        "---|".repeat(rivals.len()),
    );
    for file in figures.files() {
        let _infallible = write!(out, "| `{file}` |");
        for rival in &rivals {
            let cell = figures.read(case, file, rival).map(cell).unwrap_or_default();
            let _infallible = write!(out, " {cell} |");
        }
        let p50 = |pair| figures.ratio(case, file, pair, |read| read.p50_us);
        let (floor, lxcfs) = (p50((OURS, FLOOR)), p50((LXCFS, OURS)));
        let ratio = |ratio: Option<f64>| ratio.map_or("-".to_owned(), |it| format!("{it:.2}"));
        let _infallible = writeln!(out, " {} | {} |", ratio(floor), ratio(lxcfs));
    }
    out.push('\n');
}

/// `36 / 80; 20k; 9 us`: the kernel's own files have no daemon.
fn cell(read: &Read) -> String {
    let Read { p50_us, p99_us, a_second, cpu_us, .. } = read;
    let cpu = if read.rival == KERNEL { String::new() } else { format!("; {cpu_us:.0} us") };
    format!("{} / {}; {}{cpu}", number(*p50_us), number(*p99_us), number(*a_second))
}

fn calls(out: &mut String, figures: &Figures) {
    out.push_str(
        "## System calls\n\nOf all processes of each, for one open, read to the end and close; counted by strace. \
         The floor's are those with which requests are taken and answered.\n\n\
         | file | floor | lxcfs | portholefs | of these, but for requests | private |\n|---|---|---|---|---|---|\n",
    );
    for file in figures.files() {
        let of = |rival: &str| {
            figures.calls.iter().find(|calls| calls.file == file && calls.rival == rival)
        };
        let total =
            |rival| of(rival).map_or("-".to_owned(), |calls| format!("{:.1}", calls.total()));
        let own = of(OURS).map(Calls::beside_requests).unwrap_or_default();
        let (floor, lxcfs, ours, private) =
            (total(FLOOR), total(LXCFS), total(OURS), total(PRIVATE));
        let _infallible =
            writeln!(out, "| `{file}` | {floor} | {lxcfs} | {ours} | {own} | {private} |");
    }
    out.push('\n');
}

impl Calls {
    fn total(&self) -> f64 {
        self.calls.values().sum()
    }

    /// Every call but `read` and `write`, the most frequent first.
    fn beside_requests(&self) -> String {
        const SELDOM: f64 = 0.05;
        let is_told = |(name, count): &(&String, &f64)| {
            !["read", "write"].contains(&name.as_str()) && **count >= SELDOM
        };
        let mut calls: Vec<_> = self.calls.iter().filter(is_told).collect();
        calls.sort_by(|a, b| b.1.total_cmp(a.1));
        let words = calls.iter().map(|(name, count)| format!("`{name}` {count:.1}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Figures in which lxcfs takes 300 us, we 45 or 8, the floor 40 and the kernel 10.
    pub fn figures() -> Figures {
        let read = |case: Case<'_>, file: &str, rival: &str, p50_us: f64| {
            serde_json::json!({
                "file": file, "way": case.way, "threads": case.threads, "rival": rival,
                "p50_us": p50_us, "p99_us": 2.0 * p50_us, "a_second": 1e6 / p50_us, "cpu_us": p50_us / 2.0,
            })
        };
        let mut reads = Vec::new();
        for case in CASES {
            for file in EVERY_FILE {
                for (rival, p50_us) in RIVALS.iter().zip([10.0, 40.0, 300.0, 45.0, 8.0]) {
                    reads.push(read(case, file, rival, p50_us));
                }
            }
        }
        let first = |rival: &str, p50_us: f64| {
            serde_json::json!({
                "file": "proc/stat", "rival": rival,
                "p50_us": p50_us, "p90_us": 2.0 * p50_us, "p99_us": 3.0 * p50_us,
            })
        };
        let looped = |rival: &str, cpu_us: f64| serde_json::json!({ "rival": rival, "cpu_us": cpu_us, "a_second": 1e6 / cpu_us });
        let cost = serde_json::json!({ "resident_kib": 12288, "kib": 9216, "descriptors": 60 });
        let points = [0, 900, 1800, 2700, 3600];
        let points = points.map(|containers| {
            let more = if containers == 0 { 0 } else { 5000 };
            let cost =
                serde_json::json!({ "resident_kib": 12288, "kib": 9216, "descriptors": 60 + more });
            serde_json::json!({ "containers": containers, "cost": cost })
        });
        let figures = serde_json::json!({
            "machine": {
                "kernel": "6.18", "model": "A CPU", "cpus": 2, "cgroups": "v1",
                "load_before": 0.1,
            },
            "reads": reads,
            "first_reads": {
                "containers": 100,
                "reads": [first(LXCFS, 1800.0), first(OURS, 200.0)],
                "started": [{ "rival": LXCFS, "a_read": 2.0 }, { "rival": OURS, "a_read": 0.0 }],
            },
            "loops": {
                "containers": 50, "files": 6, "reads": 36000,
                "rivals": [looped(FLOOR, 12.0), looped(LXCFS, 200.0), looped(OURS, 32.0)],
            },
            "calls": [{ "file": "proc/stat", "rival": OURS, "calls": { "read": 4.0, "write": 4.0, "pread64": 2.5, "futex": 0.01 } }],
            "memory": {
                "living": 1000, "short_lived": 1200,
                "before": cost, "with_living": cost, "after_short_lived": cost,
            },
            "churn": { "alive": 60, "points": points },
            "idle_wakeups_a_minute": 0.0,
            "starts": [{ "runtime": "crun", "p50_ms": 12.4, "p90_ms": 20.0, "count": 20 }],
        });
        serde_json::from_value(figures).unwrap()
    }

    #[track_caller]
    pub fn check(text: &str, line: &str) {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }

    #[test]
    fn every_figure_is_on_the_page() {
        let page = page(&figures(), "");
        check(
            &page,
            "| lxcfs's p50 / ours | at least 5 | 6.67 (meminfo) | 6.67 (meminfo) | 6.67 (meminfo) | 6.67 (meminfo) |",
        );
        check(
            &page,
            "| `proc/stat` | 10 / 20; 100k | 40 / 80; 25k; 20 us | 300 / 600; 3333; 150 us | 45 / 90; 22k; 22 us | 8.0 / 16; 125k; 4 us | 1.12 | 6.67 |",
        );
        check(&page, "| `proc/stat` | - | - | 10.5 | `pread64` 2.5 | - |");
        assert!(!page.contains("the machine was shared"), "{page}");
    }

    #[test]
    fn a_target_that_is_not_met_is_bold_and_a_busy_machine_is_told() {
        let mut figures = figures();
        figures.machine.load_before = 3.0;
        for read in figures.reads.iter_mut().filter(|read| read.rival == OURS) {
            read.p50_us = 100.0;
        }
        let page = page(&figures, "");
        assert!(page.contains("| at least 5 | **3.00** (meminfo) |"), "{page}");
        assert!(page.contains("**the machine was shared**"), "{page}");
    }

    #[test]
    fn what_a_person_has_written_stays() {
        let before = format!("# Old\n\n{NOTES}\n\nThe kernel does.\n");
        assert!(
            page(&figures(), &before).ends_with("What stands in the way\n\nThe kernel does.\n")
        );
        assert!(page(&figures(), "").ends_with("Nothing is noted yet.\n"));
    }

    #[test]
    fn each_table_has_its_picture() {
        let page = page(&figures(), "");
        for (name, picture) in pictures(&figures()) {
            assert!(page.contains(&format!("![](performance/{name})")), "{name}");
            assert_eq!(picture.matches("<rect").count(), RIVALS.len() * (1 + EVERY_FILE.len()));
        }
    }
}
