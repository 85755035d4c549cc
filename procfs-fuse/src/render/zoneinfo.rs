//! `/proc/zoneinfo`; format of `zoneinfo_show_print()` in mm/vmstat.c.

use std::fmt::Write as _;

use crate::view::zoneinfo::Line;

/// Appends the lines to `out`.
pub fn zoneinfo(lines: &[Line<'_>], out: &mut String) {
    for line in lines {
        // Writing to a String cannot fail.
        let _infallible = match line {
            Line::Count { label, count } => writeln!(out, "{label}{count}"),
            Line::AsIs(text) => writeln!(out, "{text}"),
            Line::Protection { label, pages } => {
                out.push_str(label);
                for (index, pages) in pages.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    let _infallible = write!(out, "{separator}{pages}");
                }
                writeln!(out, ")")
            }
        };
    }
}
