//! CPU bandwidth: `cpu.max` (v2) and `cpu.cfs_{quota,period}_us` (v1).
//!
//! Both hierarchies say the same thing: the group may run for *quota* in every
//! *period*. Here it becomes one type, [`Bandwidth`], and everything after this
//! module is unaware of the cgroup version.
//!
//! What this module does not do: decide how many CPUs a container sees. That is
//! policy and lives in `procfs-fuse/src/view/cpu.rs`.
//!
//! Kernel source of truth: `Documentation/admin-guide/cgroup-v2.rst`, "CPU
//! Interface Files".

use std::num::NonZeroU64;

use crate::format::FormatError;

/// How long a group that is limited may run in each period, over all CPUs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// CPU time per period, in microseconds.
    pub quota_us: u64,
    /// Length of a period, in microseconds; the kernel's default is 100,000.
    pub period_us: NonZeroU64,
}

/// Parses the text of `cpu.max`: `"<quota|max> <period>\n"`; `None` when not limited.
///
/// # Errors
///
/// [`FormatError`] when a word is missing, extra, not a number, or the period
/// is zero.
pub fn parse_cpu_max(text: &str) -> Result<Option<Bandwidth>, FormatError> {
    let malformed = || FormatError::new("\"<quota|max> <period>\"", text);
    let mut words = text.split_ascii_whitespace();
    let (Some(quota), Some(period), None) = (words.next(), words.next(), words.next()) else {
        return Err(malformed());
    };
    let quota_us = match quota {
        "max" => None,
        number => Some(number.parse().map_err(|_not_a_number| malformed())?),
    };
    let period_us = period.parse().map_err(|_not_a_number| malformed())?;
    Ok(quota_us.map(|quota_us| Bandwidth { quota_us, period_us }))
}

/// Parses v1's `cpu.cfs_quota_us`, which is -1 when not limited: `None`.
///
/// # Errors
///
/// [`FormatError`] when the text is not a number, or one below -1.
pub fn parse_cfs_quota(text: &str) -> Result<Option<u64>, FormatError> {
    let malformed = |_not_a_number| FormatError::new("a number of microseconds or -1", text);
    match text.trim_end() {
        "-1" => Ok(None),
        number => number.parse().map(Some).map_err(malformed),
    }
}

/// Parses v1's `cpu.cfs_period_us`.
///
/// # Errors
///
/// [`FormatError`] when the text is not a number above zero.
pub fn parse_cfs_period(text: &str) -> Result<NonZeroU64, FormatError> {
    let malformed = |_not_a_number| FormatError::new("a number of microseconds above zero", text);
    text.trim_end().parse().map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(u64, u64)>) {
        let expected = expected.map(|(quota_us, period_us)| Bandwidth {
            quota_us,
            period_us: NonZeroU64::new(period_us).unwrap(),
        });
        assert_eq!(parse_cpu_max(text), Ok(expected), "input: {text:?}");
    }

    #[test]
    fn cpu_max_accepts_what_the_kernel_writes() {
        check("max 100000\n", None);
        check("50000 100000\n", Some((50_000, 100_000)));
        check("200000 100000\n", Some((200_000, 100_000))); // two CPUs
    }

    #[test]
    fn cpu_max_refuses_the_rest() {
        for text in ["", "\n", "max", "max 0", "-1 100000", "1 2 3", "1.5 100000", "max max"] {
            assert_eq!(parse_cpu_max(text).unwrap_err().found, text.trim_end(), "input: {text:?}");
        }
    }

    #[test]
    fn cfs_quota_of_minus_one_is_no_limit() {
        assert_eq!(parse_cfs_quota("-1\n"), Ok(None));
        assert_eq!(parse_cfs_quota("150000\n"), Ok(Some(150_000)));
        assert!(parse_cfs_quota("-2\n").is_err());
        assert_eq!(parse_cfs_period("100000\n"), Ok(NonZeroU64::new(100_000).unwrap()));
        assert!(parse_cfs_period("0\n").is_err());
    }
}
