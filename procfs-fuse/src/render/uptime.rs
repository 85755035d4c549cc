//! `/proc/uptime`; format of `uptime_proc_show()` in fs/proc/uptime.c.

use std::fmt::Write as _;

use crate::view::uptime::Uptime;

/// Appends both times to `out`, in seconds with two decimals, rounded down.
pub fn uptime(uptime: &Uptime, out: &mut String) {
    let seconds = |ns: u64| (ns / 1_000_000_000, ns % 1_000_000_000 / 10_000_000);
    let ((up, up_hundredths), (idle, idle_hundredths)) =
        (seconds(uptime.up_ns), seconds(uptime.idle_ns));
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "{up}.{up_hundredths:02} {idle}.{idle_hundredths:02}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(up_ns: u64, idle_ns: u64, expected: &str) {
        let mut out = String::new();
        uptime(&Uptime { up_ns, idle_ns }, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn seconds_with_two_decimals() {
        check(0, 0, "0.00 0.00\n");
        check(1_173_559_999_999, 2_015_030_000_000, "1173.55 2015.03\n");
    }
}
