//! Lists of CPUs under `/sys/devices/system/cpu`; format of
//! `show_cpus_attr()` in drivers/base/cpu.c: `%*pbl` and a line feed.

use std::fmt::Write as _;

use cgroupfs::cpu_list::CpuList;

/// Appends the list to `out`.
pub fn cpu_list(list: &CpuList, out: &mut String) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "{list}");
}

/// The same as single ids with spaces between them; format of
/// `cpufreq_show_cpus()` in drivers/cpufreq/cpufreq.c.
pub fn cpu_words(list: &CpuList, out: &mut String) {
    let words: Vec<_> = list.iter().map(|id| id.to_string()).collect();
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "{}", words.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_a_line_feed() {
        let mut out = String::new();
        cpu_list(&CpuList::first(1), &mut out);
        cpu_list(&CpuList::first(2), &mut out);
        cpu_list(&CpuList::default(), &mut out);
        assert_eq!(out, "0\n0-1\n\n");
    }

    #[test]
    fn words_and_a_line_feed() {
        let mut out = String::new();
        cpu_words(&CpuList::first(3), &mut out);
        assert_eq!(out, "0 1 2\n");
    }
}
