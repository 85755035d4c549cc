//! `/proc/loadavg`; format of `loadavg_proc_show()` in fs/proc/loadavg.c.

use std::fmt::Write as _;

use crate::view::loadavg::LoadAverage;

/// A load of one in the kernel's fixed point.
const FIXED_1: u64 = 1 << 11;

/// Appends the line to `out`: averages with two decimals, rounded to the nearest.
pub fn loadavg(load: &LoadAverage, out: &mut String) {
    for average in load.averages {
        // The kernel adds half of a hundredth before it cuts (`get_avenrun()`).
        let average = average.saturating_add(FIXED_1 / 200);
        let hundredths = average % FIXED_1 * 100 / FIXED_1;
        // Writing to a String cannot fail.
        let _infallible = write!(out, "{}.{hundredths:02} ", average / FIXED_1);
    }
    let LoadAverage { running, total, last_pid, .. } = load;
    let _infallible = writeln!(out, "{running}/{total} {last_pid}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(averages: [u64; 3], expected: &str) {
        let mut out = String::new();
        loadavg(&LoadAverage { averages, running: 1, total: 90, last_pid: 10_514 }, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn averages_are_rounded_as_the_kernel_rounds_them() {
        check([0, 0, 0], "0.00 0.00 0.00 1/90 10514\n");
        check([2048, 1024, 20], "1.00 0.50 0.01 1/90 10514\n");
        check([2047, 10, 11], "1.00 0.00 0.01 1/90 10514\n");
        check([204_800, 2068, 4], "100.00 1.01 0.00 1/90 10514\n");
    }
}
