//! `portholefs explain`: where each number of a file comes from, for one process.
//!
//! The machine is captured as the process finds it, and the file is rendered from the
//! capture by the code that serves a mount: so the numbers that are shown and those they
//! were computed from are of one moment, and there is no second way to compute them. What was
//! read is what that code has open afterwards. Formulas are those of docs/SEMANTICS.md
//! ([`page`]), which a test holds to the code; [`sources`] finds in what was read the
//! values that a formula speaks of.
//!
//! What this folder does not do: know any formula.

pub mod page;
pub mod sources;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::capture::{self, CaptureError, Rendered};
use crate::hint::Hint;
use crate::serve::{self, Shown};
use page::{Class, Row, Section};
use sources::{ReadFile, Source};

/// Why a file could not be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The process could not be looked at, or the file is not served.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Nobody is shown this file by us.
    #[error("{file} is not among the files that portholefs serves")]
    NotServed {
        /// As it was asked for.
        file: String,
    },
    /// The capture could not be kept for the moment that it takes.
    #[error("cannot use {}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl Hint for ExplainError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Capture(error) => error.hint(),
            Self::NotServed { .. } => Some(
                "a path as a container has it, such as /proc/meminfo; find /var/lib/porthole/fs -type f has all"
                    .to_owned(),
            ),
            Self::Folder { path, .. } => Some(format!("rm -r {}", path.display())),
        }
    }
}

/// One file, explained; what `portholefs explain` writes for people.
#[derive(Debug)]
pub struct Explanation {
    path: String,
    shown: Shown,
    remembers: bool,
    read: Vec<ReadFile>,
    lines: Vec<Line>,
    left_out: Vec<(String, &'static str)>,
}

/// One line of the file and where it comes from.
#[derive(Debug)]
pub struct Line {
    /// As the process reads it.
    pub text: String,
    /// What docs/SEMANTICS.md says of it: one row, or one for each of its numbers.
    pub rows: Vec<&'static Row>,
    /// The values that it was computed from.
    pub sources: Vec<Source>,
    /// It is the host's although it could be the container's: nobody counts it there.
    pub is_uncounted: bool,
}

/// Explains `file` as the process `pid` of this machine sees it.
///
/// # Errors
///
/// [`ExplainError`] when the process is gone, or the file is not served.
pub fn process(pid: u32, file: &str) -> Result<Explanation, ExplainError> {
    let root = Path::new("/");
    let wanted = file.trim_start_matches('/');
    if !serve::list(root).iter().any(|listed| listed.file_at(wanted).is_some()) {
        return Err(ExplainError::NotServed { file: file.to_owned() });
    }
    let name = format!("portholefs-explain-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    capture::take(root, pid, &folder.0)?;
    capture(&folder.0, file)
}

/// Explains `file` as the reader of the capture in `dir` sees it.
///
/// # Errors
///
/// [`ExplainError`] when `dir` is no capture, or the file is not in it.
pub fn capture(dir: &Path, file: &str) -> Result<Explanation, ExplainError> {
    let rendered = capture::look(dir, file)?;
    let read = |path: &PathBuf| ReadFile::open(&capture::machine(dir), path);
    let read: Vec<ReadFile> = rendered.read.iter().filter_map(read).collect();
    Ok(explained(file, &rendered, read))
}

fn explained(file: &str, rendered: &Rendered, read: Vec<ReadFile>) -> Explanation {
    let section = page::section(rendered.entry.path);
    let (lines, left_out) = match (rendered.shown, section) {
        (Shown::Container, Some(section)) => {
            (lines(section, &rendered.text, &read), left_out(section, &rendered.text, &read))
        }
        _hosts => (Vec::new(), Vec::new()),
    };
    Explanation {
        path: format!("/{}", file.trim_start_matches('/')),
        shown: rendered.shown,
        remembers: rendered.remembers,
        read,
        lines,
        left_out,
    }
}

fn lines(section: &'static Section, text: &str, read: &[ReadFile]) -> Vec<Line> {
    let host = hosts(section, read);
    let line = |(number, text): (usize, &str)| {
        let rows = section.rows_of(number, text);
        let sources = rows.iter().flat_map(|row| sources::of(row, section, text, read));
        let mut sources: Vec<_> = sources.collect();
        sources.dedup();
        let is_hosts = host.is_some_and(|host| host.text.lines().any(|line| line == text));
        let is_uncounted = is_hosts && sources.is_empty() && rows.iter().all(|row| row.is_ours());
        Line { text: text.to_owned(), rows, sources, is_uncounted }
    };
    text.lines().enumerate().map(line).collect()
}

/// Lines of the host's file that the container's has not, with the reason.
fn left_out(
    section: &'static Section,
    text: &str,
    read: &[ReadFile],
) -> Vec<(String, &'static str)> {
    let Some(host) = hosts(section, read) else { return Vec::new() };
    let shown: Vec<_> = text.lines().filter_map(page::name_of).collect();
    let mut left_out: Vec<(String, &'static str)> = Vec::new();
    for (number, line) in host.text.lines().enumerate() {
        let Some(name) = page::name_of(line).filter(|name| !shown.contains(name)) else { continue };
        let rows = section.rows_of(number, line);
        let may_be_absent = |row: &&&Row| row.class == Class::Absent || row.is_about(&name);
        let Some(row) = rows.first().filter(may_be_absent) else { continue };
        if !left_out.iter().any(|(known, _)| *known == name) {
            left_out.push((name, row.why_absent()));
        }
    }
    left_out
}

/// The host's own file.
fn hosts<'a>(section: &Section, read: &'a [ReadFile]) -> Option<&'a ReadFile> {
    read.iter().find(|file| file.path == Path::new("/").join(&section.path))
}

impl Explanation {
    /// The lines with what they come from.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shown {
            Shown::Container => {}
            Shown::Host => {
                return write!(
                    f,
                    "{}: the process is in no container and gets the host's",
                    self.path
                );
            }
            Shown::HostInstead => {
                return write!(
                    f,
                    "{}: the host's file is shown, because the container's cannot be told; \
                     the daemon's log says why",
                    self.path
                );
            }
        }
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        for (name, reason) in &self.left_out {
            writeln!(f, "{name}: left out\n    {reason}")?;
        }
        if self.remembers {
            writeln!(
                f,
                "\nThe daemon also remembers what it has shown, so that no counter steps back: \
                 its numbers may be ahead of these."
            )?;
        }
        write!(f, "\nread for this:")?;
        self.read.iter().try_for_each(|file| write!(f, "\n    {file}"))
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.text)?;
        for row in &self.rows {
            write!(f, "\n    {row}")?;
        }
        if self.is_uncounted {
            write!(f, "\n        the host's, because no control group of the container counts it")?;
        }
        self.sources.iter().try_for_each(|source| write!(f, "\n        {source}"))
    }
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _never_made = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
