//! `/proc/meminfo`; format of `show_val_kb()` in fs/proc/meminfo.c.

use super::decimal;
use crate::view::meminfo::Line;
use crate::view::nodes;

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
    const LABEL: &str = ":               ";
    match line {
        Line::AsIs(text) => out.push_str(text),
        Line::Size { name, bytes } => {
            out.push_str(name);
            out.push_str(LABEL.get(..LABEL.len().saturating_sub(name.len()).max(1)).unwrap_or(":"));
            decimal::right(bytes / 1024, 8, out);
            out.push_str(" kB");
        }
    }
    out.push('\n');
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
