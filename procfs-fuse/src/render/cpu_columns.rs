//! `/proc/interrupts` and `/proc/softirqs`; format of `show_interrupts()` in
//! kernel/irq/proc.c and `show_softirqs()` in fs/proc/softirqs.c.

use std::fmt::Write as _;

use crate::view::cpu_columns::Line;

/// Appends the lines to `out`: names of CPUs in 11 columns, counts in 10 behind
/// a space.
pub fn cpu_columns(lines: &[Line<'_>], out: &mut String) {
    for line in lines {
        match line {
            Line::Heading { indent, count } => {
                out.push_str(indent);
                for number in 0..*count {
                    // Writing to a String cannot fail.
                    let _infallible = write!(out, "CPU{number:<8}");
                }
            }
            Line::Row { label, counts, tail } => {
                out.push_str(label);
                for count in counts {
                    let _infallible = write!(out, " {count:>10}");
                }
                out.push_str(tail);
            }
            Line::AsIs(text) => out.push_str(text),
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::cpu::Visible;
    use crate::view::cpu_columns::lines;

    const HOST: &str = concat!(
        "           CPU0       CPU1       CPU2       CPU3       \n",
        "  0:        159          7         22          0   IO-APIC   2-edge      timer\n",
        "LOC:      10000 4294967295      30000      40000   Local timer interrupts\n",
        "ERR:          0\n",
    );

    #[track_caller]
    fn check(physical: &str, expected: &str) {
        let visible = Visible { physical: cgroupfs::cpu_list::parse(physical).unwrap() };
        let mut out = String::new();
        cpu_columns(&lines(HOST, &visible), &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn all_cpus_are_the_hosts_text() {
        check("0-3", HOST);
    }

    #[test]
    fn columns_of_other_cpus_are_left_out_and_the_rest_is_named_anew() {
        check(
            "1-2",
            concat!(
                "           CPU0       CPU1       \n",
                "  0:          7         22   IO-APIC   2-edge      timer\n",
                "LOC: 4294967295      30000   Local timer interrupts\n",
                "ERR:          0\n",
            ),
        );
    }
}
