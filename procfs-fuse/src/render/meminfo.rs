//! `/proc/meminfo`; format of `show_val_kb()` in fs/proc/meminfo.c.

use itoa::Buffer;

use crate::view::meminfo::Line;
use crate::view::nodes;

/// Columns of a label, with its colon.
const LABEL: usize = 16;

/// Columns of a number, at least.
const NUMBER: usize = 8;

/// Appends the lines to `out`: a label of 16 columns, then KiB in at least 8.
pub fn meminfo<'a>(lines: impl IntoIterator<Item = Line<'a>>, out: &mut String) {
    lines.into_iter().for_each(|line| write_line(line, out));
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
    /// A colon, and the most spaces that may be between a label and a number.
    const COLON: &str = ":                       ";
    let (name, bytes) = match line {
        Line::AsIs(text) => return out.extend([text, "\n"]),
        Line::Size { name, bytes } => (name, bytes),
    };
    let mut digits = Buffer::new();
    let digits = digits.format(bytes / 1024);
    let before_number = LABEL.saturating_sub(name.len() + 1) + NUMBER.saturating_sub(digits.len());
    out.push_str(name);
    out.push_str(COLON.get(..=before_number).unwrap_or(COLON));
    out.push_str(digits);
    out.push_str(" kB\n");
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(lines: &[Line<'_>], expected: &Expect) {
        let mut out = String::new();
        meminfo(lines.iter().copied(), &mut out);
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
