//! `/proc/cpuinfo`: the host's blocks with the numbers of a view in them; format
//! of `show_cpuinfo()` in arch/x86/kernel/cpu/proc.c and `c_show()` in
//! arch/arm64/kernel/cpuinfo.c.

use itoa::Buffer;

use crate::view::cpuinfo::{Count, Part};

/// Appends the parts to `out`. A line keeps its key and tabs; only the value of
/// those that count CPUs is new.
pub fn cpuinfo<'a>(parts: impl IntoIterator<Item = Part<'a>>, out: &mut String) {
    for part in parts {
        match part {
            Part::AsIs(text) => out.push_str(text),
            Part::Cpu { text, block, number, siblings, cores } => {
                let mut begin = block.span.start;
                for (count, place) in &block.counts {
                    out.push_str(text.get(begin..place.start).unwrap_or_default());
                    let value = match count {
                        Count::Processor => u64::from(number),
                        Count::Siblings => siblings as u64,
                        Count::Cores => cores as u64,
                    };
                    out.push_str(Buffer::new().format(value));
                    begin = place.end;
                }
                out.push_str(text.get(begin..block.span.end).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::host::cpuinfo::blocks;

    #[track_caller]
    fn check(text: &str, expected: &Expect) {
        let mut out = String::new();
        let block = &blocks(text).next().unwrap();
        cpuinfo([Part::Cpu { text, block, number: 1, siblings: 2, cores: 4 }], &mut out);
        expected.assert_eq(&out.replace('\t', "→"));
    }

    #[test]
    fn x86() {
        check(
            "processor\t: 12\nmodel name\t: A: B\nphysical id\t: 3\nsiblings\t: 64\ncore id\t\t: 9\n\
             cpu cores\t: 32\napicid\t\t: 99\npower management:\n\n",
            &expect![[r#"
                processor→: 1
                model name→: A: B
                physical id→: 3
                siblings→: 2
                core id→→: 9
                cpu cores→: 4
                apicid→→: 99
                power management:

            "#]],
        );
    }

    #[test]
    fn arm64() {
        check(
            "processor\t: 7\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n\n",
            &expect![[r#"
                processor→: 1
                BogoMIPS→: 50.00
                Features→: fp asimd
                CPU implementer→: 0x41

            "#]],
        );
    }
}
