//! `/proc/vmstat`; format of `vmstat_show()` in mm/vmstat.c.

use std::fmt::Write as _;

use crate::view::vmstat::Line;

/// Appends the lines to `out`: a name, a space and a number.
pub fn vmstat(lines: &[Line<'_>], out: &mut String) {
    for line in lines {
        // Writing to a String cannot fail.
        let _infallible = match line {
            Line::Count { name, count } => writeln!(out, "{name} {count}"),
            Line::AsIs(text) => writeln!(out, "{text}"),
        };
    }
}
