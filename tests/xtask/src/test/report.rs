//! The table at the end of a run: what ran, what did not and why, and a closing
//! line of numbers.

use std::fmt;
use std::time::Duration;

use super::results::Results;

/// Everything that was run, in order.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    /// Tests that ran on no machine, each with the reason.
    pub did_not_run: Vec<(String, String)>,
}

/// One thing that was run.
#[derive(Debug)]
struct Row {
    name: String,
    passed: usize,
    failed: usize,
    ignored: usize,
    time: Duration,
}

impl Report {
    /// Adds what test programs said; `succeeded` is their exit status, which
    /// counts as one more failure when the output does not explain it.
    pub fn add_results(&mut self, name: &str, results: &Results, succeeded: bool, time: Duration) {
        let unexplained = usize::from(!succeeded && results.is_clean());
        self.rows.push(Row {
            name: name.to_owned(),
            passed: results.passed.len(),
            failed: results.failed.len() + results.unfinished + unexplained,
            ignored: results.ignored.len(),
            time,
        });
    }

    /// Adds one check that passes or fails as a whole.
    pub fn add_check(&mut self, name: &str, succeeded: bool, time: Duration) {
        let (passed, failed) = if succeeded { (1, 0) } else { (0, 1) };
        self.rows.push(Row { name: name.to_owned(), passed, failed, ignored: 0, time });
    }

    /// Whether nothing failed.
    pub fn is_success(&self) -> bool {
        self.sum(|row| row.failed) == 0
    }

    fn sum(&self, count: impl Fn(&Row) -> usize) -> usize {
        self.rows.iter().map(count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        writeln!(f, "\n{:width$}  passed  failed  skipped  seconds", "")?;
        for Row { name, passed, failed, ignored, time } in &self.rows {
            let seconds = time.as_secs();
            writeln!(f, "{name:width$}  {passed:6}  {failed:6}  {ignored:7}  {seconds:7}")?;
        }
        if !self.did_not_run.is_empty() {
            writeln!(f, "\ndid not run on any machine:")?;
        }
        for (name, reason) in &self.did_not_run {
            writeln!(f, "  {name}: {reason}")?;
        }
        let (passed, failed) = (self.sum(|row| row.passed), self.sum(|row| row.failed));
        write!(f, "\n{passed} passed, {failed} failed")?;
        match self.did_not_run.len() {
            0 => writeln!(f),
            skipped => writeln!(f, ", {skipped} skipped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Results {
        Results::parse(text)
    }

    #[test]
    fn the_closing_line_is_alone_and_sums_up() {
        let mut report = Report::default();
        report.add_check("tidy", true, Duration::from_secs(1));
        let text = "test a ... ok\ntest b ... ignored (no swap)\n";
        report.add_results("here", &results(text), true, Duration::from_secs(61));
        report.did_not_run.push(("b".into(), "no swap".into()));
        assert_eq!(
            report.to_string(),
            "\n      passed  failed  skipped  seconds\n\
             tidy       1       0        0        1\n\
             here       1       0        1       61\n\
             \ndid not run on any machine:\n\
             \x20 b: no swap\n\
             \n2 passed, 0 failed, 1 skipped\n"
        );
        assert!(report.is_success());
    }

    #[test]
    fn a_failure_that_the_output_does_not_explain_still_counts() {
        let mut report = Report::default();
        report.add_results("vm", &results("test a ... ok\n"), false, Duration::ZERO);
        assert!(!report.is_success());
        assert!(report.to_string().ends_with("\n1 passed, 1 failed\n"));
    }
}
