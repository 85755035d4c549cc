//! docs/SEMANTICS.md as data: for each file its rows; pure.
//!
//! The page is part of the program, so that it explains what this version does.

use std::fmt;
use std::sync::LazyLock;

const PAGE: &str = include_str!("../../../docs/SEMANTICS.md");

/// How the paragraph on the number of CPUs begins, to which rows refer as `see N`.
const CPUS: &str = "**N**, the number of CPUs:";

/// Whose number a line has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The container's own.
    Containers,
    /// The host's times the container's share.
    Scaled,
    /// The host's.
    Hosts,
    /// The line is left out.
    Absent,
}

/// What is said of one file.
#[derive(Debug)]
pub struct Section {
    /// The row of the catalogue, without a slash at its beginning.
    pub path: String,
    /// In the order of the page.
    pub rows: Vec<Row>,
}

/// What is said of some lines.
#[derive(Debug)]
pub struct Row {
    /// The first cell as it is.
    title: String,
    /// Names of lines in it.
    names: Vec<String>,
    /// Whose number it is.
    pub class: Class,
    /// How it is computed, and its unit.
    pub formula: String,
    /// Where it comes from on cgroup v1.
    pub v1: String,
    /// Where it comes from on cgroup v2.
    pub v2: String,
    when_absent: String,
    why: String,
}

/// All sections.
static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| parse(PAGE));

/// Where the number of CPUs comes from, on v1 and v2.
static CPU_SOURCES: LazyLock<(String, String)> = LazyLock::new(|| {
    let paragraph = PAGE.split("\n\n").find(|paragraph| paragraph.starts_with(CPUS));
    let (_, sources) = paragraph.and_then(|text| text.split_once("v1:")).unwrap_or_default();
    let (v1, v2) = sources.split_once("v2:").unwrap_or_default();
    let (v2, _rest) = v2.split_once(". ").unwrap_or((v2, ""));
    (v1.to_owned(), v2.to_owned())
});

/// What is said of the files of this row of the catalogue.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.path == path)
}

/// Where the number of CPUs comes from, on v1 and v2.
pub fn cpu_sources() -> (&'static str, &'static str) {
    (&CPU_SOURCES.0, &CPU_SOURCES.1)
}

/// The name of a line as rows have it: what is before its colon, or its first word; a number of
/// a CPU is N.
pub fn name_of(line: &str) -> Option<String> {
    let name = match line.split_once(':') {
        Some((name, _value)) => name.trim(),
        None => line.split_ascii_whitespace().next()?,
    };
    let is_numbered =
        |kind: &&str| name.strip_prefix(*kind).is_some_and(|rest| rest.parse::<u32>().is_ok());
    let kind = ["cpu", "domain"].into_iter().find(is_numbered);
    Some(kind.map_or_else(|| name.to_owned(), |kind| format!("{kind}N")))
}

impl Section {
    /// The rows that explain line `number` (from 0) of a file: the one that names it, or the one
    /// for the rest of its kind, or all that are about parts of a line.
    pub fn rows_of(&self, number: usize, line: &str) -> Vec<&Row> {
        let name = name_of(line).unwrap_or_default();
        let first_word = line.split_ascii_whitespace().next().unwrap_or_default();
        let is_named = |row: &&Row| row.is_about(&name) || row.is_about(first_word);
        let is_heading = |row: &&Row| number == 0 && row.title == "heading";
        let is_gauge = |row: &&Row| first_word.starts_with("nr_") && row.is_about("nr_*");
        let is_rest = |row: &&Row| row.title.starts_with("every ") && row.names.is_empty();
        let ways: [&dyn Fn(&&Row) -> bool; 4] = [&is_named, &is_heading, &is_gauge, &is_rest];
        let found = ways.iter().find_map(|way| self.rows.iter().find(|row| way(row)));
        let unnamed = |row: &&Row| row.class != Class::Absent && row.title != "heading";
        found.map_or_else(|| self.rows.iter().filter(unnamed).collect(), |row| vec![row])
    }

    /// The row of the line with this name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.is_about(name))
    }
}

