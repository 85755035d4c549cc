//! Tables with a column for each CPU: `/proc/interrupts` and `/proc/softirqs`.
//!
//! The heading names the CPUs; a row is a label, a count for each of them, and
//! what the count is about. Some rows (`ERR`, `MIS`) are one number for the
//! machine.
//!
//! Kernel source of truth: `show_interrupts()` in kernel/irq/proc.c,
//! `arch_show_interrupts()`, `show_softirqs()` in fs/proc/softirqs.c.

/// One line of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Names of the CPUs.
    Heading {
        /// The spaces above the labels.
        indent: &'a str,
        /// The CPU of each column.
        cpus: Vec<u32>,
    },
    /// Counts of one thing.
    Row {
        /// Up to and including the colon.
        label: &'a str,
        /// One for each column.
        counts: Vec<&'a str>,
        /// What follows, its spaces included.
        tail: &'a str,
    },
    /// A line without a column for each CPU.
    Other(&'a str),
}

/// The lines of the file, in order.
pub fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut columns = 0;
    text.lines().map(move |line| {
        let parsed = if columns == 0 { heading(line) } else { row(line, columns) };
        if let Some(Line::Heading { cpus, .. }) = &parsed {
            columns = cpus.len();
        }
        parsed.unwrap_or(Line::Other(line))
    })
}

fn heading(line: &str) -> Option<Line<'_>> {
    let names = line.trim_start();
    let indent = line.strip_suffix(names)?;
    let ids = names.split_ascii_whitespace().map(|name| name.strip_prefix("CPU")?.parse().ok());
    let cpus: Vec<u32> = ids.collect::<Option<_>>()?;
    (!cpus.is_empty()).then_some(Line::Heading { indent, cpus })
}

fn row(line: &str, columns: usize) -> Option<Line<'_>> {
    let (label, mut tail) = line.split_at_checked(line.find(':')? + 1)?;
    let mut counts = Vec::with_capacity(columns);
    for _column in 0..columns {
        let trimmed = tail.trim_start();
        let end = trimmed.find(' ').unwrap_or(trimmed.len());
        let (count, rest) = trimmed.split_at_checked(end)?;
        if count.is_empty() || !count.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        counts.push(count);
        tail = rest;
    }
    Some(Line::Row { label, counts, tail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_rows_and_the_rest() {
        let text = "       CPU0       CPU2       \n 24:   1   20  IO-APIC   5-edge\nERR:   0\n";
        let expected = [
            Line::Heading { indent: "       ", cpus: vec![0, 2] },
            Line::Row { label: " 24:", counts: vec!["1", "20"], tail: "  IO-APIC   5-edge" },
            Line::Other("ERR:   0"),
        ];
        assert_eq!(lines(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_has_no_heading_is_passed_on() {
        for text in ["", "no heading\n1: 2\n", "CPU0 CPUx\n1: 2\n", ":\n\n"] {
            let others = text.lines().map(Line::Other).collect::<Vec<_>>();
            assert_eq!(lines(text).collect::<Vec<_>>(), others, "input: {text:?}");
        }
    }
}
