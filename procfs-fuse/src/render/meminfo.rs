//! `/proc/meminfo`; format of `show_val_kb()` in fs/proc/meminfo.c.

use std::fmt::Write as _;

use crate::view::meminfo::Line;
use crate::view::nodes;

/// Appends the lines to `out`: a label of 16 columns, then KiB in at least 8.
pub fn meminfo(lines: &[Line<'_>], out: &mut String) {
    lines.iter().for_each(|line| write_line(*line, out));
}

/// Appends a memory node's lines to `out`, each behind its node; format of
/// `node_read_meminfo()` in drivers/base/node.c.
pub fn node_meminfo(lines: &[nodes::Line<'_>], out: &mut String) {
    for line in lines {
        out.push_str(line.node);
        write_line(line.line, out);
    }
}

fn write_line(line: Line<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _infallible = match line {
        Line::AsIs(text) => writeln!(out, "{text}"),
        Line::Size { name, bytes } => {
            let pad = 15_usize.saturating_sub(name.len());
            writeln!(out, "{name}:{:pad$}{:8} kB", "", bytes / 1024)
        }
    };
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(lines: &[Line<'_>], expected: &Expect) {
        let mut out = String::new();
        meminfo(lines, &mut out);
        expected.assert_eq(&out);
    }

    #[test]
    fn labels_and_numbers_stand_where_the_kernel_puts_them() {
        check(
            &[
                Line::Size { name: "MemTotal", bytes: 512 << 20 },
                Line::Size { name: "Inactive(file)", bytes: 0 },
                Line::Size { name: "ShmemPmdMapped", bytes: 123_456_789 << 10 },
                Line::Size { name: "Dirty", bytes: 1023 },
                Line::AsIs("HugePages_Total:       0"),
            ],
            &expect![[r#"
                MemTotal:         524288 kB
                Inactive(file):        0 kB
                ShmemPmdMapped: 123456789 kB
                Dirty:                 0 kB
                HugePages_Total:       0
            "#]],
        );
    }
}
