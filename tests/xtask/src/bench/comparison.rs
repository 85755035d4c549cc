//! Two revisions of `portholefs`, read in turns in one run.

use std::fmt;

use super::figures::{AGAINST, CASES, Case, Figures, OURS};

/// How much slower a median may be before it counts: rounds of one and the same program
/// differ by so much on a machine that others use.
const TOLERANCE: f64 = 1.10;

/// What each file takes, and took.
#[derive(Debug)]
pub struct Comparison {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    case: Case<'static>,
    file: String,
    now_us: f64,
    then_us: f64,
}

impl Comparison {
    /// Of what was measured with `--against`.
    pub fn of(figures: &Figures) -> Self {
        let files = figures.files();
        let pairs = CASES.iter().flat_map(|case| files.iter().map(move |file| (*case, *file)));
        let rows = pairs.filter_map(|(case, file)| {
            let now_us = figures.read(case, file, OURS)?.p50_us;
            let then_us = figures.read(case, file, AGAINST)?.p50_us;
            Some(Row { case, file: file.to_owned(), now_us, then_us })
        });
        Self { rows: rows.collect() }
    }

    /// True when a file is slower, and the whole is: one of so many rows is slower by chance.
    pub fn is_slower(&self) -> bool {
        let is_slower = |row: &&Row| row.ratio() > TOLERANCE;
        self.mean() > TOLERANCE || self.rows.iter().filter(is_slower).count() > self.rows.len() / 4
    }

    /// The geometric mean of all ratios.
    fn mean(&self) -> f64 {
        let logarithms: f64 = self.rows.iter().map(|row| row.ratio().ln()).sum();
        let count = u32::try_from(self.rows.len().max(1)).unwrap_or(u32::MAX);
        (logarithms / f64::from(count)).exp()
    }
}

impl Row {
    fn ratio(&self) -> f64 {
        self.now_us / self.then_us
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:30}{:>10}{:>10}{:>8}", "p50, us", "then", "now", "ratio")?;
        for row in &self.rows {
            let name = format!("{}, {}, {} readers", row.file, row.case.way, row.case.threads);
            let (then, now) = (row.then_us, row.now_us);
            writeln!(f, "{name:30}{then:>10.1}{now:>10.1}{:>8.2}", row.ratio())?;
        }
        write!(f, "all of them, on average: {:.2}", self.mean())
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::figures;
    use super::*;

    #[track_caller]
    fn check(factors: &[f64], is_slower: bool) {
        let mut figures = figures();
        let ours: Vec<_> =
            figures.reads.iter().filter(|read| read.rival == OURS).cloned().collect();
        for (read, factor) in ours.into_iter().zip(factors.iter().cycle()) {
            let p50_us = read.p50_us / factor;
            let rival = AGAINST.to_owned();
            figures.reads.push(super::super::figures::Read { rival, p50_us, ..read });
        }
        let comparison = Comparison::of(&figures);
        assert_eq!(comparison.is_slower(), is_slower, "{comparison}");
    }

    #[test]
    fn slower_is_what_is_slower_on_the_whole_or_often() {
        check(&[1.0], false);
        check(&[1.05], false);
        check(&[1.2], true);
        check(&[1.3, 0.8], true);
        check(&[0.5], false);
    }
}