impl Row {
    /// True when its numbers are not the host's.
    pub fn is_ours(&self) -> bool {
        matches!(self.class, Class::Containers | Class::Scaled)
    }

    /// True when it names the line.
    pub fn is_about(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Why a line is not there.
    pub fn why_absent(&self) -> &str {
        let ours = [&self.when_absent, &self.why, &self.formula];
        let absent = [&self.why, &self.formula, &self.when_absent];
        (if self.is_ours() { ours } else { absent })
            .into_iter()
            .find(|text| !text.is_empty() && *text != "always")
            .map_or("no cgroup counts it", String::as_str)
    }
}

/// Class and formula.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Containers => "container's",
            Class::Scaled => "scaled",
            Class::Hosts => "host's",
            Class::Absent => "absent",
        };
        // A row without names is about a part of the line, and has to say which.
        let part = if self.names.is_empty() { format!("{}: ", self.title) } else { String::new() };
        match self.formula.is_empty() {
            true => write!(f, "{part}{class}"),
            false => write!(f, "{part}{class}: {}", self.formula),
        }
    }
}

/// What stands in backticks.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn parse(page: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let path = heading.trim_matches('`').trim_start_matches('/').to_owned();
            sections.push(Section { path, rows: Vec::new() });
        } else if let (Some(section), Some(row)) = (sections.last_mut(), row(line)) {
            section.rows.push(row);
        }
    }
    sections
}

fn row(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| ")?.split('|').map(|cell| cell.trim().to_owned());
    let mut cell = || cells.next().unwrap_or_default();
    let title = cell();
    let class = match cell().as_str() {
        "container's" => Class::Containers,
        "scaled" => Class::Scaled,
        "host's" => Class::Hosts,
        "absent" => Class::Absent,
        _heading => return None,
    };
    let names = quoted(&title).map(ToOwned::to_owned).collect();
    let (formula, v1, v2, when_absent) = (cell(), cell(), cell(), cell());
    let (_lxcfs, why) = (cell(), cell());
    Some(Row { title, names, class, formula, v1, v2, when_absent, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, number: usize, line: &str, expected: &[&str]) {
        let rows = section(path).unwrap().rows_of(number, line);
        let titles: Vec<_> = rows.iter().map(|row| row.title.as_str()).collect();
        assert_eq!(titles, expected, "{line}");
    }

    #[test]
    fn a_line_finds_its_row() {
        check("proc/meminfo", 0, "MemTotal:  1 kB", &["`MemTotal`"]);
        check("proc/cpuinfo", 1, "vendor_id\t: x", &["every other line"]);
        check("proc/stat", 1, "cpu7 1 2", &["`cpuN`"]);
        check("proc/vmstat", 1, "nr_something 1", &["every other `nr_*`"]);
        check("proc/vmstat", 1, "compact_stall 1", &["every other line"]);
        check("proc/softirqs", 0, "     CPU0", &["heading"]);
        check("proc/softirqs", 1, "  HI:  1", &["every row"]);
        check("proc/uptime", 0, "1.00 2.00", &["up", "idle"]);
        check("proc/loadavg", 0, "0 0 0 1/2 3", &["1, 5, 15 minutes", "running/total", "last pid"]);
    }

    #[test]
    fn the_number_of_cpus_has_its_own_paragraph() {
        let (v1, v2) = cpu_sources();
        assert_eq!(quoted(v1).next(), Some("cpuset.effective_cpus"));
        assert_eq!(quoted(v2).collect::<Vec<_>>(), ["cpuset.cpus.effective", "cpu.max"]);
    }

    #[test]
    fn a_row_says_class_and_formula() {
        let swap = section("proc/meminfo").unwrap().row("SwapFree").unwrap();
        let shown = "container's: smallest (limit - usage at that level), at most the host's";
        assert_eq!(swap.to_string(), shown);
        let mlocked = section("proc/meminfo").unwrap().row("Mlocked").unwrap();
        assert_eq!(mlocked.why_absent(), "not counted by cgroup; part of `Unevictable`");
        let stack = section("proc/meminfo").unwrap().row("KernelStack").unwrap();
        assert_eq!(stack.why_absent(), "on v1");
    }
}
