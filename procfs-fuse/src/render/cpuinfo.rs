//! `/proc/cpuinfo`: the host's blocks with the numbers of a view in them; format
//! of `show_cpuinfo()` in arch/x86/kernel/cpu/proc.c and `c_show()` in
//! arch/arm64/kernel/cpuinfo.c.

use super::decimal;
use crate::view::cpuinfo::{Part, value_of};

/// Appends the parts to `out`. A line keeps its key and tabs; only the value of
/// those that count CPUs is new.
pub fn cpuinfo<'a>(parts: impl IntoIterator<Item = Part<'a>>, out: &mut String) {
    for part in parts {
        match part {
            Part::AsIs(text) => out.push_str(text),
            Part::Cpu { text, number, siblings, cores } => {
                let counts = [
                    ("processor", u64::from(number)),
                    ("siblings", siblings as u64),
                    ("cpu cores", cores as u64),
                ];
                for line in text.split_inclusive('\n') {
                    match counts.iter().find(|(key, _)| value_of(line, key).is_some()) {
                        Some((_key, count)) => with_value(line, *count, out),
                        None => out.push_str(line),
                    }
                }
            }
        }
    }
}

/// Appends `line` with another value.
fn with_value(line: &str, value: u64, out: &mut String) {
    let (key, _value) = line.split_once(':').unwrap_or_default();
    out.extend([key, ": "]);
    decimal::plain(value, out);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[track_caller]
    fn check(host: &str, expected: &Expect) {
        let mut out = String::new();
        cpuinfo([Part::Cpu { text: host, number: 1, siblings: 2, cores: 4 }], &mut out);
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
