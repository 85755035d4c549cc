//! The values that a row's formula speaks of, found in what was read.
//!
//! A row names its sources by the kernel's words: a file (`memory.max`), or a key in one
//! (`active_file`). `see N` and names of other lines lead to those lines' sources.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::page::{self, Class, Row, Section, quoted};

/// Whose sources a row may take over: that of a line of another file leads to lines of its own.
const DEPTH: u32 = 3;

/// Letters of a value that are shown.
const LONGEST_VALUE: usize = 60;

/// A file that was read to compute another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// Where it is on the machine.
    pub path: PathBuf,
    /// What it said.
    pub text: String,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    path: PathBuf,
    key: Option<String>,
    value: String,
}

impl ReadFile {
    /// What the file `path` said on the machine in the folder `machine`.
    pub fn open(machine: &Path, path: &Path) -> Option<Self> {
        let bytes = fs::read(machine.join(path.strip_prefix("/").unwrap_or(path))).ok()?;
        Some(Self { path: path.to_owned(), text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn is_called(&self, name: &str) -> bool {
        self.path.file_name().is_some_and(|own| own == name)
    }

    /// One of the files of this machine that a container does not have of its own.
    fn is_hosts(&self) -> bool {
        !self.path.starts_with("/sys/fs")
    }

    fn is_v2(&self) -> bool {
        // The file that tells its own limit is called differently in each version.
        const V2: [&str; 9] = [
            "memory.max",
            "memory.current",
            "memory.swap.max",
            "memory.swap.current",
            "cpu.max",
            "cpuset.cpus.effective",
            "cpuset.mems.effective",
            "io.stat",
            "cpu.pressure",
        ];
        V2.iter().any(|name| self.is_called(name))
    }
}

/// The path, and what is in it when that is one line.
impl fmt::Display for ReadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.text.lines();
        match (lines.next(), lines.count()) {
            (Some(line), 0) => write!(f, "{} = {line}", self.path.display()),
            (None, _) => write!(f, "{} (empty)", self.path.display()),
            (Some(_), more) => write!(f, "{} ({} lines)", self.path.display(), more + 1),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        // `intr` has a number for each interrupt there could be.
        let end = self.value.char_indices().nth(LONGEST_VALUE).map(|(end, _)| end);
        let (value, more) = match end {
            Some(end) => (self.value.get(..end).unwrap_or_default(), "..."),
            None => (self.value.as_str(), ""),
        };
        match &self.key {
            Some(key) => write!(f, "{key} = {value}{more} in {path}"),
            None => write!(f, "{path} = {value}{more}"),
        }
    }
}

/// The values behind `line`, which `row` of `section` is about.
pub fn of(row: &Row, section: &Section, line: &str, read: &[ReadFile]) -> Vec<Source> {
    let mut found = Vec::new();
    if row.class == Class::Absent {
        return found;
    }
    follow(row, section, read, DEPTH, &mut found);
    if matches!(row.class, Class::Hosts | Class::Scaled)
        && let Some(name) = page::name_of(line)
    {
        let hosts = read.iter().filter(|file| file.is_hosts());
        found.extend(hosts.filter_map(|file| keyed(file, &name)));
    }
    let mut seen = Vec::new();
    found.retain(|source| {
        !seen.contains(source) && {
            seen.push(source.clone());
            true
        }
    });
    found
}

fn follow(row: &Row, section: &Section, read: &[ReadFile], depth: u32, found: &mut Vec<Source>) {
    let is_v2 = read.iter().any(ReadFile::is_v2);
    let cell = if is_v2 { &row.v2 } else { &row.v1 };
    let before = found.len();
    found.extend(quoted(cell).flat_map(|word| named(word, read)));
    if cell.contains("see N") {
        let (v1, v2) = page::cpu_sources();
        found.extend(quoted(if is_v2 { v2 } else { v1 }).flat_map(|word| named(word, read)));
    }
    if found.len() > before || depth == 0 {
        return;
    }
    let elsewhere = page::section("proc/meminfo");
    for name in quoted(&row.formula) {
        let other = section.row(name).map(|row| (row, section));
        let other = other.or_else(|| elsewhere.and_then(|all| Some((all.row(name)?, all))));
        if let Some((other, section)) = other.filter(|(other, _)| !std::ptr::eq(*other, row)) {
            follow(other, section, read, depth - 1, found);
        }
    }
}

/// What a word of the kernel's stands for: a file, or a key in one.
fn named(word: &str, read: &[ReadFile]) -> Vec<Source> {
    // `memory.limit_in_bytes - memory.usage_in_bytes` is two.
    word.split([' ', '+', '-']).flat_map(|word| one_named(word, read)).collect()
}

fn one_named(word: &str, read: &[ReadFile]) -> Vec<Source> {
    let whole = |file: &ReadFile| Source {
        path: file.path.clone(),
        key: None,
        value: file.text.trim_end().to_owned(),
    };
    let files = read.iter().filter(|file| !word.is_empty() && file.is_called(word));
    let files: Vec<_> = files.filter(|file| file.text.lines().count() <= 1).map(whole).collect();
    if !files.is_empty() {
        return files;
    }
    let groups = read.iter().filter(|file| !file.is_hosts());
    groups.filter_map(|file| keyed(file, word)).collect()
}

/// The value of `key` in a file of lines that begin with keys.
fn keyed(file: &ReadFile, key: &str) -> Option<Source> {
    let line = file.text.lines().find(|line| page::name_of(line).as_deref() == Some(key))?;
    let value = line.trim_start().strip_prefix(key)?.trim_start_matches([':', ' ', '\t']);
    Some(Source {
        path: file.path.clone(),
        key: Some(key.to_owned()),
        value: value.trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<ReadFile> {
        let file = |path: &str, text: &str| ReadFile { path: path.into(), text: text.into() };
        vec![
            file("/proc/meminfo", "MemTotal:       8 kB\nHugePages_Total:       3\n"),
            file("/sys/fs/cgroup/a/b/memory.max", "4096\n"),
            file("/sys/fs/cgroup/a/memory.max", "max\n"),
            file("/sys/fs/cgroup/a/b/memory.stat", "active_file 5\ninactive_file 6\n"),
        ]
    }

    #[track_caller]
    fn check(name: &str, line: &str, expected: &[&str]) {
        let section = page::section("proc/meminfo").unwrap();
        let found = of(section.row(name).unwrap(), section, line, &files());
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_file_is_named_at_each_level() {
        let expected =
            ["/sys/fs/cgroup/a/b/memory.max = 4096", "/sys/fs/cgroup/a/memory.max = max"];
        check("MemTotal", "MemTotal: 4 kB", &expected);
    }

    #[test]
    fn a_key_is_looked_for_in_what_was_read() {
        let expected = ["active_file = 5 in /sys/fs/cgroup/a/b/memory.stat"];
        check("Active(file)", "Active(file): 5 kB", &expected);
    }

    #[test]
    fn lines_that_are_named_lead_to_their_sources() {
        // Its formula is `Active(anon)` + `Active(file)`; nothing tells of the first here.
        check("Active", "Active: 5 kB", &["active_file = 5 in /sys/fs/cgroup/a/b/memory.stat"]);
    }

    #[test]
    fn the_hosts_number_is_the_hosts_line() {
        let expected = ["HugePages_Total = 3 in /proc/meminfo"];
        check("HugePages_Total", "HugePages_Total:       3", &expected);
    }

    #[test]
    fn a_file_of_many_lines_is_told_by_their_number() {
        assert_eq!(files()[1].to_string(), "/sys/fs/cgroup/a/b/memory.max = 4096");
        assert_eq!(files()[3].to_string(), "/sys/fs/cgroup/a/b/memory.stat (2 lines)");
    }
}
