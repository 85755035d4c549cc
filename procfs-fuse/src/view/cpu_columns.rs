//! Which columns of `/proc/interrupts` and `/proc/softirqs` a container sees:
//! those of its physical CPUs, named CPU0..CPU(N-1).
//!
//! The counts stay the host's: interrupts are taken by CPUs, not by containers.

use super::cpu::Visible;
use crate::host::cpu_columns;

/// One line of the container's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Names of the CPUs.
    Heading {
        /// The spaces above the labels.
        indent: &'a str,
        /// How many CPUs there are to name.
        count: usize,
    },
    /// Counts of one thing.
    Row {
        /// Up to and including the colon.
        label: &'a str,
        /// One for each visible CPU.
        counts: Vec<&'a str>,
        /// What follows, its spaces included.
        tail: &'a str,
    },
    /// The host's line, as it is.
    AsIs(&'a str),
}

/// The lines of a container's file.
pub fn lines<'a>(host_text: &'a str, visible: &Visible) -> Vec<Line<'a>> {
    let mut columns: Vec<bool> = Vec::new();
    let shown = |line| match line {
        cpu_columns::Line::Heading { indent, cpus } => {
            columns = cpus.iter().map(|id| visible.physical.contains(*id)).collect();
            Line::Heading { indent, count: columns.iter().filter(|shown| **shown).count() }
        }
        cpu_columns::Line::Row { label, counts, tail } => {
            let columns = counts.into_iter().zip(&columns);
            let counts = columns.filter(|(_, shown)| **shown).map(|(count, _)| count).collect();
            Line::Row { label, counts, tail }
        }
        cpu_columns::Line::Other(text) => Line::AsIs(text),
    };
    cpu_columns::lines(host_text).map(shown).collect()
}
