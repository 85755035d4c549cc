//! Which lines of `/proc/schedstat` a container sees: those of its physical CPUs,
//! numbered 0..N-1, without the scheduling domains, which are masks of physical
//! CPUs.
//!
//! Kernel source of truth: `show_schedstat()` in kernel/sched/stats.c.

use super::cpu::Visible;

/// One line of the container's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The counters of a CPU.
    Cpu {
        /// The number the container knows it by.
        number: u32,
        /// What follows its name: a space and the numbers.
        counters: &'a str,
    },
    /// The host's line, as it is.
    AsIs(&'a str),
}

/// The lines of a container's file.
pub fn lines<'a>(host_text: &'a str, visible: &Visible) -> Vec<Line<'a>> {
    let mut numbers = 0_u32..;
    let shown = |line: &'a str| match cpu_and_counters(line) {
        Some((id, _)) if !visible.physical.contains(id) => None,
        Some((_, counters)) => Some(Line::Cpu { number: numbers.next()?, counters }),
        None if line.starts_with("domain") => None,
        None => Some(Line::AsIs(line)),
    };
    host_text.lines().filter_map(shown).collect()
}

fn cpu_and_counters(line: &str) -> Option<(u32, &str)> {
    let (name, counters) = line.split_at_checked(line.find(' ')?)?;
    Some((name.strip_prefix("cpu")?.parse().ok()?, counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_cpus_are_numbered_anew_without_their_domains() {
        let host = "version 15\ntimestamp 4\ncpu0 1 2\ndomain0 f 0\ncpu1 3 4\ndomain0 f 0\n";
        let visible = Visible { physical: [1].into_iter().collect() };
        let expected = [
            Line::AsIs("version 15"),
            Line::AsIs("timestamp 4"),
            Line::Cpu { number: 0, counters: " 3 4" },
        ];
        assert_eq!(lines(host, &visible), expected);
    }
}
