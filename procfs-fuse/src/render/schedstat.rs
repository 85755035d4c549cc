//! `/proc/schedstat`; format of `show_schedstat()` in kernel/sched/stats.c.

use std::fmt::Write as _;

use crate::view::schedstat::Line;

/// Appends the lines to `out`.
pub fn schedstat(lines: &[Line<'_>], out: &mut String) {
    for line in lines {
        // Writing to a String cannot fail.
        let _infallible = match line {
            Line::Cpu { number, counters } => writeln!(out, "cpu{number}{counters}"),
            Line::AsIs(text) => writeln!(out, "{text}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_look_like_the_kernels() {
        let mut out = String::new();
        let lines = [Line::AsIs("version 15"), Line::Cpu { number: 0, counters: " 3 4" }];
        schedstat(&lines, &mut out);
        assert_eq!(out, "version 15\ncpu0 3 4\n");
    }
}
