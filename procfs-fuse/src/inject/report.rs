//! What was done in each mount namespace: a line for people, JSON for programs.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::inject::namespaces::Namespace;

/// Everything that one run did.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Mount namespaces that were looked at.
    pub looked_at: usize,
    /// Processes whose mount namespace could not be looked at.
    pub refused: usize,
    /// Those in which there was something to do or to say.
    pub namespaces: Vec<NamespaceReport>,
}

/// What was done in one mount namespace.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceReport {
    /// Its inode number, as in `mnt:[4026532501]`.
    pub namespace: u64,
    /// The lowest number of a process in it.
    pub pid: i32,
    /// Places where a file was mounted over the kernel's own.
    pub mounted: Vec<PathBuf>,
    /// Places where a live file is in the place of a dead one.
    pub replaced: Vec<PathBuf>,
    /// Places where a live file lies on a dead one that could not be taken away.
    pub stacked: Vec<PathBuf>,
    /// Places where the live file was already.
    pub kept: Vec<PathBuf>,
    /// Places where something is that is not ours to touch.
    pub left_alone: Vec<Said>,
    /// Places where the kernel refused.
    pub failed: Vec<Said>,
    /// Why nothing could be done in the whole namespace.
    pub error: Option<String>,
    /// True when something was found in the middle of a change: worth another visit.
    #[serde(skip)]
    pub(crate) is_unsettled: bool,
}

/// A place and what there is to say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The place, from the root of the namespace.
    pub path: PathBuf,
    /// Why it is as it is.
    pub reason: String,
}

impl Report {
    /// Places with a live file that had none before.
    pub fn changes(&self) -> usize {
        self.namespaces.iter().map(NamespaceReport::changes).sum()
    }

    /// True when nothing was found in the middle of a change.
    pub(crate) fn is_settled(&self) -> bool {
        !self.namespaces.iter().any(|report| report.is_unsettled)
    }

    /// Adds what was done in a later visit of each namespace.
    pub(crate) fn follow(&mut self, later: impl Iterator<Item = NamespaceReport>) {
        for report in later {
            let is_same = |known: &&mut NamespaceReport| known.namespace == report.namespace;
            match self.namespaces.iter_mut().find(is_same) {
                Some(known) => known.follow(report),
                None if report.is_empty() => {}
                None => self.namespaces.push(report),
            }
        }
        self.namespaces.sort_by_key(|report| report.namespace);
    }

    /// True when nothing was refused that should have been done.
    pub fn is_complete(&self) -> bool {
        let failed = |report: &NamespaceReport| report.error.is_some() || !report.failed.is_empty();
        self.refused == 0 && !self.namespaces.iter().any(failed)
    }
}

impl NamespaceReport {
    /// That nothing was done yet in `namespace`.
    pub(crate) fn of(namespace: &Namespace) -> Self {
        let pid = namespace.first_process().map_or(0, Pid::as_raw);
        Self { namespace: namespace.inode, pid, ..Self::default() }
    }

    /// Places with a live file that had none before.
    pub fn changes(&self) -> usize {
        self.mounted.len() + self.replaced.len() + self.stacked.len()
    }

    /// Takes over what a later visit has done, and what it has to say now.
    fn follow(&mut self, later: Self) {
        self.mounted.extend(later.mounted);
        self.replaced.extend(later.replaced);
        self.stacked.extend(later.stacked);
        let is_new = |path: &PathBuf| {
            !self.mounted.contains(path)
                && !self.replaced.contains(path)
                && !self.stacked.contains(path)
        };
        self.kept = later.kept.into_iter().filter(is_new).collect();
        self.left_alone = later.left_alone;
        (self.failed, self.error) = (later.failed, later.error);
        self.is_unsettled = later.is_unsettled;
    }

    /// True when there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        let said = self.kept.len() + self.left_alone.len() + self.failed.len();
        self.changes() + said == 0 && self.error.is_none() && !self.is_unsettled
    }
}

/// What `portholefs inject` writes for people: a line for each namespace.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for namespace in &self.namespaces {
            writeln!(f, "{namespace}")?;
        }
        if self.namespaces.is_empty() {
            writeln!(f, "nothing to do in {} mount namespaces", self.looked_at)?;
        }
        if self.refused > 0 {
            let count = self.refused;
            writeln!(f, "{count} processes could not be looked at: CAP_SYS_PTRACE is missing")?;
        }
        Ok(())
    }
}

impl fmt::Display for NamespaceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mount namespace {} (pid {}):", self.namespace, self.pid)?;
        let counts = [
            (self.mounted.len(), "mounted"),
            (self.replaced.len(), "replaced"),
            (self.stacked.len(), "mounted on top of dead ones"),
            (self.kept.len(), "there already"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        parts.extend(said("left alone", &self.left_alone));
        parts.extend(said("failed", &self.failed));
        parts.extend(self.error.as_ref().map(|error| format!("nothing done: {error}")));
        write!(f, " {}", parts.join(", "))
    }
}

/// `"left alone /a, /b (reason)"` for neighbours with the same reason.
fn said<'a>(verdict: &'a str, places: &'a [Said]) -> impl Iterator<Item = String> + 'a {
    places.chunk_by(|one, next| one.reason == next.reason).map(move |alike| {
        let paths: Vec<_> = alike.iter().map(|said| said.path.to_string_lossy()).collect();
        let reason = alike.first().map_or("", |said| &said.reason);
        format!("{verdict} {} ({reason})", paths.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_done_and_what_not() {
        let report = NamespaceReport {
            namespace: 4_026_532_501,
            pid: 4242,
            mounted: vec!["/proc/meminfo".into(), "/proc/stat".into()],
            replaced: vec!["/proc/uptime".into()],
            left_alone: vec![Said {
                path: "/proc/swaps".into(),
                reason: "tmpfs is mounted on /proc/swaps".into(),
            }],
            ..NamespaceReport::default()
        };
        assert_eq!(
            report.to_string(),
            "mount namespace 4026532501 (pid 4242): 2 mounted, 1 replaced, left alone /proc/swaps (tmpfs is mounted on /proc/swaps)"
        );
        assert_eq!(report.changes(), 3);
    }

    #[test]
    fn what_a_later_visit_finds_is_not_what_was_there_before() {
        let first =
            NamespaceReport { mounted: vec!["/proc/stat".into()], ..NamespaceReport::default() };
        let kept = vec!["/proc/stat".into(), "/proc/uptime".into()];
        let second = NamespaceReport { kept, ..NamespaceReport::default() };
        let mut report = Report::default();
        report.follow([first, second].into_iter());
        assert_eq!(report.to_string(), "mount namespace 0 (pid 0): 1 mounted, 1 there already\n");
    }

    #[test]
    fn nothing_to_do_is_said_too() {
        let report = Report { looked_at: 12, ..Report::default() };
        assert_eq!(report.to_string(), "nothing to do in 12 mount namespaces\n");
        assert!(report.is_complete());
    }

    #[test]
    fn what_could_not_be_looked_at_is_said_and_counts() {
        let report = Report { looked_at: 1, refused: 3, ..Report::default() };
        assert_eq!(
            report.to_string(),
            "nothing to do in 1 mount namespaces\n3 processes could not be looked at: CAP_SYS_PTRACE is missing\n"
        );
        assert!(!report.is_complete());
    }
}
