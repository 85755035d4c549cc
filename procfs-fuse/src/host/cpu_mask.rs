//! Masks of CPUs: `"ffffffff,0000000f"`, most significant first; the `%*pb`
//! format of the kernel.

use cgroupfs::cpu_list::CpuList;

/// Bits in a hexadecimal digit.
const BITS: u32 = 4;

/// The CPUs of a mask; `None` when the text is none.
pub fn parse(text: &str) -> Option<CpuList> {
    let digits = text.trim_end().bytes().rev().filter(|byte| *byte != b',');
    let mut cpus = Vec::new();
    for (first, digit) in (0_u32..).step_by(4).zip(digits) {
        let bits = char::from(digit).to_digit(16)?;
        cpus.extend((0..BITS).filter(|bit| bits >> bit & 1 == 1).map(|bit| first + bit));
    }
    Some(cpus.into_iter().collect())
}

/// How many digits the mask has: enough for all CPUs that are possible.
pub fn digits(text: &str) -> usize {
    text.trim_end().bytes().filter(|byte| *byte != b',').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse(text).map(|cpus| cpus.to_string()).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn the_last_digit_is_the_first_four_cpus() {
        check("f\n", Some("0-3"));
        check("00000000,00000005\n", Some("0,2"));
        check("1,80000000\n", Some("31-32"));
        check("0\n", Some(""));
        check("x\n", None);
        assert_eq!(digits("00000000,00000005\n"), 16);
    }
}
