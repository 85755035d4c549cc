//! CPU time: `cpu.stat` (v2) and `cpuacct.*` (v1).
//!
//! The sum is exact in both versions. v1's split into user and system is sampled
//! at timer ticks and does not add up to the sum (10 to 20 % off while CPUs are
//! contended), so only its *ratio* is used, applied to the exact sum.
//!
//! Kernel source of truth: `cgroup_base_stat_cputime_show()` in
//! kernel/cgroup/rstat.c, `cpuacct_stats_show()` in kernel/sched/cpuacct.c.

use crate::format::FormatError;

/// CPU time that a container has used since its group was made.
///
/// The sum is exact (v2 `usage_usec`, v1 `cpuacct.usage`); the split is as good
/// as the kernel's. The sum never steps back while the group lives; on v1 one
/// part of it may, when the ratio shifts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuUsage {
    /// Time in user mode, in nanoseconds.
    pub user_ns: u64,
    /// Time in the kernel, in nanoseconds.
    pub system_ns: u64,
}

impl CpuUsage {
    /// Time in both modes, in nanoseconds.
    pub fn total_ns(self) -> u64 {
        self.user_ns.saturating_add(self.system_ns)
    }

    /// The exact sum `total_ns`, divided as `user` is to `system` (in any unit).
    ///
    /// Without a tick in either mode it is all user time: that is where a task
    /// that is too short for the ticks spends most of it.
    pub fn split(total_ns: u64, user: u64, system: u64) -> Self {
        let ticks = u128::from(user) + u128::from(system);
        let system_ns = (u128::from(total_ns) * u128::from(system)).checked_div(ticks).unwrap_or(0);
        // A part of a u64 is a u64.
        let system_ns = u64::try_from(system_ns).unwrap_or(total_ns);
        Self { user_ns: total_ns.saturating_sub(system_ns), system_ns }
    }
}

/// Parses v2's `cpu.stat`, of which three lines are in every group.
///
/// # Errors
///
/// [`FormatError`] when `usage_usec`, `user_usec` or `system_usec` is missing or
/// not a number.
pub fn parse_cpu_stat(text: &str) -> Result<CpuUsage, FormatError> {
    let usec = |wanted: &'static str| {
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(key, _)| *key == wanted)
            .and_then(|(_, value)| value.parse::<u64>().ok())
            .ok_or_else(|| FormatError::new("lines of usage_usec, user_usec and system_usec", text))
    };
    let total_ns = usec("usage_usec")?.saturating_mul(1000);
    Ok(CpuUsage::split(total_ns, usec("user_usec")?, usec("system_usec")?))
}

/// Parses v1's `cpuacct.usage` and its like: a number of nanoseconds.
///
/// # Errors
///
/// [`FormatError`] when the text is not a number.
pub fn parse_nanoseconds(text: &str) -> Result<u64, FormatError> {
    let malformed = |_not_a_number| FormatError::new("a number of nanoseconds", text);
    text.trim_end().parse().map_err(malformed)
}

/// Parses v1's `cpuacct.stat`: ticks in user mode and in the kernel.
///
/// # Errors
///
/// [`FormatError`] when it is not the two lines `user <ticks>` and `system <ticks>`.
pub fn parse_cpuacct_stat(text: &str) -> Result<(u64, u64), FormatError> {
    let malformed = || FormatError::new("\"user <ticks>\" and \"system <ticks>\"", text);
    let mut words = text.split_ascii_whitespace();
    let mut ticks = |name: &str| match (words.next(), words.next()) {
        (Some(key), Some(value)) if key == name => value.parse::<u64>().ok(),
        _ => None,
    };
    let user = ticks("user").ok_or_else(malformed)?;
    let system = ticks("system").ok_or_else(malformed)?;
    Ok((user, system))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(user_ns: u64, system_ns: u64) -> CpuUsage {
        CpuUsage { user_ns, system_ns }
    }

    #[test]
    fn v2_is_in_microseconds() {
        let text = "usage_usec 3000\nuser_usec 2000\nsystem_usec 1000\nnice_usec 0\n\
                    core_sched.force_idle_usec 0\nnr_periods 0\nnr_throttled 0\n";
        assert_eq!(parse_cpu_stat(text), Ok(usage(2_000_000, 1_000_000)));
        for text in
            ["", "usage_usec 1\nuser_usec 1\n", "usage_usec x\nuser_usec 1\nsystem_usec 1\n"]
        {
            assert!(parse_cpu_stat(text).is_err(), "input: {text:?}");
        }
    }

    #[test]
    fn a_split_adds_up_to_the_exact_sum() {
        for (total, user, system, expected) in [
            (100, 60, 20, usage(75, 25)),
            (100, 0, 0, usage(100, 0)),
            (100, 0, 7, usage(0, 100)),
            (0, 5, 5, usage(0, 0)),
            (u64::MAX, u64::MAX, u64::MAX, usage(1 << 63, (1 << 63) - 1)),
        ] {
            let split = CpuUsage::split(total, user, system);
            assert_eq!(split, expected, "{total} by {user}:{system}");
            assert_eq!(split.total_ns(), total);
        }
    }

    #[test]
    fn v1_files() {
        assert_eq!(parse_nanoseconds("123\n"), Ok(123));
        assert!(parse_nanoseconds("1.5\n").is_err());
        assert_eq!(parse_cpuacct_stat("user 12\nsystem 3\n"), Ok((12, 3)));
        assert!(parse_cpuacct_stat("system 3\nuser 12\n").is_err());
        assert!(parse_cpuacct_stat("user 12\n").is_err());
    }
}
