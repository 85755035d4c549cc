//! Masks of CPUs, `cpumap` and its like; the `%*pb` format of lib/vsprintf.c:
//! groups of eight hexadecimal digits, most significant first.

use std::fmt::Write as _;

use cgroupfs::cpu_list::CpuList;

/// Digits between commas.
const GROUP: usize = 8;

/// Appends the mask of `cpus` to `out`, in as many `digits` as the host's has.
pub fn cpu_mask(cpus: &CpuList, digits: usize, out: &mut String) {
    for digit in (0..digits).rev() {
        let first = u32::try_from(digit).unwrap_or(u32::MAX).saturating_mul(4);
        let bits = (0..4).filter(|bit| cpus.contains(first.saturating_add(*bit)));
        let bits = bits.fold(0_u32, |bits, bit| bits | 1 << bit);
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{bits:x}");
        if digit > 0 && digit % GROUP == 0 {
            out.push(',');
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u32, digits: usize, expected: &str) {
        let mut out = String::new();
        cpu_mask(&CpuList::first(count), digits, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn masks_are_as_wide_as_the_hosts() {
        check(4, 1, "f\n");
        check(1, 1, "1\n");
        check(6, 16, "00000000,0000003f\n");
        check(33, 9, "1,ffffffff\n");
    }
}
