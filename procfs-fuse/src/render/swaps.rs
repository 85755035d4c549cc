//! `/proc/swaps`; format of `swap_show()` in mm/swapfile.c.

use std::fmt::Write as _;

use crate::view::swaps::SwapArea;

/// Appends the heading and one line for each area to `out`.
///
/// Writes the heading alone when there is none, as the kernel does on a host
/// without swap.
pub fn swaps<'a>(areas: impl IntoIterator<Item = &'a SwapArea>, out: &mut String) {
    out.push_str("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    for SwapArea { name, size, used, priority } in areas {
        let pad = 40_usize.saturating_sub(name.len()).max(1);
        let (size, used) = (size / 1024, used / 1024);
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            out,
            "{name}{:pad$}virtual\t\t{size}\t{}{used}\t{}{priority}",
            "",
            second_tab(size),
            second_tab(used)
        );
    }
}

/// The kernel adds a second tab while the number leaves room for it.
fn second_tab(kib: u64) -> &'static str {
    if kib < 10_000_000 { "\t" } else { "" }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Shows tabs as arrows: white space is part of the format.
    #[track_caller]
    fn check(areas: &[SwapArea], expected: &Expect) {
        let mut out = String::new();
        swaps(areas, &mut out);
        expected.assert_eq(&out.replace('\t', "→"));
    }

    #[test]
    fn limited_container() {
        let area = SwapArea { name: "none", size: 512 << 20, used: 3 << 20, priority: 0 };
        check(
            &[area],
            &expect![[r#"
                Filename→→→→Type→→Size→→Used→→Priority
                none                                    virtual→→524288→→3072→→0
            "#]],
        );
    }

    #[test]
    fn large_numbers_take_one_tab() {
        let area = SwapArea { name: "none", size: 16 << 30, used: 0, priority: 0 };
        check(
            &[area],
            &expect![[r#"
                Filename→→→→Type→→Size→→Used→→Priority
                none                                    virtual→→16777216→0→→0
            "#]],
        );
    }

    #[test]
    fn no_swap() {
        check(
            &[],
            &expect![[r#"
                Filename→→→→Type→→Size→→Used→→Priority
            "#]],
        );
    }
}
