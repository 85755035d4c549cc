//! What test programs print, read back: libtest and libtest-mimic write the same.

use std::collections::BTreeMap;

/// What one run of some test programs said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// Tests that passed.
    pub passed: Vec<String>,
    /// Tests that failed.
    pub failed: Vec<String>,
    /// Tests that could not run, with the reason.
    pub ignored: BTreeMap<String, String>,
    /// Programs that began and never summed up: they died.
    pub unfinished: usize,
}

impl Results {
    /// Reads the output of any number of programs, one after the other.
    pub fn parse(text: &str) -> Self {
        let mut results = Self::default();
        for line in text.lines().map(str::trim_end) {
            if line.starts_with("running ") && line.trim_end_matches('s').ends_with(" test") {
                results.unfinished += 1;
            } else if line.starts_with("test result: ") {
                results.unfinished = results.unfinished.saturating_sub(1);
            } else if let Some(test) = line.strip_prefix("test ") {
                results.add(test);
            }
        }
        results
    }

    /// `NAME ... ok`, or one of the other outcomes.
    fn add(&mut self, test: &str) {
        // Names are padded to one length, and documentation's contain spaces.
        let Some((name, outcome)) = test.split_once(" ... ") else { return };
        let name = name.trim_end().to_owned();
        match outcome.split_once(' ').unwrap_or((outcome, "")) {
            ("ok", _) => self.passed.push(name),
            ("FAILED", _) => self.failed.push(name),
            (word, reason) if word.trim_end_matches(',') == "ignored" => {
                self.ignored.insert(name, reason.trim_matches(['(', ')']).to_owned());
            }
            _ => {}
        }
    }

    /// Whether nothing went wrong, as far as the output says.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.unfinished == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        text: &str,
        passed: &[&str],
        failed: &[&str],
        ignored: &[(&str, &str)],
        unfinished: usize,
    ) {
        let own = |names: &[&str]| names.iter().map(|&name| name.into()).collect::<Vec<String>>();
        let expected = Results {
            passed: own(passed),
            failed: own(failed),
            ignored: ignored.iter().map(|&(name, reason)| (name.into(), reason.into())).collect(),
            unfinished,
        };
        assert_eq!(Results::parse(text), expected, "text: {text:?}");
    }

    #[test]
    fn both_harnesses_are_understood() {
        check(
            "\nrunning 3 tests\n\
             test view::tests::clamped ... ok\n\
             test free          ... FAILED\n\
             test cpuset_effective ... ignored (fewer than 4 CPUs, only 2 (cargo xtask vm))\n\
             test old ... ignored, needs a v1 host\n\
             \nfailures:\n\n---- free ----\nMemTotal\n\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n",
            &["view::tests::clamped"],
            &["free"],
            &[
                ("cpuset_effective", "fewer than 4 CPUs, only 2 (cargo xtask vm"),
                ("old", "needs a v1 host"),
            ],
            0,
        );
    }

    #[test]
    fn a_program_that_dies_is_noticed() {
        check("running 1 test\ntest a ... ok\nSegmentation fault\n", &["a"], &[], &[], 1);
        assert!(!Results::parse("running 2 tests\n").is_clean());
    }
}
