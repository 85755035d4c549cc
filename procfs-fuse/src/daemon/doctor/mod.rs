//! `portholefs doctor`: what this machine lacks, or has wrong, for containers to see their
//! own size, and for each the command that mends it.
//!
//! What is so is found out first ([`facts`]), then judged ([`checks`]), which is pure: a
//! machine that nobody has at hand is a value in a test.
//!
//! What this folder does not do: mend anything.

pub mod checks;
pub mod facts;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use checks::CHECKS;
use facts::Facts;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Something is done in a lesser way on this machine.
    Note,
    /// Something will be missed one day.
    Lacking,
    /// Containers do not see their own size.
    Wrong,
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// The command that mends it, or a place to look.
    pub mend: Option<String>,
}

/// What all checks have found, the worst first.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    findings: Vec<Finding>,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { level, what: what.into(), mend: Some(mend.into()) }
    }

    fn fine(what: impl Into<String>) -> Self {
        Self { level: Level::Fine, what: what.into(), mend: None }
    }
}

/// Looks at this machine, for a daemon at `mount_point`.
pub fn examine(mount_point: &Path) -> Diagnosis {
    diagnose(&Facts::of_this_machine(mount_point))
}

fn diagnose(facts: &Facts) -> Diagnosis {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(facts)).collect();
    // Sorting is stable: what is equally bad stays in the order of the checks.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    Diagnosis { findings }
}

impl Diagnosis {
    /// True when containers see their own size.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Wrong)
    }
}

/// One line for each finding, and one with what mends it.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            let level = match finding.level {
                Level::Fine => "fine",
                Level::Note => "note",
                Level::Lacking => "lacking",
                Level::Wrong => "wrong",
            };
            write!(f, "{end}{level:8} {}", finding.what)?;
            if let Some(mend) = &finding.mend {
                write!(f, "\n         try: {mend}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_with_what_mends_it() {
        let mut facts = Facts::of_a_good_machine();
        facts.has_fuse = false;
        facts.has_pressure = false;
        let diagnosis = diagnose(&facts);
        assert!(!diagnosis.is_well());
        let text = diagnosis.to_string();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("wrong    /dev/fuse is not there"));
        assert_eq!(
            lines.next(),
            Some("         try: modprobe fuse; in a container: --device /dev/fuse")
        );
        assert!(lines.next().is_some_and(|line| line.starts_with("note     ")), "{text}");
    }

    #[test]
    fn on_a_good_machine_all_is_fine() {
        let diagnosis = diagnose(&Facts::of_a_good_machine());
        let other: Vec<_> =
            diagnosis.findings.iter().filter(|finding| finding.level != Level::Fine).collect();
        assert_eq!(other, Vec::<&Finding>::new());
        assert!(diagnosis.is_well());
        assert_eq!(diagnosis.findings.len(), CHECKS.len());
    }

    #[test]
    fn programs_are_told_the_same() {
        let json = serde_json::to_value(diagnose(&Facts::of_a_good_machine())).unwrap();
        assert_eq!(json["findings"][0]["level"], "fine");
    }
}
