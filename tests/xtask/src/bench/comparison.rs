//! Two revisions of `portholefs`, read in turns in one run.
//!
//! Both are read in each round, one directly after the other, and the ratio of a round is
//! that of its two medians: what disturbs the machine for longer than a round disturbs both.
//! How much the rounds differ says how well the ratio is known.

use std::fmt;

use super::figures::{AGAINST, CASES, Case, Figures, OURS};

/// How much slower counts, once it is certain: less is not worth a failure.
const TOLERANCE: f64 = 1.05;

/// The noise is so many standard errors, from two rounds on: outside of it is one ratio in
/// twenty where nothing differs. The fewer rounds there are, the less the standard error
/// itself is known (Student's distribution).
const STANDARD_ERRORS: [f64; 11] = [12.7, 4.3, 3.2, 2.8, 2.6, 2.5, 2.4, 2.3, 2.3, 2.2, 2.2];

/// With more rounds than that.
const OF_MANY_ROUNDS: f64 = 2.1;

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
    ratio: Ratio,
}

/// Now / then, as its logarithm, and how well that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    mean: f64,
    /// What the mean may be off by; infinite where a single round tells nothing of it.
    noise: f64,
}

impl Comparison {
    /// Of what was measured with `--against`.
    pub fn of(figures: &Figures) -> Self {
        let files = figures.files();
        let pairs = CASES.iter().flat_map(|case| files.iter().map(move |file| (*case, *file)));
        let rows = pairs.filter_map(|(case, file)| {
            let (now, then) = (figures.read(case, file, OURS)?, figures.read(case, file, AGAINST)?);
            let rounds = now.p50_us_of_rounds.iter().zip(&then.p50_us_of_rounds);
            let ratio = Ratio::of(&rounds.map(|(now, then)| now / then).collect::<Vec<_>>());
            let (now_us, then_us) = (now.p50_us, then.p50_us);
            Some(Row { case, file: file.to_owned(), now_us, then_us, ratio })
        });
        Self { rows: rows.collect() }
    }

    /// True when the whole is slower, or more than a quarter of the rows: one of so many is
    /// by chance.
    pub fn is_slower(&self) -> bool {
        let slower = self.rows.iter().filter(|row| row.ratio.is_slower()).count();
        self.whole().is_slower() || slower > self.rows.len() / 4
    }

    /// The geometric mean of all ratios.
    fn whole(&self) -> Ratio {
        let count = count(self.rows.len().max(1));
        let squares = self.rows.iter().map(|row| row.ratio.noise.powi(2));
        Ratio {
            mean: self.rows.iter().map(|row| row.ratio.mean).sum::<f64>() / count,
            noise: squares.sum::<f64>().sqrt() / count,
        }
    }
}

impl Ratio {
    /// Of what each round found.
    fn of(rounds: &[f64]) -> Self {
        let number = count(rounds.len());
        let mean = rounds.iter().map(|ratio| ratio.ln()).sum::<f64>() / number;
        let squares = rounds.iter().map(|ratio| (ratio.ln() - mean).powi(2)).sum::<f64>();
        let Some(before_two) = rounds.len().checked_sub(2) else {
            return Self { mean, noise: f64::INFINITY };
        };
        let errors = STANDARD_ERRORS.get(before_two).copied().unwrap_or(OF_MANY_ROUNDS);
        Self { mean, noise: errors * (squares / (number - 1.0) / number).sqrt() }
    }

    /// True when even the least that it may be is too much.
    fn is_slower(self) -> bool {
        (self.mean - self.noise).exp() > TOLERANCE
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// `0.98 ±0.03`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ±{:.2}", self.mean.exp(), self.noise)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:34}{:>8}{:>8}  ratio and noise", "p50, us", "then", "now")?;
        for row in &self.rows {
            let name = format!("{}, {}, {} readers", row.file, row.case.way, row.case.threads);
            let (then, now, ratio) = (row.then_us, row.now_us, row.ratio);
            let verdict = if ratio.is_slower() { "  slower" } else { "" };
            writeln!(f, "{name:34}{then:>8.1}{now:>8.1}  {ratio}{verdict}")?;
        }
        write!(f, "all of them, on average: {}", self.whole())
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Read;
    use super::super::page::tests::figures;
    use super::*;

    /// Figures of two revisions; now takes so many times as long in each round, and every
    /// file has the next of `rounds`.
    fn comparison(rounds: &[&[f64]]) -> Comparison {
        let mut figures = figures();
        let reads = figures.reads.extract_if(.., |read| read.rival == OURS).collect::<Vec<_>>();
        for (read, rounds) in reads.into_iter().zip(rounds.iter().cycle()) {
            let then = vec![read.p50_us; rounds.len()];
            let now = rounds.iter().map(|factor| read.p50_us * factor).collect();
            let (rival, p50_us_of_rounds) = (AGAINST.to_owned(), then);
            figures.reads.push(Read { rival, p50_us_of_rounds, ..read.clone() });
            figures.reads.push(Read { p50_us_of_rounds: now, ..read });
        }
        Comparison::of(&figures)
    }

    #[track_caller]
    fn check(rounds: &[&[f64]], is_slower: bool) {
        let comparison = comparison(rounds);
        assert_eq!(comparison.is_slower(), is_slower, "{comparison}");
    }

    #[test]
    fn slower_is_what_is_so_by_more_than_the_noise() {
        check(&[&[1.0, 1.0, 1.0]], false);
        check(&[&[1.04, 1.04, 1.04]], false);
        check(&[&[1.08, 1.09, 1.08]], true);
        check(&[&[0.5, 0.5, 0.5]], false);
    }

    #[test]
    fn what_is_slower_in_some_rounds_alone_is_noise() {
        check(&[&[0.7, 1.6, 0.9, 1.4]], false);
        // Nothing is known of a single round's noise.
        check(&[&[1.5]], false);
    }

    #[test]
    fn one_file_in_three_is_enough_and_one_in_five_is_not() {
        check(&[&[1.3, 1.3], &[0.8, 0.8], &[0.9, 0.9]], true);
        check(&[&[1.2, 1.2], &[0.9, 0.9], &[0.9, 0.9], &[0.9, 0.9], &[0.9, 0.9]], false);
    }

    #[test]
    fn the_noise_is_told_with_each_ratio() {
        let text = comparison(&[&[1.0, 1.1, 1.2]]).to_string();
        let row = "proc/stat, open, 1 readers            45.0    45.0  1.10 ±0.23";
        assert!(text.contains(&format!("\n{row}\n")), "{text}");
        assert!(text.ends_with("\nall of them, on average: 1.10 ±0.05"), "{text}");
        let slower = comparison(&[&[1.3, 1.3]]).to_string();
        assert!(slower.contains("1.30 ±0.00  slower\n"), "{slower}");
    }
}
