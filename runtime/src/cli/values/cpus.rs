//! Processors: `--cpus 1.5` and `--cpuset-cpus 0-1`.

use std::num::NonZeroU64;

use cgroupfs::cpu_list::{self, CpuList};

use crate::cli::refusal::Refusal;
use crate::plan::CPU_PERIOD_US;

/// The kernel accepts no quota below a millisecond: 0.01 CPU at our period.
const LEAST_QUOTA_US: u64 = 1_000;

/// `--cpus N` as CPU time per [`CPU_PERIOD_US`]; `online` are the machine's CPUs.
///
/// # Errors
///
/// [`Refusal`] when the text is not a decimal number, or is less than 0.01 or
/// more than the machine has.
pub fn quota_us(text: &str, online: &CpuList) -> Result<NonZeroU64, Refusal> {
    let what = format!("--cpus {text}");
    let Some(quota_us) = decimal(text, CPU_PERIOD_US) else {
        return Err(Refusal::new(what, "not a number of CPUs").instead("such as 2, 1.5 or 0.25"));
    };
    let least = NonZeroU64::new(quota_us).filter(|quota_us| quota_us.get() >= LEAST_QUOTA_US);
    let Some(quota_us) = least else {
        return Err(Refusal::new(what, "a container needs at least 0.01 of a CPU")
            .instead("leave the option out for no limit"));
    };
    let count = online.count() as u64;
    if quota_us.get() > count.saturating_mul(CPU_PERIOD_US) {
        return Err(Refusal::new(what, format!("this machine has {}", cpu_count(count)))
            .instead(format!("give at most {count}")));
    }
    Ok(quota_us)
}

/// `--cpuset-cpus LIST`; `online` are the machine's CPUs.
///
/// # Errors
///
/// [`Refusal`] when the text is not a list, is empty, or names a CPU that the
/// machine has not.
pub fn cpuset(text: &str, online: &CpuList) -> Result<CpuList, Refusal> {
    let what = format!("--cpuset-cpus {text}");
    let list = cpu_list::parse(text).ok().filter(|list| !list.is_empty());
    let Some(list) = list else {
        return Err(Refusal::new(what, "not a list of CPUs").instead("such as 0, 0-1 or 0,2-3"));
    };
    let missing: CpuList = list.iter().filter(|id| !online.contains(*id)).collect();
    if !missing.is_empty() {
        return Err(Refusal::new(what, format!("this machine has no CPU {missing}"))
            .instead(format!("it has {online}")));
    }
    Ok(list)
}

fn cpu_count(count: u64) -> String {
    match count {
        1 => "1 CPU".to_owned(),
        more => format!("{more} CPUs"),
    }
}

/// A decimal number such as `1.5` or `.5`, times `scale`, rounded down.
fn decimal(text: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    // More than nine digits after the point cannot matter; docker refuses them too.
    if whole.len() + fraction.len() == 0
        || fraction.len() > 9
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    let parts = u64::try_from(u128::from(fraction) * u128::from(scale) / 1_000_000_000).ok()?;
    whole.checked_mul(scale)?.checked_add(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, quota: u64) {
        let got = quota_us(text, &CpuList::first(2)).map(NonZeroU64::get);
        assert_eq!(got, Ok(quota), "input: {text:?}");
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        let refusal = quota_us(text, &CpuList::first(2)).unwrap_err();
        assert_eq!(refusal.to_string(), message, "input: {text:?}");
    }

    #[test]
    fn cpus_are_a_quota_of_the_period() {
        check("1", 100_000);
        check("2", 200_000);
        check("2.0", 200_000);
        check("1.5", 150_000);
        check(".5", 50_000);
        check("0.125", 12_500);
        check("0.01", 1_000);
    }

    #[test]
    fn cpus_that_cannot_be_are_refused() {
        let too_few =
            "a container needs at least 0.01 of a CPU (leave the option out for no limit)";
        check_refused("0", &format!("--cpus 0: {too_few}"));
        check_refused("0.009", &format!("--cpus 0.009: {too_few}"));
        check_refused("99", "--cpus 99: this machine has 2 CPUs (give at most 2)");
        check_refused("2.1", "--cpus 2.1: this machine has 2 CPUs (give at most 2)");
        for text in ["", ".", "one", "-1", "+1", "1e0", "1,5", "1.0000000001"] {
            check_refused(
                text,
                &format!("--cpus {text}: not a number of CPUs (such as 2, 1.5 or 0.25)"),
            );
        }
    }

    #[track_caller]
    fn check_cpuset_refused(text: &str, message: &str) {
        let refusal = cpuset(text, &CpuList::first(2)).unwrap_err();
        assert_eq!(refusal.to_string(), message, "input: {text:?}");
    }

    #[test]
    fn cpusets_stay_inside_the_machine() {
        assert_eq!(cpuset("0-1", &CpuList::first(2)), Ok(CpuList::first(2)));
        check_cpuset_refused("0-3", "--cpuset-cpus 0-3: this machine has no CPU 2-3 (it has 0-1)");
        check_cpuset_refused("7", "--cpuset-cpus 7: this machine has no CPU 7 (it has 0-1)");
        for text in ["", "a", "1-0", "0,,1"] {
            check_cpuset_refused(
                text,
                &format!("--cpuset-cpus {text}: not a list of CPUs (such as 0, 0-1 or 0,2-3)"),
            );
        }
    }
}
