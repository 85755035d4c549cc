//! The kernel's arithmetic of load averages; pure.
//!
//! Kernel source of truth: `calc_load()` in include/linux/sched/loadavg.h.

/// A load of one, in the kernel's fixed point.
pub const FIXED_1: u64 = 1 << 11;

/// Nanoseconds between two samples.
pub const PERIOD_NS: u64 = 5_000_000_000;

/// `FIXED_1 / exp(5s / 1min)`, and for 5 and 15 minutes.
const DECAY: [u64; 3] = [1884, 2014, 2037];

/// Samples after which nothing is left of what was before, for each average.
const MOST_STEPS: u64 = 15 * 60 / 5 * 10;

/// The averages one period after `averages`, with `active` tasks that run or
/// wait in that period.
pub fn next(averages: [u64; 3], active: u64) -> [u64; 3] {
    let active = active.saturating_mul(FIXED_1);
    let [one, five, fifteen] = averages;
    let [decay_one, decay_five, decay_fifteen] = DECAY;
    [
        step(one, decay_one, active),
        step(five, decay_five, active),
        step(fifteen, decay_fifteen, active),
    ]
}

fn step(load: u64, decay: u64, active: u64) -> u64 {
    let mut next =
        load.saturating_mul(decay).saturating_add(active.saturating_mul(FIXED_1 - decay));
    // Rounds up while it rises, so that a constant load is reached.
    if active >= load {
        next = next.saturating_add(FIXED_1 - 1);
    }
    next / FIXED_1
}

/// The averages after `periods` periods, in each of which `active` tasks ran.
pub fn after(averages: [u64; 3], periods: u64, active: u64) -> [u64; 3] {
    (0..periods.min(MOST_STEPS)).fold(averages, |averages, _| next(averages, active))
}

/// The averages to begin with: as if the load had been, for ever, the larger of
/// the tasks that run now and the CPU time `used_ns` in the `elapsed_ns` before,
/// of which nothing else is known.
///
/// Less than a period tells nothing about a rate: a container that has begun
/// this instant has used all the time there was. And no more can have been used
/// than the machine's `cpus` had: the rest was used before, by those who had the
/// group until it was given to this container.
pub fn seed(running: u64, used_ns: u64, elapsed_ns: u64, cpus: u64) -> [u64; 3] {
    let used = u128::from(used_ns) * u128::from(FIXED_1);
    let rate = used / u128::from(elapsed_ns.max(PERIOD_NS));
    let rate = u64::try_from(rate).unwrap_or(u64::MAX).min(cpus.saturating_mul(FIXED_1));
    [rate.max(running.saturating_mul(FIXED_1)); 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `/proc/loadavg` prints it.
    fn shown(load: u64) -> String {
        let rounded = load + FIXED_1 / 200;
        format!("{}.{:02}", rounded >> 11, ((rounded & (FIXED_1 - 1)) * 100) >> 11)
    }

    #[track_caller]
    fn check(averages: [u64; 3], expected: [&str; 3]) {
        assert_eq!(averages.map(shown), expected);
    }

    #[test]
    fn a_minute_of_one_task() {
        check(after([0; 3], 12, 1), ["0.63", "0.18", "0.06"]);
    }

    #[test]
    fn a_constant_load_is_reached_and_left_again() {
        check(after([0; 3], 2000, 3), ["3.00", "3.00", "3.00"]);
        check(after([3 * FIXED_1; 3], 2000, 0), ["0.00", "0.00", "0.00"]);
    }

    #[test]
    fn no_period_changes_nothing() {
        assert_eq!(after([7, 8, 9], 0, 5), [7, 8, 9]);
    }

    #[test]
    fn a_seed_is_what_runs_now_or_what_was_used() {
        check(seed(2, 0, 2 * PERIOD_NS, 4), ["2.00"; 3]);
        check(seed(0, 3 * PERIOD_NS, 2 * PERIOD_NS, 4), ["1.50"; 3]);
        check(seed(1, 3 * PERIOD_NS, 2 * PERIOD_NS, 4), ["1.50"; 3]);
        check(seed(0, 0, 0, 4), ["0.00"; 3]);
    }

    #[test]
    fn a_container_that_has_just_begun_is_not_busy_for_it() {
        check(seed(0, 20_000_000, 10_000_000, 4), ["0.00"; 3]);
        check(seed(1, 20_000_000, 10_000_000, 4), ["1.00"; 3]);
    }

    #[test]
    fn absurd_numbers_do_not_wrap() {
        assert_eq!(seed(u64::MAX, u64::MAX, 1, u64::MAX), [u64::MAX; 3]);
        assert!(next([u64::MAX; 3], u64::MAX)[0] > 0);
    }
}
